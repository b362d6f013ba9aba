//! Produce (key 0), versions 3–13. Versions 0–2 are advertised because librdkafka looks for them, and refused, as Kafka does.
//!
//! Each partition of the request has its own outcome. The records are split off the frame without a copy and go to
//! the core that owns the partition; `acks` 1 and all mean the same while there is one replica.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use bytes::BytesMut;

use crate::base::{PartitionIndex, TopicId, TopicPartition};
use crate::partition::{Appended, Refusal};
use crate::shard::{AT_ONCE, Admission, AppendedHere, Shard, TimeSlice, join_all};
use crate::wire::batch::BatchView;
use crate::wire::compression::Codec;
use crate::wire::messages::produce_request::ProduceRequest;
use crate::wire::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use crate::wire::{ErrorCode, Records, Str, frame};

use super::record_errors::{self, Names};
use super::{Begun, Reply, Request, asked};

/// Kafka writes no older batches since 4.0 (KIP-896); versions below this one cannot carry the current format.
const FIRST_VERSION: i16 = 3;

/// Who speaks an older version doesn't know zstd, so neither may what it writes be in it (KIP-110).
const FIRST_ZSTD_VERSION: i16 = 7;

/// The client id that may write to internal topics (Kafka's `AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// What is left of the request once its frame has been split up.
struct Plan {
    /// Until the answer is there.
    _admission: Admission,
    acks: i16,
    is_transactional: bool,
    topics: Vec<Topic>,
    /// In the order of the request, which is the order of `ranges` too.
    partitions: Vec<Piece>,
}

struct Topic {
    name: String,
    id: TopicId,
    pieces: Range<usize>,
}

/// One partition's part of the request.
struct Piece {
    index: i32,
    target: Result<TopicPartition, ErrorCode>,
    records: BytesMut,
    /// Another piece for the same partition follows: that one counts, and this one isn't answered.
    is_replaced: bool,
}

/// Answers a produce request.
pub async fn serve(shard: Rc<Shard>, mut request: Request) -> Reply {
    if request.version < FIRST_VERSION {
        return Reply::Close(format!(
            "Produce version {} carries a format that is no longer written",
            request.version
        ));
    }
    let mut slice = TimeSlice::default();
    let mut plan = match plan(&shard, &mut request, &mut slice).await {
        Ok(plan) => plan,
        Err(reply) => return reply,
    };
    let pieces = std::mem::take(&mut plan.partitions);
    let indexes: Vec<Option<i32>> = pieces
        .iter()
        .map(|piece| (!piece.is_replaced).then_some(piece.index))
        .collect();
    let outcomes = match refuse_whole(&plan, &pieces) {
        Some(code) => pieces.iter().map(|_| Err(Refusal::from(code))).collect(),
        None => append_all(&shard, pieces, &request.begun, &mut slice).await,
    };
    if plan.acks == 0 {
        let counting = indexes.iter().zip(&outcomes).filter(|(index, _)| index.is_some());
        return reply_to_silence(counting.map(|(_, outcome)| outcome));
    }
    reply(&shard, &request, plan.topics, &indexes, outcomes)
}

/// What is wrong with the request as a whole, if anything.
fn refuse_whole(plan: &Plan, pieces: &[Piece]) -> Option<ErrorCode> {
    let has_transactional = || {
        let batches = pieces
            .iter()
            .filter_map(|piece| BatchView::first(&piece.records).ok());
        batches.into_iter().any(|batch| batch.is_transactional())
    };
    if has_transactional() {
        return Some(match plan.is_transactional {
            false => ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
            // No transaction can have begun: InitProducerId refuses transactional ids.
            true => ErrorCode::INVALID_TXN_STATE,
        });
    }
    if !matches!(plan.acks, -1..=1) {
        return Some(ErrorCode::INVALID_REQUIRED_ACKS);
    }
    None
}

