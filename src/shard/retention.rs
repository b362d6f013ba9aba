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
        let mut awaiting = Vec::new();
        for partition in partitions {
            let apply = || {
                (
                    self.apply_retention_to(partition),
                    self.awaits_retention(partition),
                )
            };
            let (removal, awaits) = slice.spend(apply).await;
            if !removal.is_empty() {
                io::spawn(removal.run());
            }
            if awaits {
                awaiting.push(partition);
            }
        }
        for partition in awaiting {
            self.upkeep_ended(partition).await;
            io::spawn(self.apply_retention_to(partition).run());
        }
    }

    /// Whether something of it, which is on its way, has to be settled before it can go.
    fn awaits_retention(&self, partition: TopicPartition) -> bool {
        let owned = self.owned.borrow();
        let kept_up = owned.get(partition).filter(|_| self.is_kept_up(partition));
        kept_up.is_some_and(|replica| replica.awaits_retention(io::wall_now()))
    }

    /// Takes away what retention no longer keeps of one partition; the files go with the [`Removal`]. What it had to seal is settled
    /// beside, and goes the next time.
    pub(super) fn apply_retention_to(self: &Rc<Self>, partition: TopicPartition) -> Removal {
        let applied = self.owned.borrow_mut().apply_retention(partition, io::wall_now());
        self.keep_up(partition);
        applied.unwrap_or_else(|error| {
            tracing::error!("{partition}: retention failed: {error}");
            self.read_failed(partition, "retention", &error);
            Removal::default()
        })
    }
}
