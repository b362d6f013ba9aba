//! ListOffsets (key 2), versions 1–11: offsets by time, and Kafka's special times.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::{LeaderEpoch, PartitionIndex, Timestamp};
use crate::partition::{Isolation, Refusal};
use crate::shard::{FindOffset, FoundOffset, OffsetTarget, Shard, TimeSlice, join_all};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsRequest};
use crate::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// Before this version an answer has no room for the leader epoch.
const FIRST_VERSION_WITH_EPOCH: i16 = 4;

struct Topic {
    name: String,
    partitions: Vec<(i32, Result<FindOffset, ErrorCode>)>,
}

/// Answers a ListOffsets request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let _admission;
    let topics = {
        let (body, elements): (ListOffsetsRequest<'_>, usize) = match request.counted_body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        _admission = shard.large_requests().admit(elements).await;
        plan(&shard, request.version, &body, &mut slice).await
    };
    let finds = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|(_, find)| find_one(&shard, *find));
    let mut found = join_all(finds).await.into_iter();
    let mut answers = Vec::new();
    for topic in topics {
        let mut partitions = Vec::new();
        let asked = topic.partitions.into_iter().zip(&mut found);
        let add = |((index, _), found)| partitions.push(answer(request.version, index, found));
        slice.each(asked, add).await;
        answers.push(ListOffsetsTopicResponse {
            partitions: partitions.into(),
            name: Str::from(topic.name),
        });
    }
    request.reply(&ListOffsetsResponse {
        topics: answers.into(),
        ..Default::default()
    })
}

async fn plan(
    shard: &Shard,
    version: i16,
    body: &ListOffsetsRequest<'_>,
    slice: &mut TimeSlice,
) -> Vec<Topic> {
    // Kafka fails at a level that isn't.
    let isolation = Isolation::of(body.isolation_level).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR);
    let twice = asked_twice(body, slice).await;
    let mut answered_twice = BTreeSet::new();
    let mut topics = Vec::new();
    for topic in body.topics.iter() {
        let known = shard.image().topic_by_name(&topic.name).map(|topic| topic.id);
        let twice = twice.get(&*topic.name);
        let mut plan_one = |partition: ListOffsetsPartition| {
            let is_twice = twice.is_some_and(|twice| twice.contains(&partition.partition_index));
            // Asked for twice, a partition is refused once.
            if is_twice && !answered_twice.insert((topic.name.to_string(), partition.partition_index)) {
                return None;
            }
            let find = isolation.and_then(|isolation| {
                if is_twice {
                    return Err(ErrorCode::INVALID_REQUEST);
                }
                let target = target(version, partition.timestamp)?;
                let id = known.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
                Ok(FindOffset {
                    partition: shard.existing_partition(id, PartitionIndex(partition.partition_index))?,
                    current_epoch: LeaderEpoch(partition.current_leader_epoch),
                    target,
                    isolation,
                })
            });
            Some((partition.partition_index, find))
        };
        let mut partitions = Vec::new();
        for partition in topic.partitions.iter() {
            partitions.extend(slice.spend(|| plan_one(partition)).await);
        }
        topics.push(Topic {
            partitions,
            name: topic.name.into_owned(),
        });
    }
    topics
}

/// The partitions, by topic, that stand in the request more than once, which Kafka refuses.
async fn asked_twice(
    body: &ListOffsetsRequest<'_>,
    slice: &mut TimeSlice,
) -> BTreeMap<String, BTreeSet<i32>> {
    let mut seen: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let mut twice: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for topic in body.topics.iter() {
        let seen = seen.entry(topic.name.to_string()).or_default();
        for partition in topic.partitions.iter() {
            if !slice.spend(|| seen.insert(partition.partition_index)).await {
                let twice = twice.entry(topic.name.to_string()).or_default();
                twice.insert(partition.partition_index);
            }
        }
    }
    twice
}

/// What a time on the wire means, in a version that knows it.
fn target(version: i16, timestamp: i64) -> Result<OffsetTarget, ErrorCode> {
    match timestamp {
        0.. => Ok(OffsetTarget::Time(Timestamp(timestamp))),
        -1 => Ok(OffsetTarget::Latest),
        -2 => Ok(OffsetTarget::Earliest),
        -3 if version >= 7 => Ok(OffsetTarget::MaxTimestamp),
        // Everything is local without tiered storage.
        -4 if version >= 8 => Ok(OffsetTarget::Earliest),
        -5 if version >= 9 => Ok(OffsetTarget::Tiered),
        -6 if version >= 11 => Ok(OffsetTarget::Tiered),
        _ => Err(ErrorCode::UNSUPPORTED_VERSION),
    }
}

async fn find_one(shard: &Rc<Shard>, find: Result<FindOffset, ErrorCode>) -> Result<FoundOffset, Refusal> {
    shard.find_offset(find?).await
}

fn answer(version: i16, index: i32, found: Result<FoundOffset, Refusal>) -> ListOffsetsPartitionResponse {
    match found {
        Ok(found) => ListOffsetsPartitionResponse {
            partition_index: index,
            timestamp: found.timestamp.0,
            offset: found.offset.0,
            leader_epoch: if version >= FIRST_VERSION_WITH_EPOCH {
                found.leader_epoch.0
            } else {
                -1
            },
            ..Default::default()
        },
        Err(refusal) => ListOffsetsPartitionResponse {
            partition_index: index,
            error_code: refusal.code.0,
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        },
    }
}
