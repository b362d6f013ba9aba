//! Metadata (key 3), versions 0–13: brokers and topics, and the creation of topics that a client names.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::base::TopicId;
use crate::metadata::names::{is_internal, validate_topic_name};
use crate::metadata::{Image, Topic};
use crate::shard::{NewTopics, Shard, TimeSlice};
use crate::wire::messages::metadata_request::MetadataRequest;
use crate::wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{Array, ErrorCode, Str};

use super::endpoints::{self, CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, TOPIC_OPERATIONS};
use super::{Reply, Request};

/// Topics may be asked for by id from this version on; versions 10 and 11 had the field and no use for it (KIP-516).
const FIRST_VERSION_BY_ID: i16 = 12;

/// Which topics a client asks about.
enum Asked {
    All,
    Some(Vec<Named>),
}

/// A topic by name or by id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    Name(String),
    Id(TopicId),
}

struct Plan {
    asked: Asked,
    may_create: bool,
    with_topic_operations: bool,
    with_cluster_operations: bool,
}

/// Answers a Metadata request.
pub async fn serve(shard: Rc<Shard>, request: Request) -> Reply {
    let mut slice = TimeSlice::default();
    let _admission;
    let plan = {
        let (body, elements): (MetadataRequest<'_>, usize) = match request.counted_body() {
            Ok(body) => body,
            Err(error) => return request.malformed(error),
        };
        _admission = shard.large_requests().admit(elements).await;
        match plan(request.version, &body, &mut slice).await {
            Some(plan) => plan,
            None => return refuse(&request, &body, &mut slice).await,
        }
    };
    let created = match &plan.asked {
        Asked::Some(named) if plan.may_create => create_missing(&shard, named).await,
        _ => BTreeMap::new(),
    };
    let topics = topics(&shard, &plan, &created, &mut slice).await;
    let brokers = endpoints::endpoints(&shard, &request.origin)
        .into_iter()
        .map(|endpoint| MetadataResponseBroker {
            node_id: endpoint.broker.0,
            host: Str::from(endpoint.host),
            port: i32::from(endpoint.port),
            ..Default::default()
        });
    request.reply(&MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(Str::from(shard.node().cluster_id.as_str())),
        controller_id: endpoints::this_broker(&shard).0,
        topics,
        cluster_authorized_operations: operations(plan.with_cluster_operations, CLUSTER_OPERATIONS),
        ..Default::default()
    })
}

/// What is asked for; `None` when a version that can't do so asks by id.
async fn plan(version: i16, body: &MetadataRequest<'_>, slice: &mut TimeSlice) -> Option<Plan> {
    // Asked for twice, a topic is answered once.
    let mut asked_before = BTreeSet::new();
    let asked = match &body.topics {
        None => Asked::All,
        // Before version 1 an empty list asked for all topics.
        Some(topics) if topics.is_empty() && version == 0 => Asked::All,
        Some(topics) => {
            let mut named = Vec::new();
            let mut by_id = false;
            for topic in topics {
                let has_id = !topic.topic_id.is_zero();
                if version < FIRST_VERSION_BY_ID && (has_id || topic.name.is_none()) {
                    return None;
                }
                // Where any is asked for by its id, Kafka looks at no name.
                if has_id && !by_id {
                    by_id = true;
                    named.clear();
                }
                if by_id && !has_id {
                    continue;
                }
                let one = match topic.name {
                    // Kafka's admin client leaves the name empty, not null, when it asks by id.
                    Some(name) if topic.topic_id.is_zero() => Named::Name(name.into_owned()),
                    _ => Named::Id(topic.topic_id),
                };
                if slice.spend(|| asked_before.insert(one.clone())).await {
                    named.push(one);
                }
            }
            Asked::Some(named)
        }
    };
    Some(Plan {
        asked,
        may_create: version < 4 || body.allow_auto_topic_creation,
        with_topic_operations: body.include_topic_authorized_operations,
        with_cluster_operations: body.include_cluster_authorized_operations,
    })
}

/// The answer to a request that makes no sense: there is no room for an error but with the topics.
async fn refuse(request: &Request, body: &MetadataRequest<'_>, slice: &mut TimeSlice) -> Reply {
    let mut topics = Vec::new();
    for topic in body.topics.iter().flat_map(|topics| topics.iter()) {
        let refused = || MetadataResponseTopic {
            error_code: ErrorCode::INVALID_REQUEST.0,
            name: Some(topic.name.unwrap_or_default()),
            topic_id: topic.topic_id,
            topic_authorized_operations: OPERATIONS_NOT_ASKED,
            ..Default::default()
        };
        topics.push(slice.spend(refused).await);
    }
    request.reply(&MetadataResponse {
        controller_id: -1,
        topics: topics.into(),
        cluster_authorized_operations: OPERATIONS_NOT_ASKED,
        ..Default::default()
    })
}

