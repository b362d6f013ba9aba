//! Reads over the partitions of several cores, and the parking of those that found too little.

use std::rc::Rc;

use bytes::Bytes;

use crate::base::{CoreId, LeaderEpoch, Offset, TopicPartition};
use crate::io::local::{Receiver, oneshot};
use crate::log::{AbortedPlan, AbortedTransaction, ReadPlan};
use crate::partition::{Found, Interest, Isolation, Marks, ReadError, ReadRange, Watch, end_of};
use crate::wire::ErrorCode;

use super::message::{ReadRequest, Reply, Request, WatchId};
use super::{Shard, join_all};

/// One partition to read.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Which.
    pub partition: TopicPartition,
    /// And what of it.
    pub range: ReadRange,
    /// The place in a fetch session that is told of the next change, when there is nothing to read.
    pub interest: Option<Interest>,
}

/// What came of one partition's read.
pub struct ReadAnswer {
    /// The log's marks, from the same step as the read; none when the partition isn't here.
    pub marks: Option<Marks>,
    /// The read itself.
    pub outcome: ReadOutcome,
    /// For a `read_committed` reader: the transactions with records among what was read that were aborted.
    pub aborted: Vec<AbortedTransaction>,
}

/// The outcome of one partition's read.
pub enum ReadOutcome {
    /// Whole batches, possibly none.
    Read(Vec<Bytes>),
    /// The reader's log left ours at this epoch and end offset.
    Diverging(LeaderEpoch, Offset),
    /// Not read.
    Refused(ErrorCode),
}

/// One round of a fetch over all its partitions.
pub struct ReadRound {
    /// In the order wanted.
    pub answers: Vec<ReadAnswer>,
    /// Whether the answers must not wait: there is an error, a diverging log, or as many bytes as were wanted.
    pub is_enough: bool,
    /// Wakes when there is more, if the round was asked to park.
    pub parked: Option<Parked>,
}

/// A read that waits for more. Dropping it ends its watches.
pub struct Parked {
    shard: Rc<Shard>,
    id: WatchId,
    elsewhere: Vec<CoreId>,
    fired: Receiver<()>,
}

impl Parked {
    /// What wakes it; a fetch session's news do too.
    pub fn watch(&self) -> WatchId {
        self.id
    }

    /// Ends when one of the cores has seen the bytes that were wanted.
    pub async fn fired(mut self) {
        let _ = (&mut self.fired).await;
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.shard.parked.borrow_mut().remove(&self.id);
        self.shard.end_watch(self.shard.core, self.id);
        for core in self.elsewhere.drain(..) {
            self.shard.tell(core, Request::Unwatch(self.id));
        }
    }
}

impl ReadAnswer {
    /// Not read, and why.
    pub fn refused(code: ErrorCode) -> ReadAnswer {
        ReadAnswer {
            marks: None,
            outcome: ReadOutcome::Refused(code),
            aborted: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.outcome {
            ReadOutcome::Read(segments) => segments.iter().map(Bytes::len).sum(),
            _ => 0,
        }
    }

    /// What counts towards the bytes that a fetch waits for: those that came, or, where a limit cut them off, as many as
    /// the limit allows. Whole batches rarely fill a limit exactly, and nobody shall wait for what can't come (Kafka counts alike).
    fn readable_bytes(&self, wanted: &Wanted, isolation: Isolation, bytes_max: usize) -> usize {
        let ReadOutcome::Read(segments) = &self.outcome else {
            return 0;
        };
        let next = end_of(segments).unwrap_or(wanted.range.offset);
        let is_cut = self
            .marks
            .is_some_and(|marks| next < marks.visible_end(isolation));
        match is_cut {
            true => wanted.range.bytes_max.min(bytes_max).max(self.bytes()),
            false => self.bytes(),
        }
    }

    fn is_news(&self) -> bool {
        !matches!(self.outcome, ReadOutcome::Read(_))
    }
}

/// A read's first half: what the owner could say at once.
enum Begun {
    Done(ReadAnswer),
    Here(ReadAnswer, AbortedPlan),
    OnDisk(TopicPartition, Marks, ReadPlan, AbortedPlan),
}

impl Shard {
    /// Reads `wanted`, at most `bytes_max` in all but for the first batch. With `park`, what finds less than `bytes_min` is watched
    /// from the step of its read on, so that no append falls between.
    pub async fn read(
        self: &Rc<Self>,
        wanted: &[Wanted],
        isolation: Isolation,
        (bytes_min, bytes_max): (usize, usize),
        park: bool,
    ) -> ReadRound {
        let mut by_core: Vec<(CoreId, Vec<usize>)> = Vec::new();
        for (place, wanted) in wanted.iter().enumerate() {
            let owner = self.owner(wanted.partition);
            match by_core.iter_mut().find(|(core, _)| *core == owner) {
                Some((_, places)) => places.push(place),
                None => by_core.push((owner, vec![place])),
            }
        }
        // One core sees all the bytes of its fetch; of several, each may bring the missing ones alone.
        let bytes_to_wake = if by_core.len() == 1 { bytes_min } else { 1 };
        let parked = park.then(|| self.park(&by_core));
        let watch = parked.as_ref().map(|parked| (parked.id, bytes_to_wake));
        let asked = by_core.iter().map(|(core, places)| {
            let wanted = places.iter().map(|place| wanted[*place]).collect();
            self.read_on(
                *core,
                ReadRequest {
                    wanted,
                    isolation,
                    bytes_max,
                    watch,
                },
            )
        });
        let answered = join_all(asked).await;
        let mut answers: Vec<Option<ReadAnswer>> = wanted.iter().map(|_| None).collect();
        for ((_, places), core_answers) in by_core.iter().zip(answered) {
            for (place, answer) in places.iter().zip(core_answers) {
                answers[*place] = Some(answer);
            }
        }
        let answers = answers.into_iter().flatten().collect();
        ReadRound::new(wanted, answers, isolation, (bytes_min, bytes_max), parked)
    }

