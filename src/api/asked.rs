//! What several APIs ask in the same way.

use crate::base::TopicId;
use crate::shard::Shard;
use crate::wire::ErrorCode;

/// `isolation_level` of a reader that wants committed records only.
pub const READ_COMMITTED: i8 = 1;

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
