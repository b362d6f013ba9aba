//! Retention on a core: looks at every partition once in `log.retention.check.interval.ms`.

use std::rc::Rc;

use crate::io;

use super::{Shard, TimeSlice};

impl Shard {
    /// Starts looking; the task ends with the core.
    pub fn start_retention(self: &Rc<Self>) {
        let shard = self.clone();
        io::spawn(async move {
            loop {
                io::sleep(shard.config().retention_check_interval()).await;
                shard.apply_retention().await;
            }
        });
    }

    async fn apply_retention(&self) {
        let partitions = self.owned.borrow().all();
        let mut slice = TimeSlice::default();
        for partition in partitions {
            let apply = || self.owned.borrow_mut().apply_retention(partition, io::wall_now());
            let removal = slice.spend(apply).await;
            if !removal.is_empty() {
                io::spawn(removal.run());
            }
        }
    }
}
