//! Changing the settings of topics and brokers (Kafka's `ConfigAdminManager.preprocess` and `ConfigurationControlManager`).

use super::{RECORDS_PER_REQUEST_MAX, Records};
use crate::base::NodeId;
use crate::config::{
    BrokerConfigError, Config, Setting, TopicConfigError, broker_setting, topic_setting,
    validate_broker_configs, validate_broker_configs_together, validate_topic_config,
    validate_topic_configs_together,
};
use crate::metadata::image::{Configs, Image};
use crate::metadata::names::{NameError, validate_topic_name};
use crate::wire::ErrorCode;
use crate::wire::messages::ConfigRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Kafka's `ConfigResource.Type` of a topic.
pub const TOPIC_RESOURCE: i8 = 2;
/// Kafka's `ConfigResource.Type` of a broker; with an empty name, of all brokers.
pub const BROKER_RESOURCE: i8 = 4;

/// The most settings that may be set on one topic or broker. Kafka knows about 400 for brokers, whose unknown names are
/// kept as they come.
const CONFIGS_PER_RESOURCE_MAX: usize = 1_000;

/// A topic or a broker whose settings are to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceChange {
    /// [`TOPIC_RESOURCE`], [`BROKER_RESOURCE`], or what isn't served.
    pub kind: i8,
    /// Its name; a broker's id in decimal.
    pub name: String,
    /// How they change.
    pub change: ConfigChange,
}

/// How a resource's settings change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// These are all from now on (AlterConfigs).
    Replace(Vec<(String, Option<String>)>),
    /// Each by itself (IncrementalAlterConfigs): its name, Kafka's `AlterConfigOp.OpType`, its operand.
    Each(Vec<(String, i8, Option<String>)>),
}

impl ConfigChange {
    fn len(&self) -> usize {
        match self {
            ConfigChange::Replace(all) => all.len(),
            ConfigChange::Each(each) => each.len(),
        }
    }
}

/// What became of a request for other settings.
#[derive(Debug)]
pub struct ConfigsDecision {
    /// One answer for each resource asked for, in the order of the request.
    pub answers: Vec<Result<(), ConfigChangeError>>,
    /// What to propose; empty when nothing changes, or nothing should (`validate_only`).
    pub records: Records,
}

/// Why a resource keeps its settings. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChangeError {
    /// The request has the resource twice.
    DuplicateResource,
    /// It has a setting twice.
    DuplicateKeys,
    /// Settings without a value: these.
    NullValues(Vec<String>),
    /// Neither a topic nor a broker.
    UnknownResourceType(i8),
    /// All topics at once.
    DefaultTopic,
    /// Not a topic's name.
    TopicName(NameError),
    /// No topic has the name.
    UnknownTopic(String),
    /// A broker's name that isn't a number.
    NodeIdForm(String),
    /// Another broker than the one that was asked.
    OtherNode {
        /// The one that was asked.
        expected: NodeId,
        /// The one that was named.
        received: i32,
    },
    /// No such operation.
    UnknownOperation(i8),
    /// Something should be added to a topic's setting, or taken away, that is no list.
    NoListOfTopic {
        /// `APPEND` or `SUBTRACT`.
        operation: &'static str,
        /// The setting.
        name: String,
    },
    /// The same for a broker's setting.
    NoListOfBroker {
        /// `append` or `subtract`.
        operation: &'static str,
        /// The setting.
        name: String,
    },
    /// A topic's setting is unknown or its value wrong.
    Topic(TopicConfigError),
    /// A broker's setting may not change so.
    Broker(BrokerConfigError),
    /// The resource would have more than [`CONFIGS_PER_RESOURCE_MAX`].
    TooManyConfigs,
    /// The whole request is more than one batch takes.
    TooManyRecords,
}

impl ConfigChangeError {
    /// The code to answer.
    pub fn code(&self) -> ErrorCode {
        use ConfigChangeError as E;
        match self {
            E::DuplicateResource
            | E::DuplicateKeys
            | E::NullValues(_)
            | E::UnknownResourceType(_)
            | E::DefaultTopic
            | E::NodeIdForm(_)
            | E::OtherNode { .. }
            | E::UnknownOperation(_)
            | E::Broker(_) => ErrorCode::INVALID_REQUEST,
            E::TopicName(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
            E::UnknownTopic(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            E::NoListOfTopic { .. } | E::NoListOfBroker { .. } | E::Topic(_) => ErrorCode::INVALID_CONFIG,
            E::TooManyConfigs | E::TooManyRecords => ErrorCode::POLICY_VIOLATION,
        }
    }
}

impl fmt::Display for ConfigChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use ConfigChangeError as E;
        match self {
            E::DuplicateResource => f.write_str("Each resource must appear at most once."),
            E::DuplicateKeys => f.write_str("Error due to duplicate config keys"),
            E::NullValues(names) => write!(f, "Null value not supported for : {}", names.join(", ")),
            E::UnknownResourceType(kind) => write!(f, "Unknown resource type {kind}"),
            E::DefaultTopic => f.write_str("Default topic resources are not allowed."),
            E::TopicName(error) => error.fmt(f),
            E::UnknownTopic(name) => write!(f, "The topic '{name}' does not exist."),
            E::NodeIdForm(name) => write!(f, "Node id must be an integer, but it is: {name}"),
            E::OtherNode { expected, received } => {
                write!(
                    f,
                    "Unexpected broker id, expected {expected}, but received {received}"
                )
            }
            E::UnknownOperation(operation) => write!(f, "Unknown operations type {operation}"),
            E::NoListOfTopic { operation, name } => {
                write!(f, "Can't {operation} to key {name} because its type is not LIST.")
            }
            E::NoListOfBroker { operation, name } => {
                write!(
                    f,
                    "Config value {operation} is not allowed for config key: {name}"
                )
            }
            E::Topic(error) => error.fmt(f),
            E::Broker(error) => error.fmt(f),
            E::TooManyConfigs => write!(
                f,
                "At most {CONFIGS_PER_RESOURCE_MAX} settings may be set on a resource."
            ),
            E::TooManyRecords => f.write_str("Unable to perform excessively large batch operation."),
        }
    }
}

