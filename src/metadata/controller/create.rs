//! Creating topics (Kafka's `ControllerApis.createTopics` and `ReplicationControlManager.createTopics`).

use super::directories::Directories;
use super::placement::{PlacementError, PlannedPartition, check_assigned, spread};
use super::{PARTITIONS_PER_REQUEST_MAX, RECORDS_PER_REQUEST_MAX, Records};
use crate::base::{NodeId, PartitionIndex, TopicId};
use crate::config::{Config, TopicConfigError, validate_topic_configs};
use crate::metadata::image::{Configs, Image};
use crate::metadata::names::{METADATA_TOPIC, NameError, validate_topic_name};
use crate::wire::ErrorCode;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::{ConfigRecord, CreateTopicsRequest, TopicRecord};
use std::collections::BTreeMap;
use std::fmt;

/// What became of a CreateTopics request.
#[derive(Debug)]
pub struct CreateDecision {
    /// One answer for each name asked for, in the order of the request.
    pub answers: Vec<(String, Result<CreatedTopic, CreateError>)>,
    /// What to propose; empty when there is nothing to create, or nothing should be (`validate_only`).
    pub records: Records,
}

/// A topic that was created, or could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its new id.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: i32,
    /// The replicas of its first partition.
    pub replication_factor: i16,
    /// What is set on it.
    pub configs: Configs,
}

/// Why a topic isn't created. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// The request names it twice.
    DuplicateName,
    /// The request's time was up before it began.
    TimedOut,
    /// It is the metadata log's own.
    MetadataTopic,
    /// There is one of this name.
    Exists(String),
    /// Not a topic's name.
    Name(NameError),
    /// Its metrics would have another topic's names.
    Collides {
        /// The name asked for.
        name: String,
        /// The topic that is there.
        with: String,
    },
    /// A setting without a value: these.
    NullConfigs(Vec<String>),
    /// A setting is unknown or its value wrong.
    Config(TopicConfigError),
    /// 0, or below −1.
    PartitionCount,
    /// 0, or below −1.
    ReplicationFactor,
    /// Replicas are assigned by hand, and their number is given too.
    AssignmentAndReplicationFactor,
    /// Replicas are assigned by hand, and the partitions' number is given too.
    AssignmentAndPartitionCount,
    /// The replicas can't be placed.
    Placement(PlacementError),
    /// All topics of the request together have too many partitions.
    TooManyPartitions,
    /// All topics of the request together take too many records.
    TooManyRecords,
}

impl CreateError {
    /// The code to answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            CreateError::DuplicateName
            | CreateError::MetadataTopic
            | CreateError::AssignmentAndReplicationFactor
            | CreateError::AssignmentAndPartitionCount => ErrorCode::INVALID_REQUEST,
            CreateError::Exists(_) => ErrorCode::TOPIC_ALREADY_EXISTS,
            CreateError::Name(_) | CreateError::Collides { .. } => ErrorCode::INVALID_TOPIC_EXCEPTION,
            CreateError::NullConfigs(_) | CreateError::Config(_) => ErrorCode::INVALID_CONFIG,
            CreateError::PartitionCount => ErrorCode::INVALID_PARTITIONS,
            CreateError::ReplicationFactor => ErrorCode::INVALID_REPLICATION_FACTOR,
            CreateError::Placement(error) => error.code(),
            CreateError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
            CreateError::TooManyPartitions | CreateError::TooManyRecords => ErrorCode::POLICY_VIOLATION,
        }
    }

    /// What to say beside the code; nothing where Kafka says nothing.
    pub fn message(&self) -> Option<String> {
        (*self != CreateError::TimedOut).then(|| self.to_string())
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CreateError::DuplicateName => f.write_str("Duplicate topic name."),
            CreateError::TimedOut => f.write_str("the request's time was up"),
            CreateError::MetadataTopic => {
                write!(f, "Creation of internal topic {METADATA_TOPIC} is prohibited.")
            }
            CreateError::Exists(name) => write!(f, "Topic '{name}' already exists."),
            CreateError::Name(error) => error.fmt(f),
            CreateError::Collides { name, with } => {
                write!(f, "Topic '{name}' collides with existing topic: {with}")
            }
            CreateError::NullConfigs(names) => {
                write!(
                    f,
                    "Null value not supported for topic configs: {}",
                    names.join(",")
                )
            }
            CreateError::Config(error) => error.fmt(f),
            CreateError::PartitionCount => {
                f.write_str("Number of partitions was set to an invalid non-positive value.")
            }
            CreateError::ReplicationFactor => {
                f.write_str("Replication factor must be larger than 0, or -1 to use the default value.")
            }
            CreateError::AssignmentAndReplicationFactor => f.write_str(
                "A manual partition assignment was specified, but replication factor was not set to -1.",
            ),
            CreateError::AssignmentAndPartitionCount => f.write_str(
                "A manual partition assignment was specified, but numPartitions was not set to -1.",
            ),
            CreateError::Placement(error) => error.fmt(f),
            CreateError::TooManyPartitions => {
                f.write_str("Excessively large number of partitions per request.")
            }
            CreateError::TooManyRecords => {
                f.write_str("Unable to perform excessively large batch operation.")
            }
        }
    }
}

