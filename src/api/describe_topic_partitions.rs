//! DescribeTopicPartitions (key 75), version 0: topics and their partitions page by page, in the order of their names (KIP-966,
//! Kafka's `DescribeTopicPartitionsRequestHandler`).
//!
//! A page ends at a number of partitions; its cursor says where the next one begins. A topic that isn't there takes no
//! room, but comes only while there is some.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::rc::Rc;

use crate::base::PartitionIndex;
use crate::metadata::names::validate_topic_name;
use crate::metadata::{Image, Partition, Topic};
use crate::shard::{Shard, TimeSlice};
use crate::wire::messages::describe_topic_partitions_request::{
    self, DescribeTopicPartitionsRequest, TopicRequest,
};
use crate::wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use crate::wire::{Array, ErrorCode, Str};

use super::endpoints::{OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS};
use super::{Reply, Request};

/// Answers a DescribeTopicPartitions request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let body: DescribeTopicPartitionsRequest<'_> = match request.body() {
        Ok(body) => body,
        Err(error) => return request.malformed(error),
    };
    let mut slice = TimeSlice::default();
    let mut names = BTreeSet::new();
    let add = |topic: TopicRequest<'_>| {
        names.insert(topic.name.into_owned());
    };
    slice.each(body.topics.iter(), add).await;
    if !cursor_is_valid(body.cursor.as_ref(), &names) {
        return refuse(&request, &body, &mut slice).await;
    }
    let (from_name, from_partition) = match &body.cursor {
        Some(cursor) => (&*cursor.topic_name, cursor.partition_index),
        None => ("", 0),
    };
    let limit = body
        .response_partition_limit
        .clamp(1, shard.config().partitions_per_page_max());
    let mut page = Page {
        room: limit as usize,
        from: (from_name, PartitionIndex(from_partition)),
        ..Page::default()
    };
    match names.is_empty() {
        true => page.take_all(&shard.image()),
        false => page.take_named(&shard, &names, &mut slice).await,
    }
    request.reply(&DescribeTopicPartitionsResponse {
        topics: page.topics.into(),
        next_cursor: page.next,
        ..Default::default()
    })
}

/// A cursor names a topic that is asked for, and no partition before the first.
fn cursor_is_valid(
    cursor: Option<&describe_topic_partitions_request::Cursor<'_>>,
    names: &BTreeSet<String>,
) -> bool {
    cursor.is_none_or(|cursor| {
        cursor.partition_index >= 0 && (names.is_empty() || names.contains(&*cursor.topic_name))
    })
}

/// The answer to a request that can't be understood: there is no room for an error but with the topics.
async fn refuse(
    request: &Request,
    body: &DescribeTopicPartitionsRequest<'_>,
    slice: &mut TimeSlice,
) -> Reply {
    let mut topics = Vec::new();
    let refuse_one = |asked: TopicRequest<'_>| {
        topics.push(DescribeTopicPartitionsResponseTopic {
            topic_authorized_operations: OPERATIONS_NOT_ASKED,
            ..refused(&asked.name, ErrorCode::INVALID_REQUEST)
        });
    };
    slice.each(body.topics.iter(), refuse_one).await;
    request.reply(&DescribeTopicPartitionsResponse {
        topics: topics.into(),
        ..Default::default()
    })
}

/// A page that is being filled.
#[derive(Default)]
struct Page<'c> {
    /// Where it begins: a topic and the first of its partitions.
    from: (&'c str, PartitionIndex),
    /// How many more partitions it takes.
    room: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic<'static>>,
    /// Where the next one begins, when there is one.
    next: Option<Cursor<'static>>,
}

impl Page<'_> {
    fn take_all(&mut self, image: &Image) {
        let from = self.from.0;
        let rest = image.topics().skip_while(|topic| topic.name.as_str() < from);
        rest.take_while(|topic| self.take(image, &topic.name, Some(topic)))
            .count();
    }

    async fn take_named(&mut self, shard: &Shard, names: &BTreeSet<String>, slice: &mut TimeSlice) {
        for name in names.range::<str, _>((Bound::Included(self.from.0), Bound::Unbounded)) {
            let take = || self.take_one_named(name, &shard.image());
            if !slice.spend(take).await {
                return;
            }
        }
    }

    fn take_one_named(&mut self, name: &str, image: &Image) -> bool {
        self.take(image, name, image.topic_by_name(name))
    }

    /// Adds as much as there is room for of the topic of this name; false when the page is full.
    fn take(&mut self, image: &Image, name: &str, topic: Option<&Topic>) -> bool {
        if self.room == 0 {
            self.next = Some(cursor(name, PartitionIndex(0)));
            return false;
        }
        let Some(topic) = topic else {
            let code = match validate_topic_name(name) {
                Ok(()) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                Err(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
            };
            self.topics.push(refused(name, code));
            return true;
        };
        let first = match self.from {
            (from, partition) if from == name => partition,
            _ => PartitionIndex(0),
        };
        let mut rest = topic.partitions.range(first..);
        let describe = |(index, partition): (&PartitionIndex, _)| describe(image, *index, partition);
        let partitions: Vec<_> = rest.by_ref().take(self.room).map(describe).collect();
        self.room -= partitions.len();
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(Str::from(topic.name.clone())),
            topic_id: topic.id,
            is_internal: topic.is_internal(),
            partitions: partitions.into(),
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..Default::default()
        });
        self.next = rest.next().map(|(index, _)| cursor(name, *index));
        self.next.is_none()
    }
}

fn cursor(topic: &str, partition: PartitionIndex) -> Cursor<'static> {
    Cursor {
        topic_name: Str::from(topic.to_owned()),
        partition_index: partition.0,
    }
}

fn refused(name: &str, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic<'static> {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.0,
        name: Some(Str::from(name.to_owned())),
        topic_authorized_operations: TOPIC_OPERATIONS,
        ..Default::default()
    }
}

fn describe(
    image: &Image,
    index: PartitionIndex,
    partition: &Partition,
) -> DescribeTopicPartitionsResponsePartition<'static> {
    let ids =
        |nodes: &[crate::base::NodeId]| nodes.iter().map(|node| node.0).collect::<Array<'static, i32>>();
    DescribeTopicPartitionsResponsePartition {
        error_code: match partition.leader {
            Some(_) => ErrorCode::NONE.0,
            None => ErrorCode::LEADER_NOT_AVAILABLE.0,
        },
        partition_index: index.0,
        leader_id: partition.leader.map_or(-1, |node| node.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(ids(&partition.eligible_leader_replicas)),
        last_known_elr: Some(ids(&partition.last_known_elr)),
        offline_replicas: image.offline_replicas(partition).map(|node| node.0).collect(),
    }
}
