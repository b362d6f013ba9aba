//! Topics and their settings: create, delete, describe; and offsets by time.

use std::collections::BTreeMap;

use super::{ClientError, Cluster, Connection};
use crate::base::{BrokerId, Offset, PartitionIndex, Timestamp, TopicId};
use crate::wire::error::ErrorCode;
use crate::wire::messages::create_topics_request::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use crate::wire::messages::create_topics_response::CreateTopicsResponse;
use crate::wire::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use crate::wire::messages::delete_topics_response::DeleteTopicsResponse;
use crate::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use crate::wire::messages::describe_configs_response::DescribeConfigsResponse;
use crate::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use crate::wire::messages::list_offsets_response::ListOffsetsResponse;

/// How long the broker may work on an administrative request.
const ADMIN_TIMEOUT_MS: i32 = 30_000;
/// Kafka's `ConfigResource.Type.TOPIC`.
const RESOURCE_TOPIC: i8 = 2;
/// Kafka's `ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG`.
const SOURCE_TOPIC: i8 = 1;
/// Replica id of a reader that is no replica.
const CONSUMER: i32 = -1;

/// A topic to be created.
#[derive(Clone, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; `None`: the broker's default.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None`: the broker's default.
    pub replication_factor: Option<i16>,
    /// Settings that differ from the broker's defaults.
    pub configs: Vec<(String, String)>,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSetting {
    /// Its name.
    pub name: String,
    /// Its value in effect; `None` when it has none or is secret.
    pub value: Option<String>,
    /// Whether the topic sets it itself.
    pub is_own: bool,
}

/// A point in a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first offset kept (Kafka's −2).
    Earliest,
    /// The offset the next record gets (Kafka's −1).
    Latest,
    /// The first record with this timestamp or a later one; the end when there is none.
    Time(Timestamp),
}

