//! Fetch (key 1), versions 4–18, with fetch sessions (KIP-227) from version 7 on.
//!
//! A fetch that finds less than `min_bytes` is parked, on its partitions and on the news of its session, and answered when the rest
//! has come or at `max_wait_ms`. Behaves as a leader towards consumers; there are no followers yet.

use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use crate::base::{FetchSessionId, LeaderEpoch, Offset, PartitionIndex};
use crate::io;
use crate::log::AbortedTransaction;
use crate::partition::{Isolation, ReadRange};
use crate::shard::{
    Admission, FetchContext, FetchTopicName, Planned, ReadAnswer, ReadOutcome, SessionOpening,
    SessionPartition, SessionRequest, Shard, TimeSlice, Wanted,
};
use crate::wire::messages::fetch_request::{FetchPartition, FetchRequest};
use crate::wire::messages::fetch_response::{
    AbortedTransaction as AbortedTransactionAnswer, EpochEndOffset, FetchResponse, FetchableTopicResponse,
    PartitionData,
};
use crate::wire::{Array, ErrorCode, Records, Str};

use super::{Reply, Request, asked};

/// What a request says beside its partitions.
struct Limits {
    bytes_min: usize,
    bytes_max: usize,
    wait: Duration,
    /// None for a level that isn't.
    isolation: Option<Isolation>,
    is_follower: bool,
}

/// A fetch that names more partitions that aren't there is answered at once: while it waited they would all be in memory.
const UNKNOWN_PARTITIONS_MAX: usize = 4_096;

/// Answers a fetch request.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let (session, limits, admission) = {
        let (body, elements): (FetchRequest<'_>, usize) = match request.counted_body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        let admission = shard.large_requests().admit(elements).await;
        let session = session_request(request.version, &body, &mut slice).await;
        (session, limits(&shard, &body), admission)
    };
    // It may wait for long, and its frame may be large.
    request.frame = BytesMut::new();
    let asked_id = session.opening.id;
    let unreadable = limits.isolation.is_none().then(|| session.partitions.clone());
    let context = match shard.fetch_context(session, &mut slice).await {
        Ok(context) => context,
        Err(code) => return without_partitions(&request, code, FetchSessionId::NONE),
    };
    let Some(isolation) = limits.isolation else {
        return unknown_isolation(&request, asked_id, unreadable.unwrap_or_default(), &mut slice).await;
    };
    let (planned, answers) = read(&shard, &context, &limits, isolation, admission, &mut slice).await;
    if context.is_outdated() {
        return without_partitions(&request, ErrorCode::INVALID_FETCH_SESSION_EPOCH, asked_id);
    }
    let is_incremental = context.is_incremental();
    let mut topics = Topics::default();
    slice
        .each(answered(planned, answers), |(planned, answer)| {
            let is_news = context.session.borrow_mut().settle(planned.place, &answer);
            if is_news || !is_incremental {
                topics.add(partition_data(&planned, answer, isolation), planned.topic);
            }
        })
        .await;
    let id = match is_incremental {
        true => asked_id,
        false => shard.keep_fetch_session(context),
    };
    request.reply(&FetchResponse {
        session_id: id.0,
        responses: topics.into_answers(),
        ..Default::default()
    })
}

/// An error of the session as a whole.
fn without_partitions(request: &Request, code: ErrorCode, session: FetchSessionId) -> Reply {
    request.reply(&FetchResponse {
        error_code: code.0,
        session_id: session.0,
        ..Default::default()
    })
}

/// As Kafka answers what it fails at: the session has taken its step, and up to version 12 each partition that is named gets the error.
async fn unknown_isolation(
    request: &Request,
    session: FetchSessionId,
    named: Vec<SessionPartition>,
    slice: &mut TimeSlice,
) -> Reply {
    let code = ErrorCode::UNKNOWN_SERVER_ERROR;
    let named = match request.version {
        asked::FIRST_VERSION_BY_ID.. => Vec::new(),
        _ => named,
    };
    let mut topics = Topics::default();
    let refuse = |partition: SessionPartition| {
        let data = PartitionData {
            log_start_offset: Offset::UNKNOWN.0,
            ..refused(partition.index.0, code)
        };
        topics.add(data, partition.topic);
    };
    slice.each(named, refuse).await;
    request.reply(&FetchResponse {
        error_code: code.0,
        session_id: session.0,
        responses: topics.into_answers(),
        ..Default::default()
    })
}