/// Decides on a CreateTopics request. −1 partitions or replicas stand for the broker's defaults in `config`, in every
/// version. `new_id` gives a random topic id with each call.
pub fn create_topics(
    image: &Image,
    request: &CreateTopicsRequest<'_>,
    config: &Config,
    mut new_id: impl FnMut() -> TopicId,
) -> CreateDecision {
    if total_partitions(request, config) > PARTITIONS_PER_REQUEST_MAX {
        let names = request.topics.iter().map(|topic| topic.name.into_owned());
        return refuse_all(names, CreateError::TooManyPartitions);
    }
    let names = distinct_names(request);
    let mut records = Records::new();
    let mut directories = Directories::of(image);
    let mut answers = Vec::new();
    for (name, topic) in &names {
        let answer = match topic {
            None => Err(CreateError::DuplicateName),
            Some(_) if request.timeout_ms <= 0 => Err(CreateError::TimedOut),
            Some(topic) => plan_topic(image, topic, config, &mut directories, &mut new_id)
                .map(|plan| plan.write(name, &mut records)),
        };
        answers.push((name.clone(), answer));
    }
    if records.len() > RECORDS_PER_REQUEST_MAX {
        let names = answers.into_iter().map(|(name, _)| name);
        return refuse_all(names, CreateError::TooManyRecords);
    }
    if request.validate_only {
        records.clear();
    }
    CreateDecision { answers, records }
}

fn refuse_all(names: impl Iterator<Item = String>, error: CreateError) -> CreateDecision {
    CreateDecision {
        answers: names.map(|name| (name, Err(error.clone()))).collect(),
        records: Records::new(),
    }
}

/// Each name once, in order; without a topic when the request has it more than once.
fn distinct_names<'a>(request: &CreateTopicsRequest<'a>) -> Vec<(String, Option<CreatableTopic<'a>>)> {
    let mut names: Vec<(String, Option<CreatableTopic<'a>>)> = Vec::new();
    let mut place = BTreeMap::new();
    for topic in &request.topics {
        match place.get(topic.name.as_ref()) {
            Some(&at) => {
                let seen: &mut (String, Option<_>) = &mut names[at];
                seen.1 = None;
            }
            None => {
                place.insert(topic.name.to_string(), names.len());
                names.push((topic.name.to_string(), Some(topic)));
            }
        }
    }
    names
}

/// A topic that has none counts as one: as many names take as long.
fn total_partitions(request: &CreateTopicsRequest<'_>, config: &Config) -> usize {
    let of_topic = |topic: CreatableTopic<'_>| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => config.num_partitions() as usize,
        (0, count) => usize::try_from(count).unwrap_or(0),
        (assigned, _) => assigned,
    };
    let counts = request.topics.iter().map(|topic| of_topic(topic).max(1));
    counts.fold(0, usize::saturating_add)
}

/// A topic as it will be.
struct Plan {
    id: TopicId,
    configs: Configs,
    partitions: Vec<PlannedPartition>,
}

fn plan_topic(
    image: &Image,
    topic: &CreatableTopic<'_>,
    config: &Config,
    directories: &mut Directories,
    new_id: &mut impl FnMut() -> TopicId,
) -> Result<Plan, CreateError> {
    check_name(image, &topic.name)?;
    let configs = read_configs(topic, config)?;
    let replicas = if topic.assignments.is_empty() {
        place_replicas(image, topic, config)?
    } else {
        read_assignment(image, topic)?
    };
    let partitions = replicas
        .into_iter()
        .map(|replicas| PlannedPartition::new(image, replicas, directories))
        .collect();
    Ok(Plan {
        id: new_id(),
        configs,
        partitions,
    })
}

