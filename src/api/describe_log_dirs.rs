//! DescribeLogDirs (key 35), versions 1–5: the node's log directories, what lies in each, and how much room there is (KIP-113, KIP-827,
//! KIP-1066).
//!
//! A partition that isn't there, or whose directory is offline, is not among what is answered.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::base::{PartitionIndex, TopicId, TopicPartition};
use crate::shard::{DirCondition, DirIndex, LogSize, Shard, TimeSlice};
use crate::wire::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use crate::wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// The partitions of one directory, by topic.
type Contents = BTreeMap<TopicId, Vec<DescribeLogDirsPartition>>;

/// Answers a DescribeLogDirs request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let _admission;
    let wanted = {
        let (body, elements): (DescribeLogDirsRequest<'_>, usize) = match request.counted_body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        _admission = shard.large_requests().admit(elements).await;
        wanted(&shard, &body, &mut slice).await
    };
    let mut contents: BTreeMap<DirIndex, Contents> = BTreeMap::new();
    let add = |size: LogSize| {
        let of_dir = contents.entry(size.dir).or_default();
        of_dir
            .entry(size.partition.topic)
            .or_default()
            .push(describe(size));
    };
    let sizes = shard.log_sizes(wanted).await;
    slice.each(sizes, add).await;
    let mut results = Vec::new();
    for (dir, of_node) in shard.node().dirs.all() {
        let contents = contents.remove(&dir).unwrap_or_default();
        let path = of_node.path.display().to_string();
        results.push(describe_dir(&shard, dir, path, contents, &mut slice).await);
    }
    request.reply(&DescribeLogDirsResponse {
        results: results.into(),
        ..Default::default()
    })
}

/// The partitions that are asked for, each once; none stands for all.
async fn wanted(
    shard: &Shard,
    body: &DescribeLogDirsRequest<'_>,
    slice: &mut TimeSlice,
) -> Option<Vec<TopicPartition>> {
    let mut wanted = std::collections::BTreeSet::new();
    for asked in body.topics.as_ref()?.iter() {
        let Some(topic) = shard.image().topic_by_name(&asked.topic).map(|topic| topic.id) else {
            continue;
        };
        let add = |index: i32| {
            let partition = shard.existing_partition(topic, PartitionIndex(index));
            wanted.extend(partition.ok());
        };
        slice.each(asked.partitions.iter(), add).await;
    }
    Some(wanted.into_iter().collect())
}

fn describe(size: LogSize) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition {
        partition_index: size.partition.partition.0,
        partition_size: size.size_bytes as i64,
        // The leader is behind nobody.
        offset_lag: size.future_lag.unwrap_or(0),
        is_future_key: size.future_lag.is_some(),
    }
}

async fn describe_dir<'a>(
    shard: &Shard,
    dir: DirIndex,
    path: String,
    contents: Contents,
    slice: &mut TimeSlice,
) -> DescribeLogDirsResult<'a> {
    let failed = |code: ErrorCode| DescribeLogDirsResult {
        error_code: code.0,
        log_dir: Str::from(path.clone()),
        ..Default::default()
    };
    let (space, is_cordoned) = match shard.dir_condition(dir) {
        DirCondition::Offline => return failed(ErrorCode::KAFKA_STORAGE_ERROR),
        DirCondition::Online { space: Err(_), .. } => return failed(ErrorCode::UNKNOWN_SERVER_ERROR),
        DirCondition::Online {
            space: Ok(space),
            is_cordoned,
        } => (space, is_cordoned),
    };
    let mut topics = Vec::new();
    let add = |(topic, partitions): (TopicId, Vec<_>)| {
        // A topic that was deleted meanwhile has no name any more.
        if let Some(topic) = shard.image().topic(topic) {
            topics.push(DescribeLogDirsTopic {
                name: Str::from(topic.name.clone()),
                partitions: partitions.into(),
            });
        }
    };
    slice.each(contents, add).await;
    DescribeLogDirsResult {
        error_code: ErrorCode::NONE.0,
        log_dir: Str::from(path),
        topics: topics.into(),
        total_bytes: clamp(space.total_bytes),
        usable_bytes: clamp(space.usable_bytes),
        is_cordoned,
    }
}

/// Kafka's `adjustForLargeFileSystems`.
fn clamp(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