fn limits(shard: &Shard, body: &FetchRequest<'_>) -> Limits {
    Limits {
        bytes_min: body.min_bytes.max(0) as usize,
        bytes_max: (body.max_bytes.max(0) as usize).min(shard.config().fetch_bytes_max()),
        wait: Duration::from_millis(body.max_wait_ms.max(0) as u64),
        isolation: Isolation::of(body.isolation_level),
        is_follower: is_follower(body),
    }
}

fn is_follower(body: &FetchRequest<'_>) -> bool {
    body.replica_id >= 0 || body.replica_state.replica_id >= 0
}

async fn session_request(version: i16, body: &FetchRequest<'_>, slice: &mut TimeSlice) -> SessionRequest {
    let by_id = version >= asked::FIRST_VERSION_BY_ID;
    let name = |name: &str, id| match by_id {
        true => FetchTopicName::Id(id),
        false => FetchTopicName::Name(Rc::from(name)),
    };
    let mut partitions = Vec::new();
    for topic in body.topics.iter() {
        let topic_name = slice.spend(|| name(&topic.topic, topic.topic_id)).await;
        let add = |partition: FetchPartition| {
            partitions.push(SessionPartition {
                topic: topic_name.clone(),
                index: PartitionIndex(partition.partition),
                range: range(&partition),
            });
        };
        slice.each(topic.partitions.iter(), add).await;
    }
    let mut forgotten = Vec::new();
    for topic in body.forgotten_topics_data.iter() {
        let topic_name = slice.spend(|| name(&topic.topic, topic.topic_id)).await;
        let add = |index| forgotten.push((topic_name.clone(), PartitionIndex(index)));
        slice.each(topic.partitions.iter(), add).await;
    }
    SessionRequest {
        opening: SessionOpening {
            id: FetchSessionId(body.session_id),
            epoch: body.session_epoch,
            by_id,
            is_follower: is_follower(body),
        },
        partitions,
        forgotten,
    }
}