fn check_name(image: &Image, name: &str) -> Result<(), CreateError> {
    if name == METADATA_TOPIC {
        return Err(CreateError::MetadataTopic);
    }
    if image.topic_by_name(name).is_some() {
        return Err(CreateError::Exists(name.to_owned()));
    }
    validate_topic_name(name).map_err(CreateError::Name)?;
    match image.colliding_topic(name) {
        Some(with) => Err(CreateError::Collides {
            name: name.to_owned(),
            with: with.to_owned(),
        }),
        None => Ok(()),
    }
}

fn read_configs(topic: &CreatableTopic<'_>, config: &Config) -> Result<Configs, CreateError> {
    let nulls: Vec<_> = topic
        .configs
        .iter()
        .filter(|c| c.value.is_none())
        .map(|c| c.name.into_owned())
        .collect();
    if !nulls.is_empty() {
        return Err(CreateError::NullConfigs(nulls));
    }
    let given = topic
        .configs
        .iter()
        .filter_map(|c| Some((c.name.into_owned(), c.value?.into_owned())));
    validate_topic_configs(config, given).map_err(CreateError::Config)
}

/// Spreads the replicas over the brokers that can lead, one further with each partition.
fn place_replicas(
    image: &Image,
    topic: &CreatableTopic<'_>,
    config: &Config,
) -> Result<Vec<Vec<NodeId>>, CreateError> {
    let replication_factor = match topic.replication_factor {
        -1 => config.default_replication_factor(),
        given => given,
    };
    if replication_factor <= 0 {
        return Err(CreateError::ReplicationFactor);
    }
    let partitions = match topic.num_partitions {
        -1 => config.num_partitions(),
        given => given,
    };
    if partitions <= 0 {
        return Err(CreateError::PartitionCount);
    }
    spread(image, 0..partitions as usize, replication_factor).map_err(CreateError::Placement)
}

fn read_assignment(image: &Image, topic: &CreatableTopic<'_>) -> Result<Vec<Vec<NodeId>>, CreateError> {
    if topic.replication_factor != -1 {
        return Err(CreateError::AssignmentAndReplicationFactor);
    }
    if topic.num_partitions != -1 {
        return Err(CreateError::AssignmentAndPartitionCount);
    }
    let refuse = |how: String| CreateError::Placement(PlacementError::Assignment(how));
    let mut by_partition: BTreeMap<i32, Vec<NodeId>> = BTreeMap::new();
    let mut factor = None;
    for assignment in &topic.assignments {
        let partition = assignment.partition_index;
        if by_partition.contains_key(&partition) {
            return Err(refuse(format!(
                "Found multiple manual partition assignments for partition {partition}"
            )));
        }
        let replicas: Vec<NodeId> = assignment.broker_ids.iter().map(NodeId).collect();
        check_assigned(image, partition, &replicas, factor).map_err(CreateError::Placement)?;
        factor = Some(replicas.len());
        by_partition.insert(partition, replicas);
    }
    if !by_partition.keys().copied().eq(0..by_partition.len() as i32) {
        let how = "partitions should be a consecutive 0-based integer sequence";
        return Err(refuse(how.to_owned()));
    }
    Ok(by_partition.into_values().collect())
}

impl Plan {
    /// Adds the records that make it so, in Kafka's order: the topic, its settings, its partitions.
    fn write(self, name: &str, records: &mut Records) -> CreatedTopic {
        const TOPIC: i8 = 2;
        records.push(
            TopicRecord {
                name: name.to_owned().into(),
                topic_id: self.id,
            }
            .into(),
        );
        for (key, value) in &self.configs {
            let record = ConfigRecord {
                resource_type: TOPIC,
                resource_name: name.to_owned().into(),
                name: key.clone().into(),
                value: Some(value.clone().into()),
            };
            records.push(record.into());
        }
        for (index, partition) in self.partitions.iter().enumerate() {
            records.push(partition.record(self.id, PartitionIndex(index as i32)).into());
        }
        CreatedTopic {
            id: self.id,
            partitions: self.partitions.len() as i32,
            replication_factor: self.partitions.first().map_or(0, |p| p.replicas.len() as i16),
            configs: self.configs,
        }
    }
}