    fn park(self: &Rc<Self>, by_core: &[(CoreId, Vec<usize>)]) -> Parked {
        let id = self.next_watch_id();
        let (sender, fired) = oneshot();
        self.parked.borrow_mut().insert(id, sender);
        let elsewhere = by_core
            .iter()
            .map(|(core, _)| *core)
            .filter(|core| *core != self.core)
            .collect();
        Parked {
            shard: self.clone(),
            id,
            elsewhere,
            fired,
        }
    }

    async fn read_on(self: &Rc<Self>, core: CoreId, request: ReadRequest) -> Vec<ReadAnswer> {
        if core == self.core {
            return self.read_here(core, request).await;
        }
        match self.link.ask(core, Request::Read(request)).await {
            Reply::Read(answers) => answers,
            _ => unreachable!("a read is answered with what was read"),
        }
    }

    /// Reads partitions of this core for `asker`.
    pub(super) async fn read_here(self: &Rc<Self>, asker: CoreId, request: ReadRequest) -> Vec<ReadAnswer> {
        let begun = self.begin_read(asker, &request);
        let mut answers = Vec::with_capacity(begun.len());
        for begun in begun {
            answers.push(match begun {
                Begun::Done(answer) => answer,
                Begun::Here(answer, aborted) => name_aborted(answer, aborted).await,
                Begun::OnDisk(partition, marks, plan, aborted) => {
                    name_aborted(self.finish_on_disk(partition, marks, plan).await, aborted).await
                }
            });
        }
        answers
    }

    /// The synchronous half: decides every partition's read and registers the watch.
    fn begin_read(self: &Rc<Self>, asker: CoreId, request: &ReadRequest) -> Vec<Begun> {
        for wanted in &request.wanted {
            self.try_closed(wanted.partition);
        }
        let mut owned = self.owned.borrow_mut();
        let mut bytes_left = request.bytes_max;
        let mut bytes_found = 0;
        let mut cold_bytes_left = self.cold_reads.allowance();
        let mut has_news = false;
        let mut begun = Vec::with_capacity(request.wanted.len());
        let mut failed = Vec::new();
        for wanted in &request.wanted {
            let range = &wanted.range;
            let absent = owned.why_absent(wanted.partition);
            let Some(partition) = owned.get_mut(wanted.partition) else {
                has_news = true;
                begun.push(Begun::Done(ReadAnswer::refused(absent)));
                continue;
            };
            let range = ReadRange {
                bytes_max: range.bytes_max.min(bytes_left),
                at_least_one: range.at_least_one && bytes_found == 0,
                ..*range
            };
            let marks = partition.marks();
            let answer = |outcome| ReadAnswer {
                marks: Some(marks),
                outcome,
                aborted: Vec::new(),
            };
            let found = partition.read(&range, request.isolation);
            if let (Some(interest), Ok(Found::Here(..))) = (wanted.interest, &found)
                && range.offset >= marks.high_watermark
            {
                let tell = || self.interest_teller();
                partition.interests_mut().add(interest, tell);
            }
            let one = match found {
                Ok(Found::Here(segments, aborted)) => {
                    Begun::Here(answer(ReadOutcome::Read(segments)), aborted)
                }
                Ok(Found::OnDisk(plan, aborted)) => {
                    // At least one byte, at most this many: exact sizes are known when it has been read.
                    let bytes_max = range.bytes_max.min(cold_bytes_left);
                    cold_bytes_left -= bytes_max;
                    bytes_found += bytes_max.max(1);
                    Begun::OnDisk(wanted.partition, marks, plan.at_most(bytes_max), aborted)
                }
                Ok(Found::Diverging(epoch, end)) => Begun::Done(answer(ReadOutcome::Diverging(epoch, end))),
                Err(error) => {
                    if error == ReadError::DiskFailed {
                        failed.push(wanted.partition);
                    }
                    Begun::Done(ReadAnswer::refused(error.code()))
                }
            };
            if let Begun::Done(answer) | Begun::Here(answer, _) = &one {
                bytes_found += answer.bytes();
                has_news |= answer.is_news();
            }
            bytes_left = request.bytes_max.saturating_sub(bytes_found);
            begun.push(one);
        }
        if let Some((id, bytes_wanted)) = request.watch
            && bytes_found < bytes_wanted
            && !has_news
        {
            let watch = self.begin_watch(asker, id, (bytes_wanted - bytes_found) as u64);
            for wanted in &request.wanted {
                if let Some(partition) = owned.get_mut(wanted.partition) {
                    partition.watch(watch.clone());
                }
            }
        }
        drop(owned);
        for partition in failed {
            self.fail_dir_of(partition, "a look into an index");
        }
        begun
    }

