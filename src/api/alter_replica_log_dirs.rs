//! AlterReplicaLogDirs (key 34), versions 1–2: moves this node's replicas to others of its log directories (KIP-113). The answer says whether
//! a move could begin; DescribeLogDirs tells how far it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::base::{PartitionIndex, TopicPartition};
use crate::log::names;
use crate::shard::{DirCondition, DirIndex, Shard, TimeSlice, join_all};
use crate::wire::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use crate::wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// Where each partition is to go, by topic; its path may be none of the node's.
type Wanted = BTreeMap<String, BTreeMap<i32, Rc<PathBuf>>>;

/// Answers an AlterReplicaLogDirs request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let wanted = match request.body::<AlterReplicaLogDirsRequest<'_>>() {
        Ok(body) => wanted(&body, &mut slice).await,
        Err(error) => return request.malformed(error),
    };
    let mut results = Vec::new();
    for (topic, partitions) in wanted {
        let moves = partitions
            .iter()
            .map(|(index, path)| begin(&shard, &topic, *index, path));
        let outcomes = join_all(moves).await;
        let answer = |(index, outcome): (&i32, Result<(), ErrorCode>)| AlterReplicaLogDirPartitionResult {
            partition_index: *index,
            error_code: outcome.err().unwrap_or(ErrorCode::NONE).0,
        };
        let partitions: Vec<_> = partitions.keys().zip(outcomes).map(answer).collect();
        results.push(AlterReplicaLogDirTopicResult {
            topic_name: Str::from(topic),
            partitions: partitions.into(),
        });
    }
    request.reply(&AlterReplicaLogDirsResponse {
        results: results.into(),
        ..Default::default()
    })
}

/// As in Kafka a partition that is named again goes where it was named last.
async fn wanted(body: &AlterReplicaLogDirsRequest<'_>, slice: &mut TimeSlice) -> Wanted {
    let mut wanted = Wanted::new();
    for dir in body.dirs.iter() {
        let path = Rc::new(PathBuf::from(dir.path.into_owned()));
        for topic in dir.topics.iter() {
            let partitions = wanted.entry(topic.name.into_owned()).or_default();
            let add = |index: i32| {
                partitions.insert(index, path.clone());
            };
            slice.each(topic.partitions.iter(), add).await;
        }
    }
    wanted
}

/// In the order in which Kafka's `ReplicaManager.alterReplicaLogDirs` looks.
async fn begin(shard: &Rc<Shard>, topic: &str, index: i32, path: &Path) -> Result<(), ErrorCode> {
    let name = names::partition_dir(topic, PartitionIndex(index));
    if names::future_partition_dir(&name, [0; 16]).is_none() {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let to = target(shard, path)?;
    let partition = existing(shard, topic, index)?;
    shard.move_replica(partition, to).await
}

fn target(shard: &Shard, path: &Path) -> Result<DirIndex, ErrorCode> {
    let to = shard
        .node()
        .dirs
        .by_path(path)
        .ok_or(ErrorCode::LOG_DIR_NOT_FOUND)?;
    match shard.dir_condition(to) {
        DirCondition::Offline => Err(ErrorCode::KAFKA_STORAGE_ERROR),
        DirCondition::Online {
            is_cordoned: true, ..
        } => Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        DirCondition::Online { .. } => Ok(to),
    }
}

fn existing(shard: &Shard, topic: &str, index: i32) -> Result<TopicPartition, ErrorCode> {
    let topic = shard.image().topic_by_name(topic).map(|topic| topic.id);
    let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    shard.existing_partition(topic, PartitionIndex(index))
}