/// Decides on other settings for topics, for broker `node`, or for all brokers. `config` is the broker's.
pub fn alter_configs(
    image: &Image,
    changes: &[ResourceChange],
    validate_only: bool,
    node: NodeId,
    config: &Config,
) -> ConfigsDecision {
    let mut records = Records::new();
    let twice = named_twice(changes);
    let judge = |change: &ResourceChange| {
        if twice.contains(&(change.kind, change.name.as_str())) {
            return Err(ConfigChangeError::DuplicateResource);
        }
        let change_records = alter_one(image, change, node, config)?;
        records.extend(change_records);
        Ok(())
    };
    let mut answers: Vec<_> = changes.iter().map(judge).collect();
    if records.len() > RECORDS_PER_REQUEST_MAX {
        answers.fill(Err(ConfigChangeError::TooManyRecords));
        records.clear();
    }
    if validate_only {
        records.clear();
    }
    ConfigsDecision { answers, records }
}

fn named_twice(changes: &[ResourceChange]) -> BTreeSet<(i8, &str)> {
    let mut seen = BTreeSet::new();
    let all = changes.iter().map(|change| (change.kind, change.name.as_str()));
    all.filter(|resource| !seen.insert(*resource)).collect()
}

fn alter_one(
    image: &Image,
    change: &ResourceChange,
    node: NodeId,
    config: &Config,
) -> Result<Records, ConfigChangeError> {
    // All that there may be taken away, and as many set.
    if change.change.len() > 2 * CONFIGS_PER_RESOURCE_MAX {
        return Err(ConfigChangeError::TooManyConfigs);
    }
    check_keys(&change.change)?;
    let resource = Resource::find(image, change, node)?;
    let before = resource.configs(image);
    let given = given(&resource, before, &change.change)?;
    let after = resource.check(before, given, config)?;
    Ok(difference(change, before, &after))
}

/// Each setting once, and none without the value that it needs.
fn check_keys(change: &ConfigChange) -> Result<(), ConfigChangeError> {
    let keys: Vec<(&String, bool)> = match change {
        ConfigChange::Replace(all) => all.iter().map(|(name, value)| (name, value.is_none())).collect(),
        ConfigChange::Each(each) => each
            .iter()
            .map(|(name, operation, value)| (name, value.is_none() && *operation != DELETE))
            .collect(),
    };
    let distinct: BTreeSet<_> = keys.iter().map(|(name, _)| name).collect();
    if distinct.len() < keys.len() {
        return Err(ConfigChangeError::DuplicateKeys);
    }
    let nulls: Vec<String> = keys
        .iter()
        .filter(|(_, lacks_value)| *lacks_value)
        .map(|(name, _)| name.to_string())
        .collect();
    if nulls.is_empty() {
        Ok(())
    } else {
        Err(ConfigChangeError::NullValues(nulls))
    }
}

/// Kafka's `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// A resource that is there.
#[derive(Clone, Copy)]
enum Resource<'a> {
    Topic(&'a str),
    Broker(NodeId),
    AllBrokers,
}

