//! Giving topics more partitions (Kafka's `ControllerApis.createPartitions` and
//! `ReplicationControlManager.createPartitions`).

use super::directories::Directories;
use super::placement::{PlacementError, PlannedPartition, check_assigned, spread};
use super::{PARTITIONS_PER_REQUEST_MAX, Records};
use crate::base::{NodeId, PartitionIndex};
use crate::metadata::image::{Image, Topic};
use crate::wire::ErrorCode;
use crate::wire::messages::CreatePartitionsRequest;
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use std::collections::BTreeMap;
use std::fmt;

/// What became of a CreatePartitions request.
#[derive(Debug)]
pub struct GrowDecision {
    /// One answer for each name asked for, in the order of the request.
    pub answers: Vec<(String, Result<(), GrowError>)>,
    /// What to propose; empty when there is nothing to add, or nothing should be (`validate_only`).
    pub records: Records,
}

/// Why a topic gets no more partitions. The texts are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrowError {
    /// The request names it twice.
    DuplicateName,
    /// The request's time was up before it began.
    TimedOut,
    /// No topic has the name.
    UnknownTopic,
    /// It has so many already.
    NoChange(usize),
    /// It would have fewer.
    NoIncrease {
        /// The topic.
        name: String,
        /// How many it has.
        partitions: usize,
        /// How many it should have.
        wanted: i32,
    },
    /// Replicas are assigned by hand for another number of partitions.
    AssignmentCount {
        /// How many partitions are added.
        added: usize,
        /// For how many there is an assignment.
        assigned: usize,
    },
    /// The replicas can't be placed.
    Placement(PlacementError),
    /// All topics of the request together get too many.
    TooManyPartitions,
}

impl GrowError {
    /// The code to answer.
    pub fn code(&self) -> ErrorCode {
        match self {
            GrowError::DuplicateName => ErrorCode::INVALID_REQUEST,
            GrowError::TimedOut => ErrorCode::REQUEST_TIMED_OUT,
            GrowError::UnknownTopic => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            GrowError::NoChange(_) | GrowError::NoIncrease { .. } => ErrorCode::INVALID_PARTITIONS,
            GrowError::AssignmentCount { .. } => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            GrowError::Placement(error) => error.code(),
            GrowError::TooManyPartitions => ErrorCode::POLICY_VIOLATION,
        }
    }

    /// What to say beside the code; nothing where Kafka says nothing.
    pub fn message(&self) -> Option<String> {
        (!matches!(self, GrowError::TimedOut | GrowError::UnknownTopic)).then(|| self.to_string())
    }
}

impl fmt::Display for GrowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrowError::DuplicateName => f.write_str("Duplicate topic name."),
            GrowError::TimedOut => f.write_str("the request's time was up"),
            GrowError::UnknownTopic => f.write_str("there is no such topic"),
            GrowError::NoChange(partitions) => write!(f, "Topic already has {partitions} partition(s)."),
            GrowError::NoIncrease {
                name,
                partitions,
                wanted,
            } => write!(
                f,
                "The topic {name} currently has {partitions} partition(s); {wanted} would not be an increase."
            ),
            GrowError::AssignmentCount { added, assigned } => write!(
                f,
                "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
            ),
            GrowError::Placement(error) => error.fmt(f),
            GrowError::TooManyPartitions => {
                f.write_str("Excessively large number of partitions per request.")
            }
        }
    }
}

/// Decides on a CreatePartitions request.
pub fn create_partitions(image: &Image, request: &CreatePartitionsRequest<'_>) -> GrowDecision {
    let mut records = Records::new();
    let mut directories = Directories::of(image);
    let mut room = PARTITIONS_PER_REQUEST_MAX;
    let mut answers = Vec::new();
    for (name, asked) in distinct(request) {
        let answer = match asked {
            None => Err(GrowError::DuplicateName),
            Some(_) if request.timeout_ms <= 0 => Err(GrowError::TimedOut),
            Some(asked) => grow(image, &asked, room, &mut directories).map(|added| {
                room -= added.len();
                records.extend(added);
            }),
        };
        answers.push((name, answer));
    }
    if request.validate_only {
        records.clear();
    }
    GrowDecision { answers, records }
}

/// Each name once, in order; with nothing asked when the request has it more than once.
fn distinct<'a>(request: &CreatePartitionsRequest<'a>) -> Vec<(String, Option<CreatePartitionsTopic<'a>>)> {
    let mut names: Vec<(String, Option<CreatePartitionsTopic<'a>>)> = Vec::new();
    let mut place = BTreeMap::new();
    for topic in &request.topics {
        let name = topic.name.to_string();
        match place.get(&name) {
            Some(&at) => {
                let seen: &mut (String, Option<_>) = &mut names[at];
                seen.1 = None;
            }
            None => {
                place.insert(name.clone(), names.len());
                names.push((name, Some(topic)));
            }
        }
    }
    names
}

/// The records of one topic's new partitions, at most `room`.
fn grow(
    image: &Image,
    asked: &CreatePartitionsTopic<'_>,
    room: usize,
    directories: &mut Directories,
) -> Result<Records, GrowError> {
    let topic = image.topic_by_name(&asked.name).ok_or(GrowError::UnknownTopic)?;
    let there = topic.partitions.len();
    let wanted = usize::try_from(asked.count).unwrap_or(0);
    if wanted == there {
        return Err(GrowError::NoChange(there));
    }
    if wanted < there {
        return Err(GrowError::NoIncrease {
            name: topic.name.clone(),
            partitions: there,
            wanted: asked.count,
        });
    }
    if wanted - there > room {
        return Err(GrowError::TooManyPartitions);
    }
    let replicas = place(image, topic, there..wanted, asked)?;
    let indexes = (there as i32..).map(PartitionIndex);
    let planned = replicas
        .into_iter()
        .map(|replicas| PlannedPartition::new(image, replicas, directories));
    Ok(indexes
        .zip(planned)
        .map(|(index, planned)| planned.record(topic.id, index).into())
        .collect())
}

/// The replicas of each new partition: as many as those of the topic's first one.
fn place(
    image: &Image,
    topic: &Topic,
    added: std::ops::Range<usize>,
    asked: &CreatePartitionsTopic<'_>,
) -> Result<Vec<Vec<NodeId>>, GrowError> {
    let factor = topic.partitions.values().next().map_or(1, |p| p.replicas.len());
    let Some(assignments) = &asked.assignments else {
        return spread(image, added, factor as i16).map_err(GrowError::Placement);
    };
    if assignments.len() != added.len() {
        return Err(GrowError::AssignmentCount {
            added: added.len(),
            assigned: assignments.len(),
        });
    }
    let assigned = added.zip(assignments.iter()).map(|(partition, assignment)| {
        let replicas: Vec<NodeId> = assignment.broker_ids.iter().map(NodeId).collect();
        check_assigned(image, partition as i32, &replicas, Some(factor)).map(|()| replicas)
    });
    assigned.collect::<Result<_, _>>().map_err(GrowError::Placement)
}