/// The answer of each topic, as the image has it when its slice comes.
async fn topics<'a>(
    shard: &Shard,
    plan: &Plan,
    refused: &BTreeMap<String, ErrorCode>,
    slice: &mut TimeSlice,
) -> Array<'a, MetadataResponseTopic<'a>> {
    let mut topics = Vec::new();
    match &plan.asked {
        Asked::All => {
            let all: Vec<TopicId> = shard.image().topics().map(|topic| topic.id).collect();
            for id in all {
                let described = || describe_by_id(&shard.image(), id, plan);
                topics.extend(slice.spend(described).await);
            }
        }
        Asked::Some(named) => {
            for named in named {
                let answered = || answer(&shard.image(), named, plan, refused);
                topics.push(slice.spend(answered).await);
            }
        }
    }
    topics.into()
}

/// Creates what is asked for by name and isn't there; the codes of what could not be created, by name.
async fn create_missing(shard: &Rc<Shard>, named: &[Named]) -> BTreeMap<String, ErrorCode> {
    if !shard.config().auto_create_topics() {
        return BTreeMap::new();
    }
    let missing: Vec<String> = {
        let image = shard.image();
        let names = named.iter().filter_map(|named| match named {
            Named::Name(name) => Some(name),
            Named::Id(_) => None,
        });
        let is_missing = |name: &&String| {
            // The broker's own topics come with their coordinators, with more partitions and other settings.
            validate_topic_name(name).is_ok() && !is_internal(name) && image.topic_by_name(name).is_none()
        };
        names.filter(is_missing).cloned().collect()
    };
    if missing.is_empty() {
        return BTreeMap::new();
    }
    match shard.create_topics(NewTopics::Named(missing.clone())).await {
        Err(refusal) => missing.into_iter().map(|name| (name, refusal.code)).collect(),
        // One that exists by now was created by someone faster.
        Ok(answers) => answers
            .into_iter()
            .filter_map(|(name, answer)| answer.err().map(|error| (name, error.code())))
            .filter(|(_, code)| *code != ErrorCode::TOPIC_ALREADY_EXISTS)
            .collect(),
    }
}

fn answer<'a>(
    image: &Image,
    named: &Named,
    plan: &Plan,
    refused: &BTreeMap<String, ErrorCode>,
) -> MetadataResponseTopic<'a> {
    let (topic, name, id, code) = match named {
        Named::Id(id) => (image.topic(*id), None, *id, ErrorCode::UNKNOWN_TOPIC_ID),
        Named::Name(name) => {
            let code = match refused.get(name) {
                Some(code) => *code,
                None if validate_topic_name(name).is_err() => ErrorCode::INVALID_TOPIC_EXCEPTION,
                None => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            };
            (image.topic_by_name(name), Some(name.clone()), TopicId::ZERO, code)
        }
    };
    match topic {
        Some(topic) => describe(image, topic, plan),
        None => MetadataResponseTopic {
            error_code: code.0,
            name: name.map(Str::from),
            topic_id: id,
            topic_authorized_operations: OPERATIONS_NOT_ASKED,
            ..Default::default()
        },
    }
}

fn describe_by_id<'a>(image: &Image, id: TopicId, plan: &Plan) -> Option<MetadataResponseTopic<'a>> {
    image.topic(id).map(|topic| describe(image, topic, plan))
}

fn describe<'a>(image: &Image, topic: &Topic, plan: &Plan) -> MetadataResponseTopic<'a> {
    let partitions = topic
        .partitions
        .iter()
        .map(|(index, partition)| MetadataResponsePartition {
            error_code: match partition.leader {
                Some(_) => ErrorCode::NONE.0,
                None => ErrorCode::LEADER_NOT_AVAILABLE.0,
            },
            partition_index: index.0,
            leader_id: partition.leader.map_or(-1, |node| node.0),
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: partition.replicas.iter().map(|node| node.0).collect(),
            isr_nodes: partition.isr.iter().map(|node| node.0).collect(),
            offline_replicas: image.offline_replicas(partition).map(|node| node.0).collect(),
        });
    MetadataResponseTopic {
        name: Some(Str::from(topic.name.to_string())),
        topic_id: topic.id,
        is_internal: topic.is_internal(),
        partitions: partitions.collect(),
        topic_authorized_operations: operations(plan.with_topic_operations, TOPIC_OPERATIONS),
        ..Default::default()
    }
}

fn operations(asked: bool, operations: i32) -> i32 {
    if asked { operations } else { OPERATIONS_NOT_ASKED }
}