    async fn finish_on_disk(
        self: &Rc<Self>,
        partition: TopicPartition,
        marks: Marks,
        plan: ReadPlan,
    ) -> ReadAnswer {
        match self.cold_reads.read(plan).await {
            Ok(bytes) => {
                let segments = if bytes.is_empty() { Vec::new() } else { vec![bytes] };
                ReadAnswer {
                    marks: Some(marks),
                    outcome: ReadOutcome::Read(segments),
                    aborted: Vec::new(),
                }
            }
            Err(error) => {
                tracing::error!("a read from the log of {partition} failed: {error}");
                self.read_failed(partition, "a read", &error);
                ReadAnswer::refused(ErrorCode::KAFKA_STORAGE_ERROR)
            }
        }
    }

    /// Registers a watch of `asker` that sends it a notice, or wakes the parked read of this core.
    fn begin_watch(self: &Rc<Self>, asker: CoreId, id: WatchId, bytes_wanted: u64) -> Rc<Watch> {
        let shard = Rc::downgrade(self);
        let (watch, guard) = Watch::new(bytes_wanted, move || {
            let Some(shard) = shard.upgrade() else { return };
            if asker == shard.core {
                shard.watch_fired(id);
            } else {
                shard.link.fired(asker, id);
            }
        });
        self.watches.borrow_mut().insert((asker, id), guard);
        watch
    }

    /// Ends a watch that `asker` registered on this core, if it is still there.
    pub(super) fn end_watch(&self, asker: CoreId, id: WatchId) {
        self.watches.borrow_mut().remove(&(asker, id));
    }

    /// Wakes the read of this core that waits for the watch; one that is no longer parked is not an error.
    pub(super) fn watch_fired(&self, id: WatchId) {
        let sender = self.parked.borrow_mut().remove(&id);
        if let Some(sender) = sender {
            let _ = sender.send(());
        }
    }
}

/// Adds the aborted transactions among what was read.
async fn name_aborted(answer: ReadAnswer, plan: AbortedPlan) -> ReadAnswer {
    let end = match &answer.outcome {
        ReadOutcome::Read(segments) if !plan.is_empty() => end_of(segments),
        _ => None,
    };
    let Some(end) = end else {
        return answer;
    };
    match plan.run(end).await {
        Ok(aborted) => ReadAnswer { aborted, ..answer },
        Err(error) => {
            tracing::error!("the aborted transactions of a read can't be told: {error}");
            ReadAnswer::refused(ErrorCode::KAFKA_STORAGE_ERROR)
        }
    }
}

impl ReadRound {
    /// Puts the cores' answers together: past `bytes_max`, or its partition's own bound, a partition's bytes wait for the next
    /// fetch, but for the first ones, which always go (KIP-74). Each core took its own for the first.
    fn new(
        wanted: &[Wanted],
        mut answers: Vec<ReadAnswer>,
        isolation: Isolation,
        (bytes_min, bytes_max): (usize, usize),
        parked: Option<Parked>,
    ) -> ReadRound {
        let mut bytes = 0;
        let mut has_news = false;
        for (wanted, answer) in wanted.iter().zip(&mut answers) {
            has_news |= answer.is_news();
            let answer_bytes = answer.bytes();
            let room = wanted.range.bytes_max.min(bytes_max.saturating_sub(bytes));
            if bytes > 0 && answer_bytes > room {
                answer.outcome = ReadOutcome::Read(Vec::new());
                answer.aborted = Vec::new();
            } else {
                bytes += answer_bytes;
            }
        }
        let readable = || {
            let each = wanted.iter().zip(&answers);
            each.map(|(wanted, answer)| answer.readable_bytes(wanted, isolation, bytes_max))
                .sum::<usize>()
        };
        ReadRound {
            is_enough: has_news || bytes >= bytes_min || readable() >= bytes_min,
            answers,
            parked,
        }
    }
}