impl<'a> Resource<'a> {
    fn find(
        image: &Image,
        change: &'a ResourceChange,
        node: NodeId,
    ) -> Result<Resource<'a>, ConfigChangeError> {
        let name = change.name.as_str();
        match change.kind {
            TOPIC_RESOURCE if name.is_empty() => Err(ConfigChangeError::DefaultTopic),
            TOPIC_RESOURCE => {
                validate_topic_name(name).map_err(ConfigChangeError::TopicName)?;
                match image.topic_by_name(name) {
                    Some(_) => Ok(Resource::Topic(name)),
                    None => Err(ConfigChangeError::UnknownTopic(name.to_owned())),
                }
            }
            BROKER_RESOURCE if name.is_empty() => Ok(Resource::AllBrokers),
            BROKER_RESOURCE => match name.parse() {
                Ok(received) if NodeId(received) == node => Ok(Resource::Broker(node)),
                Ok(received) => Err(ConfigChangeError::OtherNode {
                    expected: node,
                    received,
                }),
                Err(_) => Err(ConfigChangeError::NodeIdForm(name.to_owned())),
            },
            other => Err(ConfigChangeError::UnknownResourceType(other)),
        }
    }

    fn configs<'i>(&self, image: &'i Image) -> &'i Configs {
        match self {
            Resource::Topic(name) => image.topic_configs(name),
            Resource::Broker(node) => image.broker_configs(*node),
            Resource::AllBrokers => image.cluster_configs(),
        }
    }

    fn setting(&self, name: &str) -> Option<&'static Setting> {
        match self {
            Resource::Topic(_) => topic_setting(name),
            Resource::Broker(_) | Resource::AllBrokers => broker_setting(name),
        }
    }

    fn is_no_list(&self, append: bool, name: &str) -> ConfigChangeError {
        let name = name.to_owned();
        match self {
            Resource::Topic(_) => ConfigChangeError::NoListOfTopic {
                operation: if append { "APPEND" } else { "SUBTRACT" },
                name,
            },
            Resource::Broker(_) | Resource::AllBrokers => ConfigChangeError::NoListOfBroker {
                operation: if append { "append" } else { "subtract" },
                name,
            },
        }
    }

    /// What the resource has once `given` is set. Only what is given is judged by itself: a value that was there may be
    /// another version's, and must not stand in the way of the rest.
    fn check(&self, before: &Configs, given: Given, config: &Config) -> Result<Configs, ConfigChangeError> {
        let mut after = before.clone();
        after.retain(|name, _| !given.deleted.contains(name));
        match self {
            Resource::Topic(_) => {
                for (name, value) in given.set {
                    let value = validate_topic_config(&name, &value).map_err(ConfigChangeError::Topic)?;
                    after.insert(name, value);
                }
                validate_topic_configs_together(config, &after).map_err(ConfigChangeError::Topic)?;
            }
            Resource::Broker(_) | Resource::AllBrokers => {
                let on_all = matches!(self, Resource::AllBrokers);
                let set = validate_broker_configs(&given.set, on_all);
                after.extend(set.map_err(ConfigChangeError::Broker)?);
                validate_broker_configs_together(config, before, &after)
                    .map_err(ConfigChangeError::Broker)?;
            }
        }
        if after.len() > CONFIGS_PER_RESOURCE_MAX.max(before.len()) {
            return Err(ConfigChangeError::TooManyConfigs);
        }
        Ok(after)
    }
}

/// What is set and what goes.
#[derive(Default)]
struct Given {
    set: BTreeMap<String, String>,
    deleted: BTreeSet<String>,
}

fn given(
    resource: &Resource<'_>,
    before: &Configs,
    change: &ConfigChange,
) -> Result<Given, ConfigChangeError> {
    match change {
        ConfigChange::Replace(all) => {
            let set = all
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
            Ok(Given {
                set: set.collect(),
                deleted: before.keys().cloned().collect(),
            })
        }
        ConfigChange::Each(each) => {
            let mut given = Given::default();
            for (name, operation, value) in each {
                let operand = value.as_deref().unwrap_or_default();
                match *operation {
                    SET => drop(given.set.insert(name.clone(), operand.to_owned())),
                    DELETE => drop(given.deleted.insert(name.clone())),
                    APPEND | SUBTRACT => {
                        let value = changed_list(resource, before, name, *operation == APPEND, operand)?;
                        given.set.insert(name.clone(), value);
                    }
                    other => return Err(ConfigChangeError::UnknownOperation(other)),
                }
            }
            Ok(given)
        }
    }
}

/// A list's value with `operand`'s elements added, or taken away. What isn't set begins as the default (KIP-339).
fn changed_list(
    resource: &Resource<'_>,
    before: &Configs,
    name: &str,
    append: bool,
    operand: &str,
) -> Result<String, ConfigChangeError> {
    let setting = resource.setting(name).filter(|setting| setting.is_list());
    let setting = setting.ok_or_else(|| resource.is_no_list(append, name))?;
    let value = before
        .get(name)
        .map(String::as_str)
        .or(setting.default)
        .unwrap_or_default();
    let mut elements = elements(value);
    for element in self::elements(operand) {
        let at = elements.iter().position(|there| *there == element);
        match (append, at) {
            (true, None) => elements.push(element),
            (false, Some(at)) => drop(elements.remove(at)),
            _ => {}
        }
    }
    Ok(elements.join(","))
}

fn elements(list: &str) -> Vec<&str> {
    list.split(',')
        .map(str::trim)
        .filter(|element| !element.is_empty())
        .collect()
}

/// The records that make `before` into `after`.
fn difference(change: &ResourceChange, before: &Configs, after: &Configs) -> Records {
    let record = |name: &String, value: Option<&String>| ConfigRecord {
        resource_type: change.kind,
        resource_name: change.name.clone().into(),
        name: name.clone().into(),
        value: value.map(|value| value.clone().into()),
    };
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let others = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value));
    gone.map(|name| record(name, None).into())
        .chain(others.map(|(name, value)| record(name, Some(value)).into()))
        .collect()
}
