//! Retention on a core: looks at every partition once in `log.retention.check.interval.ms`.

use std::rc::Rc;

use crate::base::TopicPartition;
use crate::io;
use crate::log::Removal;

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

    async fn apply_retention(self: &Rc<Self>) {
        let partitions = self.owned.borrow().all();
        let mut slice = TimeSlice::default();
        for partition in partitions {
            let removal = slice.spend(|| self.apply_retention_to(partition)).await;
            if !removal.is_empty() {
                io::spawn(removal.run());
            }
        }
    }

    /// Takes away what retention no longer keeps of one partition; the files go with the [`Removal`].
    pub(super) fn apply_retention_to(self: &Rc<Self>, partition: TopicPartition) -> Removal {
        let applied = self.owned.borrow_mut().apply_retention(partition, io::wall_now());
        applied.unwrap_or_else(|error| {
            tracing::error!("{partition}: retention failed: {error}");
            self.read_failed(partition, "retention", &error);
            Removal::default()
        })
    }
}