/// Reads the request, then splits every partition's records off its frame.
async fn plan(shard: &Shard, request: &mut Request, slice: &mut TimeSlice) -> Result<Plan, Reply> {
    let mut ranges = Vec::new();
    let mut plan = {
        let counted = request.counted_body().map_err(|error| request.malformed(error))?;
        let (body, elements): (ProduceRequest<'_>, usize) = counted;
        let mut plan = Plan {
            _admission: shard.large_requests().admit(elements).await,
            acks: body.acks,
            is_transactional: body.transactional_id.is_some(),
            topics: Vec::new(),
            partitions: Vec::new(),
        };
        for topic in body.topic_data.iter() {
            let first = plan.partitions.len();
            let find = || {
                let known = asked::topic(shard, request.version, &topic.name, topic.topic_id);
                known.and_then(|id| check_may_write(shard, id, request))
            };
            let known = slice.spend(find).await;
            for partition in topic.partition_data.iter() {
                let index = partition.index;
                let find = |id| shard.existing_partition(id, PartitionIndex(index));
                let target = slice.spend(|| known.and_then(find)).await;
                plan.partitions.push(Piece {
                    index,
                    target,
                    records: BytesMut::new(),
                    is_replaced: false,
                });
                let after = ranges.last().map_or(0, |range: &Range<usize>| range.end);
                ranges.push(records_range(&request.frame, partition.records.as_ref(), after));
            }
            let pieces = first..plan.partitions.len();
            plan.topics.push(Topic {
                name: topic.name.into_owned(),
                id: topic.topic_id,
                pieces,
            });
        }
        plan
    };
    let records = frame::carve(std::mem::take(&mut request.frame), &ranges);
    for (piece, records) in plan.partitions.iter_mut().zip(records) {
        piece.records = records;
        if request.version < FIRST_ZSTD_VERSION && is_zstd(&piece.records) {
            piece.target = piece.target.and(Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE));
        }
    }
    mark_replaced(&mut plan.partitions);
    Ok(plan)
}

/// The broker's own topics are written by the broker, as other clients' records would not be what it expects there.
fn check_may_write(shard: &Shard, topic: TopicId, request: &Request) -> Result<TopicId, ErrorCode> {
    let is_admin = || request.client_id().is_some_and(|id| id == ADMIN_CLIENT_ID);
    match shard.image().topic(topic) {
        Some(internal) if internal.is_internal() && !is_admin() => Err(ErrorCode::INVALID_TOPIC_EXCEPTION),
        _ => Ok(topic),
    }
}

fn is_zstd(records: &[u8]) -> bool {
    BatchView::first(records).is_ok_and(|batch| batch.codec() == Ok(Codec::Zstd))
}

/// Of several pieces for one partition Kafka takes the last.
fn mark_replaced(pieces: &mut [Piece]) {
    let mut targets: Vec<(TopicPartition, usize)> = pieces
        .iter()
        .enumerate()
        .filter_map(|(place, piece)| Some((piece.target.ok()?, place)))
        .collect();
    targets.sort_unstable();
    for pair in targets.windows(2) {
        if pair[0].0 == pair[1].0 {
            pieces[pair[0].1].is_replaced = true;
        }
    }
}

/// Where `records` lie in `frame`, which they were decoded from; for none, where `after` ends.
fn records_range(frame: &[u8], records: Option<&Records<'_>>, after: usize) -> Range<usize> {
    match records {
        Some(Records::Wire(bytes)) if !bytes.is_empty() => frame::range_in(frame, bytes),
        _ => after..after,
    }
}

