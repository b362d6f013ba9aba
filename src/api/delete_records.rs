//! DeleteRecords (key 21), versions 0–2: moves the start of logs (KIP-107). The files go when retention is looked at next; readers and
//! restarts see the new start at once.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::{Offset, PartitionIndex, TopicPartition};
use crate::partition::Refusal;
use crate::shard::{Shard, TimeSlice, join_all};
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsRequest};
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// Kafka's `DeleteRecordsResponse.INVALID_LOW_WATERMARK`.
const NO_LOW_WATERMARK: i64 = -1;

struct Topic {
    name: String,
    partitions: Vec<(i32, Result<Deletion, Refusal>)>,
}

#[derive(Clone, Copy)]
struct Deletion {
    partition: TopicPartition,
    /// The first record to keep, as the request says it.
    before: Offset,
}

/// Answers a DeleteRecords request; when it does, a restart begins where the answer says.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let topics = match request.body::<DeleteRecordsRequest<'_>>() {
        Ok(body) => plan(&shard, &body, &mut slice).await,
        Err(error) => return request.malformed(error),
    };
    let deletions = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .map(|(_, deletion)| delete(&shard, deletion.clone()));
    let outcomes = join_all(deletions).await;
    if outcomes.iter().any(Result::is_ok) {
        shard.checkpoint().await;
    }
    let mut outcomes = outcomes.into_iter();
    let mut answers = Vec::new();
    for topic in topics {
        let mut partitions = Vec::new();
        let asked = topic.partitions.into_iter().zip(&mut outcomes);
        let add = |((index, _), outcome)| partitions.push(answer(index, outcome));
        slice.each(asked, add).await;
        answers.push(DeleteRecordsTopicResult {
            name: Str::from(topic.name),
            partitions: partitions.into(),
        });
    }
    request.reply(&DeleteRecordsResponse {
        topics: answers.into(),
        ..Default::default()
    })
}

/// As in Kafka a partition that is named again counts as it was named last.
async fn plan(shard: &Shard, body: &DeleteRecordsRequest<'_>, slice: &mut TimeSlice) -> Vec<Topic> {
    let mut topics: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for topic in body.topics.iter() {
        let offsets = topics.entry(topic.name.into_owned()).or_default();
        let add = |partition: DeleteRecordsPartition| {
            offsets.insert(partition.partition_index, partition.offset);
        };
        slice.each(topic.partitions.iter(), add).await;
    }
    let mut planned = Vec::new();
    for (name, offsets) in topics {
        let mut partitions = Vec::new();
        let add = |(index, before)| partitions.push((index, plan_one(shard, &name, index, Offset(before))));
        slice.each(offsets, add).await;
        planned.push(Topic { name, partitions });
    }
    planned
}

fn plan_one(shard: &Shard, topic: &str, index: i32, before: Offset) -> Result<Deletion, Refusal> {
    let id = {
        let image = shard.image();
        let topic = image
            .topic_by_name(topic)
            .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if topic.is_internal() {
            return Err(ErrorCode::INVALID_TOPIC_EXCEPTION.into());
        }
        topic.id
    };
    let partition = shard.existing_partition(id, PartitionIndex(index))?;
    Ok(Deletion { partition, before })
}

async fn delete(shard: &Rc<Shard>, deletion: Result<Deletion, Refusal>) -> Result<Offset, Refusal> {
    let Deletion { partition, before } = deletion?;
    shard.delete_records(partition, before).await
}

fn answer(index: i32, outcome: Result<Offset, Refusal>) -> DeleteRecordsPartitionResult {
    let (code, low_watermark) = match outcome {
        Ok(start) => (ErrorCode::NONE, start.0),
        Err(refusal) => (refusal.code, NO_LOW_WATERMARK),
    };
    DeleteRecordsPartitionResult {
        partition_index: index,
        low_watermark,
        error_code: code.0,
    }
}