fn range(asked: &FetchPartition) -> ReadRange {
    ReadRange {
        offset: Offset(asked.fetch_offset),
        bytes_max: asked.partition_max_bytes.max(0) as usize,
        at_least_one: true,
        current_epoch: LeaderEpoch(asked.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
    }
}

/// Reads what may have something to say, until there is enough, something to report, or no time left.
async fn read(
    shard: &Rc<Shard>,
    context: &FetchContext,
    limits: &Limits,
    isolation: Isolation,
    admission: Admission,
    slice: &mut TimeSlice,
) -> (Vec<Planned>, Vec<ReadAnswer>) {
    let mut admission = Some(admission);
    let deadline = io::now() + limits.wait;
    loop {
        let (planned, wanted) = plan(shard, context, limits, slice).await;
        // As in Kafka a partition that is unknown is answered with the others, and alone it isn't waited for.
        let has_partitions = !wanted.is_empty() || context.session.borrow().has_idle();
        let time_left = deadline.since(io::now());
        let unknown = planned.len() - wanted.len();
        let waits =
            has_partitions && unknown <= UNKNOWN_PARTITIONS_MAX && context.may_wait() && !time_left.is_zero();
        let bytes_max = limits.bytes_max.min(shard.unsent().allowance());
        let bytes_min = limits.bytes_min.min(bytes_max);
        let bytes = (bytes_min, bytes_max);
        let round = shard.read(&wanted, isolation, bytes, waits).await;
        match round.parked {
            Some(parked) if !round.is_enough => {
                let is_quiet = context.session.borrow_mut().park(parked.watch());
                if is_quiet {
                    admission.take();
                    let _ = io::timeout(time_left, parked.fired()).await;
                }
            }
            _ => return (planned, round.answers),
        }
    }
}

/// What may have something to say, and what of it there is to read.
async fn plan(
    shard: &Shard,
    context: &FetchContext,
    limits: &Limits,
    slice: &mut TimeSlice,
) -> (Vec<Planned>, Vec<Wanted>) {
    let places = context.session.borrow_mut().begin_plan();
    let (mut planned, mut wanted) = (Vec::with_capacity(places.len()), Vec::new());
    let plan_one = |place| {
        let one = context
            .session
            .borrow_mut()
            .plan(place, |topic, known_name, index| {
                let found = shard.find_fetched(topic, known_name, index)?;
                match limits.is_follower {
                    // The only replica is this leader: nobody follows it.
                    true => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                    false => Ok(found),
                }
            });
        if let Some(one) = one {
            wanted.extend(one.target);
            planned.push(one);
        }
    };
    slice.each(places, plan_one).await;
    (planned, wanted)
}

/// Puts the answers to what was planned; who was not read has its error.
fn answered(planned: Vec<Planned>, answers: Vec<ReadAnswer>) -> impl Iterator<Item = (Planned, ReadAnswer)> {
    let mut answers = answers.into_iter();
    planned.into_iter().map(move |planned| {
        let answer = match planned.target {
            Ok(_) => answers.next().expect("what was wanted was answered"),
            Err(code) => ReadAnswer::refused(code),
        };
        (planned, answer)
    })
}

/// The answer's topics: partitions of the same topic in a row stand together.
#[derive(Default)]
struct Topics(Vec<(FetchTopicName, Vec<PartitionData<'static>>)>);

impl Topics {
    fn add(&mut self, data: PartitionData<'static>, topic: FetchTopicName) {
        match self.0.last_mut() {
            Some((last, partitions)) if *last == topic => partitions.push(data),
            _ => self.0.push((topic, vec![data])),
        }
    }

    fn into_answers(self) -> Array<'static, FetchableTopicResponse<'static>> {
        let answer = |(topic, partitions): (FetchTopicName, Vec<PartitionData<'static>>)| {
            let mut answer = FetchableTopicResponse {
                partitions: partitions.into(),
                ..Default::default()
            };
            match topic {
                FetchTopicName::Id(id) => answer.topic_id = id,
                FetchTopicName::Name(name) => answer.topic = Str::from(name.to_string()),
            }
            answer
        };
        self.0.into_iter().map(answer).collect()
    }
}

/// Kafka answers an error with no marks and empty records.
fn refused(index: i32, code: ErrorCode) -> PartitionData<'static> {
    PartitionData {
        partition_index: index,
        error_code: code.0,
        high_watermark: Offset::UNKNOWN.0,
        records: Some(Records::Segments(Vec::new())),
        ..Default::default()
    }
}

/// And where it was a read that failed, with null for the aborted transactions.
fn unread(index: i32, code: ErrorCode) -> PartitionData<'static> {
    PartitionData {
        aborted_transactions: None,
        ..refused(index, code)
    }
}

fn partition_data(planned: &Planned, answer: ReadAnswer, isolation: Isolation) -> PartitionData<'static> {
    let index = planned.index.0;
    if let Err(code) = planned.target {
        return refused(index, code);
    }
    let Some(marks) = answer.marks else {
        return match answer.outcome {
            ReadOutcome::Refused(code) => unread(index, code),
            _ => unread(index, ErrorCode::UNKNOWN_SERVER_ERROR),
        };
    };
    let mut data = PartitionData {
        partition_index: index,
        high_watermark: marks.high_watermark.0,
        last_stable_offset: marks.last_stable_offset.0,
        log_start_offset: marks.start_offset.0,
        aborted_transactions: (isolation == Isolation::ReadCommitted).then(|| aborted(&answer.aborted)),
        records: Some(Records::Segments(Vec::new())),
        ..Default::default()
    };
    match answer.outcome {
        ReadOutcome::Read(segments) => data.records = Some(Records::Segments(segments)),
        ReadOutcome::Diverging(epoch, end_offset) => {
            data.diverging_epoch = EpochEndOffset {
                epoch: epoch.0,
                end_offset: end_offset.0,
            };
        }
        ReadOutcome::Refused(code) => return unread(index, code),
    }
    data
}

fn aborted(transactions: &[AbortedTransaction]) -> Array<'static, AbortedTransactionAnswer> {
    let answer = |aborted: &AbortedTransaction| AbortedTransactionAnswer {
        producer_id: aborted.producer_id.0,
        first_offset: aborted.first_offset.0,
    };
    transactions.iter().map(answer).collect()
}
