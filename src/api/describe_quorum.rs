//! DescribeQuorum (key 55), versions 0–2: who leads the metadata log, who votes, and how far each is (KIP-595, KIP-836, KIP-853).
//!
//! Of a quorum of one every core knows the answer from its image: what is committed is all there is. The one partition is
//! `__cluster_metadata-0`; a request that names anything else beside or instead of it gets UNKNOWN_TOPIC_OR_PARTITION for all that
//! it names, as in Kafka.

use std::rc::Rc;

use crate::base::TopicId;
use crate::io::wall_now;
use crate::metadata::names::METADATA_TOPIC;
use crate::shard::Shard;
use crate::wire::messages::describe_quorum_request::{self, DescribeQuorumRequest};
use crate::wire::messages::describe_quorum_response::{
    DescribeQuorumResponse, Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::wire::{ErrorCode, Str};

use super::{Reply, Request};

/// The first version that names voters' directories and the nodes' addresses.
const FIRST_VERSION_WITH_DIRECTORIES: i16 = 2;

/// Kafka says "no error" so where it names none.
const NO_ERROR: Option<Str<'static>> = Some(Str::Borrowed(""));

/// Answers a DescribeQuorum request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let body: DescribeQuorumRequest<'_> = match request.body() {
        Ok(body) => body,
        Err(error) => return request.malformed(error),
    };
    let known = names_the_log_alone(&body);
    let partition = |asked: describe_quorum_request::PartitionData| match known {
        true => described(&shard, request.version),
        false => PartitionData {
            partition_index: asked.partition_index,
            error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0,
            error_message: Some(Str::from("This server does not host this topic-partition.")),
            ..Default::default()
        },
    };
    let topics = body.topics.iter().map(|topic| TopicData {
        partitions: topic.partitions.iter().map(partition).collect(),
        topic_name: topic.topic_name,
    });
    request.reply(&DescribeQuorumResponse {
        topics: topics.collect(),
        nodes: if known && request.version >= FIRST_VERSION_WITH_DIRECTORIES {
            this_node(&shard)
        } else {
            Vec::new()
        }
        .into(),
        error_message: NO_ERROR,
        ..Default::default()
    })
}

fn names_the_log_alone(body: &DescribeQuorumRequest<'_>) -> bool {
    let mut topics = body.topics.iter();
    let (Some(topic), None) = (topics.next(), topics.next()) else {
        return false;
    };
    let mut partitions = topic.partitions.iter();
    let only = (partitions.next().map(|p| p.partition_index), partitions.next());
    topic.topic_name == METADATA_TOPIC && matches!(only, (Some(0), None))
}

fn described(shard: &Shard, version: i16) -> PartitionData<'static> {
    let (node, image, now) = (shard.node(), shard.image(), wall_now());
    let mut voters = image.membership().voters.iter();
    let of_log = voters.find(|voter| voter.node == node.id());
    let directory = of_log.filter(|_| version >= FIRST_VERSION_WITH_DIRECTORIES);
    let this = ReplicaState {
        replica_id: node.id().0,
        // At kraft.version 0 a voter has no directory.
        replica_directory_id: directory.map_or(TopicId::ZERO, |voter| voter.directory),
        log_end_offset: image.next_offset().0,
        last_fetch_timestamp: now.0,
        last_caught_up_timestamp: now.0,
    };
    PartitionData {
        leader_id: node.id().0,
        leader_epoch: image.epoch().0,
        high_watermark: image.next_offset().0,
        current_voters: vec![this].into(),
        error_message: NO_ERROR,
        ..Default::default()
    }
}

fn this_node(shard: &Shard) -> Vec<Node<'static>> {
    let listeners = shard.node().controllers.iter().map(|listener| Listener {
        name: listener.name.clone().into(),
        host: listener.host.clone().into(),
        port: listener.port,
    });
    vec![Node {
        node_id: shard.node().id().0,
        listeners: listeners.collect(),
    }]
}