/// Appends every piece. The next request of the connection begins once all of these have begun.
async fn append_all(
    shard: &Rc<Shard>,
    pieces: Vec<Piece>,
    begun: &Begun,
    slice: &mut TimeSlice,
) -> Vec<Result<Appended, Refusal>> {
    let mut outcomes = Vec::with_capacity(pieces.len());
    let names = RefCell::new(Names::default());
    let limited = |mut outcome: Result<Appended, Refusal>| {
        if let Err(refusal) = &mut outcome {
            names.borrow_mut().limit(refusal);
        }
        outcome
    };
    let (mut elsewhere, mut waiting) = (Vec::new(), Vec::new());
    for Piece {
        target,
        records,
        is_replaced,
        ..
    } in pieces
    {
        let arrived = match target {
            Err(code) => Err(Refusal::from(code)),
            // Nobody is told of it.
            Ok(_) if is_replaced => Err(Refusal::from(ErrorCode::INVALID_REQUEST)),
            Ok(partition) => shard
                .arrive(partition, records)
                .await
                .map(|batch| (partition, batch)),
        };
        outcomes.push(match arrived {
            Err(refusal) => limited(Err(refusal)),
            Ok((partition, batch)) if shard.owns(partition) => {
                match slice.spend(|| shard.append_here(partition, batch)).await {
                    AppendedHere::Settled(outcome) => limited(outcome),
                    AppendedHere::Waiting(appended, counts) => {
                        waiting.push((outcomes.len(), counts));
                        Ok(appended)
                    }
                }
            }
            Ok((partition, batch)) => {
                let appended = shard.append_elsewhere(partition, batch);
                elsewhere.push((outcomes.len(), async { limited(appended.await) }));
                Err(Refusal::from(ErrorCode::UNKNOWN_SERVER_ERROR))
            }
        });
    }
    // So many are under way after the first poll below, which is before anyone looks at this.
    if elsewhere.len() <= AT_ONCE {
        begun.set();
    }
    let (places, asked): (Vec<usize>, Vec<_>) = elsewhere.into_iter().unzip();
    for (place, outcome) in places.into_iter().zip(join_all(asked).await) {
        outcomes[place] = outcome;
    }
    begun.set();
    for (place, counts) in waiting {
        // A flush that nobody finished: the broker stops.
        let counted = counts
            .await
            .unwrap_or(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into()));
        if let Err(refusal) = counted {
            outcomes[place] = Err(refusal);
        }
    }
    outcomes
}

/// `acks=0` asked for no answer; an error closes the connection, so that the client looks at the metadata again.
fn reply_to_silence<'o>(mut outcomes: impl Iterator<Item = &'o Result<Appended, Refusal>>) -> Reply {
    match outcomes.find_map(|outcome| outcome.as_ref().err()) {
        None => Reply::Silent,
        Some(refusal) => Reply::Close(format!(
            "a produce request with acks=0 failed with {:?}",
            refusal.code
        )),
    }
}

fn reply(
    shard: &Shard,
    request: &Request,
    topics: Vec<Topic>,
    indexes: &[Option<i32>],
    outcomes: Vec<Result<Appended, Refusal>>,
) -> Reply {
    let responses = topics.into_iter().map(|topic| TopicProduceResponse {
        partition_responses: topic
            .pieces
            .clone()
            .filter_map(|piece| {
                let index = indexes[piece]?;
                Some(match &outcomes[piece] {
                    Ok(appended) => success(index, appended),
                    Err(refusal) => failure(shard, &topic, index, refusal),
                })
            })
            .collect(),
        name: Str::from(topic.name),
        topic_id: topic.id,
    });
    request.reply(&ProduceResponse {
        responses: responses.collect(),
        ..Default::default()
    })
}

fn success<'a>(index: i32, appended: &Appended) -> PartitionProduceResponse<'a> {
    PartitionProduceResponse {
        index,
        base_offset: appended.base_offset.0,
        log_append_time_ms: appended.append_time.0,
        log_start_offset: appended.start_offset.0,
        ..Default::default()
    }
}

fn failure<'a>(shard: &Shard, topic: &Topic, index: i32, refusal: &Refusal) -> PartitionProduceResponse<'a> {
    let mut response = PartitionProduceResponse {
        index,
        error_code: refusal.code.0,
        base_offset: -1,
        log_append_time_ms: -1,
        log_start_offset: refusal.log_start_offset.0,
        error_message: refusal.message.clone().map(Str::from),
        ..Default::default()
    };
    if let Some(breaches) = &refusal.breaches {
        let partition = format!("{}-{index}", topic_name(shard, topic));
        response.error_message = Some(Str::from(record_errors::of_batch(breaches, &partition)));
        response.record_errors = record_errors::of_records(breaches, &partition).collect();
    }
    response
}

/// The topic's name, also of one that the request names by its id.
fn topic_name(shard: &Shard, topic: &Topic) -> String {
    match topic.name.is_empty() {
        true => {
            let image = shard.image();
            let known = image.topic(topic.id);
            known.map_or_else(String::new, |known| known.name.clone())
        }
        false => topic.name.clone(),
    }
}
