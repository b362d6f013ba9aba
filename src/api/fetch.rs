//! Fetch (key 1), versions 4–18: full fetches. No session is ever opened: the answer's session id is 0, which tells
//! a client to go on with full fetches (KIP-227).
//!
//! A fetch that finds less than `min_bytes` is parked on its partitions and answered by the append that brings the rest, or at
//! `max_wait_ms`. Behaves as a leader towards consumers; there are no followers yet.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use crate::base::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use crate::io;
use crate::partition::ReadRange;
use crate::shard::{ReadAnswer, ReadOutcome, Shard, Wanted};
use crate::wire::messages::fetch_request::{FetchPartition, FetchRequest};
use crate::wire::messages::fetch_response::{
    EpochEndOffset, FetchResponse, FetchableTopicResponse, PartitionData,
};
use crate::wire::{Array, ErrorCode, Records, Str};

use super::{Reply, Request, asked};

/// Bytes of records in one answer, whatever the client allows: an answer is in memory as long as its reader takes to read
/// it. A client that wants more asks again.
const ANSWER_BYTES_MAX: usize = 8 << 20;

struct Plan {
    bytes_min: usize,
    bytes_max: usize,
    wait: Duration,
    read_committed: bool,
    topics: Vec<Topic>,
}

struct Topic {
    name: String,
    id: TopicId,
    partitions: Vec<Asked>,
}

struct Asked {
    index: i32,
    target: Result<Wanted, ErrorCode>,
}

/// Answers a fetch request.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    let plan = {
        let body: FetchRequest<'_> = match request.body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        if body.session_id != 0 {
            return refuse_session(&request);
        }
        plan(&shard, request.version, &body)
    };
    // It may wait for long, and its frame may be large.
    request.frame = BytesMut::new();
    let answers = read(&shard, &plan).await;
    reply(&request, plan, answers)
}

/// A session id that we never gave.
fn refuse_session(request: &Request) -> Reply {
    request.reply(&FetchResponse {
        error_code: ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0,
        ..Default::default()
    })
}

fn plan(shard: &Shard, version: i16, body: &FetchRequest<'_>) -> Plan {
    let is_replica = body.replica_id >= 0 || body.replica_state.replica_id >= 0;
    let bytes_max = (body.max_bytes.max(0) as usize)
        .min(shard.config().fetch_bytes_max())
        .min(ANSWER_BYTES_MAX);
    let mut asked_before = BTreeSet::new();
    let topics = body.topics.iter().map(|topic| {
        let known = asked::topic(shard, version, &topic.topic, topic.topic_id);
        let partitions = topic.partitions.iter().filter_map(|partition| {
            let target = match is_replica {
                // The only replica is this leader: nobody follows it.
                true => Err(ErrorCode::NOT_LEADER_OR_FOLLOWER),
                false => known
                    .and_then(|id| shard.existing_partition(id, PartitionIndex(partition.partition)))
                    .map(|target| wanted(target, &partition)),
            };
            // Asked for twice, a partition is answered once, as in Kafka.
            if let Ok(wanted) = &target
                && !asked_before.insert(wanted.partition)
            {
                return None;
            }
            Some(Asked {
                index: partition.partition,
                target,
            })
        });
        Topic {
            partitions: partitions.collect(),
            name: topic.topic.into_owned(),
            id: topic.topic_id,
        }
    });
    Plan {
        bytes_min: (body.min_bytes.max(0) as usize).min(bytes_max),
        bytes_max,
        wait: Duration::from_millis(body.max_wait_ms.max(0) as u64),
        read_committed: body.isolation_level == asked::READ_COMMITTED,
        topics: topics.collect(),
    }
}

fn wanted(partition: TopicPartition, asked: &FetchPartition) -> Wanted {
    let range = ReadRange {
        offset: Offset(asked.fetch_offset),
        bytes_max: asked.partition_max_bytes.max(0) as usize,
        at_least_one: true,
        current_epoch: LeaderEpoch(asked.current_leader_epoch),
        last_fetched_epoch: LeaderEpoch(asked.last_fetched_epoch),
    };
    Wanted { partition, range }
}

/// Reads until there is enough, something to report, or no time left.
async fn read(shard: &Rc<Shard>, plan: &Plan) -> Vec<ReadAnswer> {
    let asked = plan.topics.iter().flat_map(|topic| &topic.partitions);
    let wanted: Vec<Wanted> = asked.clone().filter_map(|asked| asked.target.ok()).collect();
    let has_errors = asked.clone().any(|asked| asked.target.is_err());
    let may_wait = !has_errors && !wanted.is_empty();
    let deadline = io::now() + plan.wait;
    loop {
        let time_left = deadline.since(io::now());
        let waits = may_wait && !time_left.is_zero();
        let round = shard.read(&wanted, plan.bytes_max, plan.bytes_min, waits).await;
        let enough = round.bytes >= plan.bytes_min || round.has_news;
        match round.parked {
            Some(parked) if !enough => {
                let _ = io::timeout(time_left, parked.fired()).await;
            }
            _ => return round.answers,
        }
    }
}

fn reply(request: &Request, plan: Plan, answers: Vec<ReadAnswer>) -> Reply {
    let read_committed = plan.read_committed;
    let mut answers = answers.into_iter();
    let responses = plan.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| match asked.target {
            Err(code) => refused(asked.index, code),
            Ok(_) => {
                let answer = answers.next().expect("every resolved partition has its answer");
                partition_data(asked.index, answer, read_committed)
            }
        });
        FetchableTopicResponse {
            partitions: partitions.collect(),
            topic: Str::from(topic.name),
            topic_id: topic.id,
        }
    });
    request.reply(&FetchResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}

/// Kafka answers an error with no marks and empty records.
fn refused<'a>(index: i32, code: ErrorCode) -> PartitionData<'a> {
    PartitionData {
        partition_index: index,
        error_code: code.0,
        high_watermark: Offset::UNKNOWN.0,
        records: Some(Records::Segments(Vec::new())),
        ..Default::default()
    }
}

fn partition_data<'a>(index: i32, answer: ReadAnswer, read_committed: bool) -> PartitionData<'a> {
    let Some(marks) = answer.marks else {
        return match answer.outcome {
            ReadOutcome::Refused(code) => refused(index, code),
            _ => refused(index, ErrorCode::UNKNOWN_SERVER_ERROR),
        };
    };
    let mut data = PartitionData {
        partition_index: index,
        high_watermark: marks.high_watermark.0,
        last_stable_offset: marks.last_stable_offset.0,
        log_start_offset: marks.start_offset.0,
        aborted_transactions: read_committed.then(Array::default),
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
        ReadOutcome::Refused(code) => return refused(index, code),
    }
    data
}
