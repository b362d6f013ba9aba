//! Retention on a core: looks at every partition once in `log.retention.check.interval.ms`.

use std::rc::Rc;

use crate::io;

use super::Shard;

impl Shard {
    /// Starts looking; the task ends with the core.
    pub fn start_retention(self: &Rc<Self>) {
        let shard = self.clone();
        io::spawn(async move {
            loop {
                io::sleep(shard.config().retention_check_interval()).await;
                let removal = shard.owned.borrow_mut().apply_retention(io::wall_now());
                removal.run().await;
            }
        });
    }
}
