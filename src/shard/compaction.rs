//! Compaction on a core (Kafka's `LogCleaner`): of the partitions that this core owns one at a time, the dirtiest first, in slices of the
//! core's time and within a budget of bytes. What fails is told and set aside; the others go on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use crate::base::{Offset, TopicId, TopicPartition};
use crate::io::local::Notify;
use crate::io::{self, has_disk_failed, wall_now};
use crate::log::compaction::{CompactionError, KeyMapLimits, Pace, Round};

use super::{Shard, TimeSlice};

/// The shortest pause when there is nothing to do: to look costs a little for each partition.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// What of a core's partitions is compacted.
#[derive(Default)]
pub(super) struct Compacting {
    under_way: RefCell<Option<(TopicPartition, Rc<Pace>)>>,
    /// Those that could not be compacted; they are not tried again before the next start. Bounded by the partitions of the core.
    set_aside: RefCell<BTreeSet<TopicPartition>>,
    /// The logs are about to be closed.
    is_over: Cell<bool>,
    one_ended: Notify,
}

impl Compacting {
    /// Forgets a topic that is gone.
    pub fn forget(&self, topic: TopicId) {
        let mut set_aside = self.set_aside.borrow_mut();
        set_aside.retain(|partition| partition.topic != topic);
    }
}

impl Shard {
    /// Starts compacting; the task ends with the core.
    pub fn start_compaction(self: &Rc<Self>) {
        let shard = self.clone();
        io::spawn(async move {
            while !shard.compacting.is_over.get() {
                if !shard.compact_dirtiest().await {
                    io::sleep(shard.config().cleaner_backoff().max(BACKOFF_MIN)).await;
                }
            }
        });
    }

    /// Compacts what needs it most; false when nothing needs it, or nothing may be tried now.
    async fn compact_dirtiest(self: &Rc<Self>) -> bool {
        let Some(partition) = self.dirtiest().await else {
            return false;
        };
        let bytes_per_second = self.config().cleaner_bytes_per_second() / f64::from(self.node.cores);
        let pace = Rc::new(Pace::new(bytes_per_second));
        let Some(mut round) = self.begin_round(partition, &pace) else {
            return false;
        };
        let outcome = self.compact(partition, &mut round, &pace).await;
        let cleaned_to = outcome.as_ref().ok().copied();
        if let Some(replica) = self.owned.borrow_mut().get_mut(partition) {
            replica.end_compaction(cleaned_to);
        }
        self.compacting.under_way.borrow_mut().take();
        self.compacting.one_ended.notify();
        // It had to wait for this, and so had the upkeep: the names of the files have changed. The files may stay for `file.delete.delay.ms`, and the next round need not.
        io::spawn(self.apply_retention_to(partition).run());
        self.report(partition, outcome)
    }

    /// The partition with the largest share of bytes that are not compacted, of those that are due.
    async fn dirtiest(&self) -> Option<TopicPartition> {
        let mut dirtiest: Option<(f64, TopicPartition)> = None;
        let partitions = self.owned.borrow().all();
        let look = |partition| {
            let owned = self.owned.borrow();
            let is_aside =
                self.compacting.set_aside.borrow().contains(&partition) || self.moving.is_moved(partition);
            let dirt = owned.get(partition).and_then(|replica| replica.dirt(wall_now()));
            let ratio = dirt.filter(|_| !is_aside).map(|dirt| dirt.ratio());
            if let Some(ratio) = ratio.filter(|ratio| dirtiest.is_none_or(|(most, _)| *ratio > most)) {
                dirtiest = Some((ratio, partition));
            }
        };
        TimeSlice::default().each(partitions, look).await;
        dirtiest.map(|(_, partition)| partition)
    }

    fn begin_round(&self, partition: TopicPartition, pace: &Rc<Pace>) -> Option<Round> {
        if self.compacting.is_over.get() || self.moving.is_moved(partition) {
            return None;
        }
        let mut owned = self.owned.borrow_mut();
        let round = owned.get_mut(partition)?.begin_compaction(wall_now())?;
        *self.compacting.under_way.borrow_mut() = Some((partition, pace.clone()));
        Some(round)
    }

    /// Up to where the log is clean then.
    async fn compact(
        &self,
        partition: TopicPartition,
        round: &mut Round,
        pace: &Pace,
    ) -> Result<Offset, CompactionError> {
        let keys = round.read_keys(self.key_map_limits(), pace).await?;
        let mut groups = round.groups(&keys);
        loop {
            let compacted = match groups.compact_next(pace).await {
                Ok(Some(compacted)) => compacted,
                Ok(None) => return Ok(groups.cleaned_to()),
                Err(error) => {
                    groups.remove_leftovers().await;
                    return Err(error);
                }
            };
            let placed = match self.owned.borrow_mut().get_mut(partition) {
                Some(replica) => replica.place_compacted(&compacted, wall_now()),
                None => return Err(CompactionError::Stopped),
            };
            placed.map_err(CompactionError::InDoubt)?.run().await;
            tracing::debug!(
                "{partition}: compacted {} bytes to {}",
                compacted.bytes_before,
                compacted.bytes_after
            );
        }
    }

    fn key_map_limits(&self) -> KeyMapLimits {
        let config = self.config();
        KeyMapLimits {
            bytes_max: (config.cleaner_dedupe_bytes() / usize::from(self.node.cores))
                .max(KeyMapLimits::BYTES_MIN),
            load_factor: config.cleaner_load_factor(),
        }
    }

    /// Tells what came of a round; whether to look for the next one at once.
    fn report(self: &Rc<Self>, partition: TopicPartition, outcome: Result<Offset, CompactionError>) -> bool {
        match outcome {
            Ok(_) | Err(CompactionError::Stopped) => return true,
            Err(CompactionError::Disk(error)) if error.kind() == ErrorKind::StorageFull => {
                tracing::warn!("{partition}: no room to compact it; tried again later");
            }
            Err(CompactionError::InDoubt(error)) => {
                tracing::error!("{partition}: a compaction failed, nothing more is written to it: {error}");
                if let Some(replica) = self.owned.borrow_mut().get_mut(partition) {
                    replica.go_offline();
                }
                self.read_failed(partition, "a compaction", &error);
            }
            Err(CompactionError::Disk(error)) if has_disk_failed(&error) => {
                self.read_failed(partition, "a compaction", &error);
            }
            Err(error) => {
                tracing::error!("{partition}: not compacted any more until the next start: {error}");
                self.compacting.set_aside.borrow_mut().insert(partition);
            }
        }
        false
    }

    /// Whether a partition is being compacted.
    pub(super) fn is_compacted(&self, partition: TopicPartition) -> bool {
        let under_way = self.compacting.under_way.borrow();
        under_way
            .as_ref()
            .is_some_and(|(under_way, _)| *under_way == partition)
    }

    /// Ends the compaction of a partition, if one is under way: at the latest after one piece of its files.
    pub(super) async fn stop_compacting(&self, partition: TopicPartition) {
        while self.is_compacted(partition) {
            if let Some((_, pace)) = &*self.compacting.under_way.borrow() {
                pace.stop();
            }
            self.compacting.one_ended.notified().await;
        }
    }

    /// Begins no more, and ends what is under way.
    pub(super) async fn end_compacting(&self) {
        self.compacting.is_over.set(true);
        let under_way = self
            .compacting
            .under_way
            .borrow()
            .as_ref()
            .map(|(partition, _)| *partition);
        if let Some(partition) = under_way {
            self.stop_compacting(partition).await;
        }
    }
}
