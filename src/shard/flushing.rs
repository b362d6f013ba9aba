//! Flushing partitions whose topics ask for it (`ringlog.ack = durable`), one flush of a partition at a time: whoever
//! appends while it runs is served by the next one.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::base::{Offset, TopicPartition};
use crate::io::local::{Receiver, oneshot};
use crate::io::{self, Planted};
use crate::partition::{Appended, Refusal};
use crate::wire::ErrorCode;

use super::{Shard, TimeSlice};

/// Gets the outcome of an append once it counts.
pub(super) type Settle = Box<dyn FnOnce(Result<(), Refusal>)>;

/// Who waits for which partition to be durable up to where, in the order of the appends. Bounded by the
/// requests that may be outstanding.
#[derive(Default)]
pub(super) struct Flushing {
    lines: RefCell<BTreeMap<TopicPartition, VecDeque<(Offset, Settle)>>>,
}

/// What an append came to on the core that owns the partition.
pub enum AppendedHere {
    /// All that there is to say.
    Settled(Result<Appended, Refusal>),
    /// It counts when this says so.
    Waiting(Appended, Receiver<Result<(), Refusal>>),
}

impl Shard {
    /// Waits for an append that counts only once it is durable.
    pub(super) fn wait_until_committed(
        self: &Rc<Self>,
        partition: TopicPartition,
        after: Offset,
    ) -> Receiver<Result<(), Refusal>> {
        let (sender, receiver) = oneshot();
        let settle: Settle = Box::new(move |outcome| {
            let _ = sender.send(outcome);
        });
        self.settle_when_committed(partition, after, settle);
        receiver
    }

    /// Calls `settle` when `partition` is committed up to `after`, or cannot be.
    pub(super) fn settle_when_committed(
        self: &Rc<Self>,
        partition: TopicPartition,
        after: Offset,
        settle: Settle,
    ) {
        let settle = match io::is_planted(Planted::AckBeforeWrite) {
            true => {
                settle(Ok(()));
                Box::new(|_| {})
            }
            false => settle,
        };
        let mut lines = self.flushing.lines.borrow_mut();
        let is_running = lines.contains_key(&partition);
        lines.entry(partition).or_default().push_back((after, settle));
        drop(lines);
        if !is_running {
            io::spawn(self.clone().flush(partition));
        }
    }

    /// Flushes what a partition holds beyond what is committed, if anything: after a crash, before anyone reads it.
    pub(super) fn flush_uncommitted(self: &Rc<Self>, partition: TopicPartition) {
        let uncommitted = self
            .owned
            .borrow()
            .get(partition)
            .and_then(|partition| partition.uncommitted_end());
        if let Some(end) = uncommitted {
            self.settle_when_committed(partition, end, Box::new(|_| {}));
        }
    }

    /// Starts to look, every `log.flush.scheduler.interval.ms`, for partitions that are to be flushed by `flush.ms`; the task ends with the
    /// core. By default nobody ever looks, as in Kafka.
    pub fn start_flush_scheduler(self: &Rc<Self>) {
        let Some(interval) = self.config().flush_scheduler_interval() else {
            return;
        };
        let shard = self.clone();
        io::spawn(async move {
            loop {
                io::sleep(interval).await;
                shard.flush_overdue().await;
            }
        });
    }

    async fn flush_overdue(self: &Rc<Self>) {
        let partitions = self.owned.borrow().all();
        let flush = |partition| {
            let overdue = {
                let owned = self.owned.borrow();
                owned
                    .get(partition)
                    .and_then(|replica| replica.overdue_flush(io::wall_now()))
            };
            if let Some(end) = overdue {
                self.settle_when_committed(partition, end, Box::new(|_| {}));
            }
        };
        TimeSlice::default().each(partitions, flush).await;
    }

    /// Flushes until nobody waits.
    async fn flush(self: Rc<Self>, partition: TopicPartition) {
        loop {
            let outcome = self.flush_once(partition).await;
            let committed = outcome.as_ref().map_or(Offset(i64::MAX), |committed| *committed);
            let mut settled = Vec::new();
            let is_done = {
                let mut lines = self.flushing.lines.borrow_mut();
                let Some(line) = lines.get_mut(&partition) else {
                    return;
                };
                while let Some((_, settle)) = line.pop_front_if(|(after, _)| *after <= committed) {
                    settled.push(settle);
                }
                let is_done = line.is_empty();
                if is_done {
                    lines.remove(&partition);
                }
                is_done
            };
            for settle in settled {
                settle(outcome.as_ref().map(|_| ()).map_err(|code| Refusal::from(*code)));
            }
            if is_done {
                return;
            }
        }
    }

    /// One flush; up to where the partition is committed then.
    async fn flush_once(self: &Rc<Self>, partition: TopicPartition) -> Result<Offset, ErrorCode> {
        self.moving.switched(partition).await;
        let (log, plan) = {
            let mut owned = self.owned.borrow_mut();
            let absent = owned.why_absent(partition);
            let replica = owned.get_mut(partition).ok_or(absent)?;
            (replica.log_number(), replica.flush_plan())
        };
        let outcome = match plan {
            Ok(plan) => plan.run().await,
            Err(error) => {
                // Nothing was flushed, so nothing is in doubt; who sends its batch again has it flushed then.
                tracing::warn!("{partition}: a flush could not begin: {error}");
                self.write_failed(partition, "a flush", &error);
                return Err(ErrorCode::KAFKA_STORAGE_ERROR);
            }
        };
        if let Some(replica) = self.owned.borrow().get(partition)
            && replica.log_number() != log
        {
            // It has moved: who still waits is served by a flush of the log that it has now.
            return Ok(replica.committed());
        }
        let flushed = match outcome {
            Ok(flushed) => flushed,
            Err(error) => {
                self.flush_failed(partition, &error);
                return Err(ErrorCode::KAFKA_STORAGE_ERROR);
            }
        };
        let mut owned = self.owned.borrow_mut();
        let absent = owned.why_absent(partition);
        let replica = owned.get_mut(partition).ok_or(absent)?;
        replica.flushed(flushed, io::wall_now());
        Ok(replica.committed())
    }
    /// What the disk holds is not known: no error of a flush passes, but for want of descriptors, which is no fault of the disk.
    fn flush_failed(self: &Rc<Self>, partition: TopicPartition, error: &std::io::Error) {
        if !io::is_out_of_resources(error) {
            return self.fail_dir_of(partition, &format!("a flush: {error}"));
        }
        tracing::error!("{partition}: a flush failed, nothing more is written to it: {error}");
        if let Some(replica) = self.owned.borrow_mut().get_mut(partition) {
            replica.go_offline();
        }
    }
}
