//! Deleting topics (Kafka's `ControllerApis.deleteTopics`).

use super::Records;
use crate::base::TopicId;
use crate::metadata::image::Image;
use crate::wire::ErrorCode;
use crate::wire::messages::RemoveTopicRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What to delete, as the request says it: by a name or by an id that isn't zero, not by both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeleteTarget {
    /// The name.
    pub name: Option<String>,
    /// The id; zero for none.
    pub id: TopicId,
}

/// What became of a DeleteTopics request.
#[derive(Debug)]
pub struct DeleteDecision {
    /// One answer for each distinct target, in the order of the request.
    pub answers: Vec<(DeleteTarget, Result<DeletedTopic, DeleteError>)>,
    /// What to propose.
    pub records: Records,
}

/// A topic that will be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
}

/// Why a topic isn't deleted. The texts are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteError {
    /// `delete.topic.enable` is false: nothing is.
    Disabled,
    /// Both name and id are given.
    NameAndId,
    /// Neither is given.
    NeitherNameNorId,
    /// The request has the name twice.
    DuplicateName,
    /// The request has the id twice.
    DuplicateId,
    /// The request has the topic by id too.
    NameOfSuppliedId,
    /// No topic has the name.
    UnknownName,
    /// No topic has the id.
    UnknownId,
}

impl DeleteError {
    /// The code to answer. (Before version 3 of the request, [`DeleteError::Disabled`] is INVALID_REQUEST.)
    pub fn code(&self) -> ErrorCode {
        match self {
            DeleteError::Disabled => ErrorCode::TOPIC_DELETION_DISABLED,
            DeleteError::NameAndId
            | DeleteError::NeitherNameNorId
            | DeleteError::DuplicateName
            | DeleteError::DuplicateId
            | DeleteError::NameOfSuppliedId => ErrorCode::INVALID_REQUEST,
            DeleteError::UnknownName => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            DeleteError::UnknownId => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }
}

impl fmt::Display for DeleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeleteError::Disabled => "Topic deletion is disabled.",
            DeleteError::NameAndId => "You may not specify both topic name and topic id.",
            DeleteError::NeitherNameNorId => "Neither topic name nor id were specified.",
            DeleteError::DuplicateName => "Duplicate topic name.",
            DeleteError::DuplicateId => "Duplicate topic id.",
            DeleteError::NameOfSuppliedId => {
                "The provided topic name maps to an ID that was already supplied."
            }
            DeleteError::UnknownName => "This server does not host this topic-partition.",
            DeleteError::UnknownId => "This server does not host this topic ID.",
        })
    }
}

/// Decides on a DeleteTopics request; `enabled` is `delete.topic.enable`.
pub fn delete_topics(image: &Image, targets: &[DeleteTarget], enabled: bool) -> DeleteDecision {
    let mut answers = Vec::new();
    let mut records = Records::new();
    let repeats = Repeats::count(targets);
    let mut answered_repeats = BTreeSet::new();
    for target in targets {
        let answer = match enabled {
            true => judge(image, target, &repeats),
            false => Err(DeleteError::Disabled),
        };
        let repeated = matches!(answer, Err(DeleteError::DuplicateName | DeleteError::DuplicateId));
        if repeated && !answered_repeats.insert(target) {
            continue;
        }
        if let Ok(topic) = &answer {
            records.push(RemoveTopicRecord { topic_id: topic.id }.into());
        }
        answers.push((target.clone(), answer));
    }
    DeleteDecision { answers, records }
}

/// How often the request has each name and each id; targets with both or neither don't count.
struct Repeats<'a> {
    names: BTreeMap<&'a str, usize>,
    ids: BTreeMap<TopicId, usize>,
}

impl<'a> Repeats<'a> {
    fn count(targets: &'a [DeleteTarget]) -> Repeats<'a> {
        let mut repeats = Repeats {
            names: BTreeMap::new(),
            ids: BTreeMap::new(),
        };
        for target in targets {
            match (&target.name, target.id.is_zero()) {
                (Some(name), true) => *repeats.names.entry(name).or_default() += 1,
                (None, false) => *repeats.ids.entry(target.id).or_default() += 1,
                _ => {}
            }
        }
        repeats
    }
}

fn judge(image: &Image, target: &DeleteTarget, repeats: &Repeats<'_>) -> Result<DeletedTopic, DeleteError> {
    let topic = match (&target.name, target.id.is_zero()) {
        (Some(_), false) => return Err(DeleteError::NameAndId),
        (None, true) => return Err(DeleteError::NeitherNameNorId),
        (Some(name), true) => {
            if repeats.names[name.as_str()] > 1 {
                return Err(DeleteError::DuplicateName);
            }
            let topic = image.topic_by_name(name).ok_or(DeleteError::UnknownName)?;
            if repeats.ids.contains_key(&topic.id) {
                return Err(DeleteError::NameOfSuppliedId);
            }
            topic
        }
        (None, false) => {
            if repeats.ids[&target.id] > 1 {
                return Err(DeleteError::DuplicateId);
            }
            image.topic(target.id).ok_or(DeleteError::UnknownId)?
        }
    };
    Ok(DeletedTopic {
        name: topic.name.clone(),
        id: topic.id,
    })
}
