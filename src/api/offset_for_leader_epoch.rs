//! OffsetForLeaderEpoch (key 23), versions 2–4: where a leader epoch ends, by which a reader finds out where its log or its
//! position left the leader's (KIP-101, KIP-279, KIP-320).
//!
//! The answer names the largest epoch not above the one asked for, and the offset behind its last record; −1 and −1 when this
//! leader can't tell, as of an epoch that is still to come. Consumers and followers are answered alike.

use std::rc::Rc;

use crate::base::{LeaderEpoch, PartitionIndex};
use crate::log::EpochEnd;
use crate::partition::Refusal;
use crate::shard::{FindEpochEnd, Shard, TimeSlice, join_all};
use crate::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition,
};
use crate::wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

struct Topic {
    name: String,
    partitions: Vec<(i32, Result<FindEpochEnd, ErrorCode>)>,
}

/// Answers an OffsetForLeaderEpoch request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let topics = match request.body::<OffsetForLeaderEpochRequest<'_>>() {
        Ok(body) => plan(&shard, &body, &mut slice).await,
        Err(error) => return request.malformed(error),
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
        slice
            .each(asked, |((index, _), found)| partitions.push(answer(index, found)))
            .await;
        answers.push(OffsetForLeaderTopicResult {
            partitions: partitions.into(),
            topic: Str::from(topic.name),
        });
    }
    request.reply(&OffsetForLeaderEpochResponse {
        topics: answers.into(),
        ..Default::default()
    })
}

async fn plan(shard: &Shard, body: &OffsetForLeaderEpochRequest<'_>, slice: &mut TimeSlice) -> Vec<Topic> {
    let mut topics = Vec::new();
    for topic in body.topics.iter() {
        let known = shard.image().topic_by_name(&topic.topic).map(|topic| topic.id);
        let plan_one = |partition: OffsetForLeaderPartition| {
            let find = known.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).and_then(|id| {
                Ok(FindEpochEnd {
                    partition: shard.existing_partition(id, PartitionIndex(partition.partition))?,
                    current_epoch: LeaderEpoch(partition.current_leader_epoch),
                    epoch: LeaderEpoch(partition.leader_epoch),
                })
            });
            (partition.partition, find)
        };
        let mut partitions = Vec::new();
        for partition in topic.partitions.iter() {
            partitions.push(slice.spend(|| plan_one(partition)).await);
        }
        topics.push(Topic {
            partitions,
            name: topic.topic.into_owned(),
        });
    }
    topics
}

async fn find_one(
    shard: &Rc<Shard>,
    find: Result<FindEpochEnd, ErrorCode>,
) -> Result<Option<EpochEnd>, Refusal> {
    shard.find_epoch_end(find?).await
}

fn answer(partition: i32, found: Result<Option<EpochEnd>, Refusal>) -> EpochEndOffset {
    let (code, found) = match found {
        Ok(found) => (ErrorCode::NONE, found),
        Err(refusal) => (refusal.code, None),
    };
    EpochEndOffset {
        error_code: code.0,
        partition,
        leader_epoch: found.map_or(-1, |end| end.epoch.0),
        end_offset: found.map_or(-1, |end| end.end.0),
    }
}
