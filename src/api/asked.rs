//! What several APIs ask in the same way.

use crate::base::TopicId;
use crate::partition::Refusal;
use crate::shard::Shard;
use crate::wire::ErrorCode;

/// A change must not name more. Kafka has the same number for the records of a change (`QuorumController.MAX_RECORDS_PER_USER_OP`).
const NAMED_IN_A_CHANGE_MAX: usize = 10_000;

/// Whether a request that changes `named` topics or resources is of a size to look at: a decision takes its core in one piece.
///
/// # Errors
/// POLICY_VIOLATION, as Kafka says it of changes that come to too many records.
pub fn fits_one_change(named: usize) -> Result<(), Refusal> {
    match named <= NAMED_IN_A_CHANGE_MAX {
        true => Ok(()),
        false => Err(Refusal::new(
            ErrorCode::POLICY_VIOLATION,
            "Unable to perform excessively large batch operation.",
        )),
    }
}

/// From this version on Produce and Fetch name topics by id (KIP-516); both have reached it with the same number.
pub const FIRST_VERSION_BY_ID: i16 = 13;

/// The topic that a Produce or Fetch request of `version` names.
///
/// # Errors
/// UNKNOWN_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION, by what it was named with.
pub fn topic(shard: &Shard, version: i16, name: &str, id: TopicId) -> Result<TopicId, ErrorCode> {
    let image = shard.image();
    if version >= FIRST_VERSION_BY_ID {
        return image.topic(id).map(|_| id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID);
    }
    image
        .topic_by_name(name)
        .map(|topic| topic.id)
        .ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
}