/// Creates a topic.
pub async fn create_topic(cluster: &Cluster, topic: &NewTopic) -> Result<(), ClientError> {
    let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: name.as_str().into(),
        value: Some(value.as_str().into()),
    });
    let request = CreateTopicsRequest {
        topics: vec![CreatableTopic {
            name: topic.name.as_str().into(),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replication_factor.unwrap_or(-1),
            configs: configs.collect(),
            ..Default::default()
        }]
        .into(),
        timeout_ms: ADMIN_TIMEOUT_MS,
        ..Default::default()
    };
    let answer = cluster.any().await?.call(&request).await?;
    let response: CreateTopicsResponse<'_> = answer.decode()?;
    for result in response.topics.iter() {
        check(&result.name, result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// Deletes a topic.
pub async fn delete_topic(cluster: &Cluster, name: &str) -> Result<(), ClientError> {
    let connection = cluster.any().await?;
    // Topics are named in another field from version 6 on.
    let by_state = connection.version_of::<DeleteTopicsRequest<'_>>()? >= 6;
    let state = DeleteTopicState {
        name: Some(name.into()),
        topic_id: TopicId::ZERO,
    };
    let request = DeleteTopicsRequest {
        topics: if by_state {
            vec![state].into()
        } else {
            Default::default()
        },
        topic_names: if by_state {
            Default::default()
        } else {
            vec![name.into()].into()
        },
        timeout_ms: ADMIN_TIMEOUT_MS,
    };
    let answer = connection.call(&request).await?;
    let response: DeleteTopicsResponse<'_> = answer.decode()?;
    for result in response.responses.iter() {
        check(name, result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// A topic's settings, its own and the defaults in effect, by name.
pub async fn topic_settings(cluster: &Cluster, name: &str) -> Result<Vec<TopicSetting>, ClientError> {
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: name.into(),
            configuration_keys: None,
        }]
        .into(),
        ..Default::default()
    };
    let answer = cluster.any().await?.call(&request).await?;
    let response: DescribeConfigsResponse<'_> = answer.decode()?;
    let mut settings = Vec::new();
    for result in response.results.iter() {
        check(name, result.error_code, result.error_message.as_deref())?;
        settings.extend(result.configs.iter().map(|config| TopicSetting {
            name: config.name.into_owned(),
            value: config.value.map(|value| value.into_owned()),
            is_own: config.config_source == SOURCE_TOPIC,
        }));
    }
    settings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(settings)
}

/// The offset at a point of each of these partitions, asked of their leaders. Metadata must know the topic.
pub async fn list_offsets(
    cluster: &Cluster,
    topic: &str,
    partitions: &[PartitionIndex],
    at: OffsetAt,
) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
    let mut offsets = BTreeMap::new();
    for (leader, partitions) in by_leader(cluster, topic, partitions)? {
        let connection = cluster.broker(leader).await?;
        offsets.extend(list_offsets_of_leader(&connection, topic, &partitions, at).await?);
    }
    let missing = matches!(at, OffsetAt::Time(_)).then(|| {
        let missing = partitions
            .iter()
            .filter(|p| offsets.get(*p) == Some(&Offset::UNKNOWN))
            .copied();
        missing.collect::<Vec<PartitionIndex>>()
    });
    if let Some(missing) = missing.filter(|missing| !missing.is_empty()) {
        offsets.extend(Box::pin(list_offsets(cluster, topic, &missing, OffsetAt::Latest)).await?);
    }
    Ok(offsets)
}

async fn list_offsets_of_leader(
    connection: &Connection,
    topic: &str,
    partitions: &[PartitionIndex],
    at: OffsetAt,
) -> Result<BTreeMap<PartitionIndex, Offset>, ClientError> {
    let timestamp = match at {
        OffsetAt::Latest => -1,
        OffsetAt::Earliest => -2,
        OffsetAt::Time(time) => time.0,
    };
    let asked = partitions.iter().map(|partition| ListOffsetsPartition {
        partition_index: partition.0,
        timestamp,
        ..Default::default()
    });
    let request = ListOffsetsRequest {
        replica_id: CONSUMER,
        topics: vec![ListOffsetsTopic {
            name: topic.into(),
            partitions: asked.collect(),
        }]
        .into(),
        timeout_ms: ADMIN_TIMEOUT_MS,
        ..Default::default()
    };
    let answer = connection.call(&request).await?;
    let response: ListOffsetsResponse<'_> = answer.decode()?;
    let mut offsets = BTreeMap::new();
    for topic in response.topics.iter() {
        for partition in topic.partitions.iter() {
            let about = format!("partition {} of {}", partition.partition_index, topic.name);
            if partition.error_code != ErrorCode::NONE.0 {
                return Err(ClientError::refused(about, ErrorCode(partition.error_code), None));
            }
            offsets.insert(
                PartitionIndex(partition.partition_index),
                Offset(partition.offset),
            );
        }
    }
    Ok(offsets)
}

/// These partitions of a topic by who leads them.
pub fn by_leader(
    cluster: &Cluster,
    topic: &str,
    partitions: &[PartitionIndex],
) -> Result<BTreeMap<BrokerId, Vec<PartitionIndex>>, ClientError> {
    let mut grouped: BTreeMap<BrokerId, Vec<PartitionIndex>> = BTreeMap::new();
    for partition in partitions {
        let Some(leader) = cluster.leader(topic, *partition) else {
            let about = format!("partition {partition} of {topic}");
            return Err(ClientError::refused(about, ErrorCode::LEADER_NOT_AVAILABLE, None));
        };
        grouped.entry(leader).or_default().push(*partition);
    }
    Ok(grouped)
}

fn check(topic: &str, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    match ErrorCode(code) {
        ErrorCode::NONE => Ok(()),
        code => Err(ClientError::refused(format!("topic {topic:?}"), code, message)),
    }
}

/// Whether a creation failed only because the topic is there already.
pub fn already_exists(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            code: ErrorCode::TOPIC_ALREADY_EXISTS,
            ..
        }
    )
}
