//! The words every room shares: newtypes for Kafka's quantities, limits, and the one checksum.
//!
//! Nothing here touches the world: no clock, no file, no socket.

mod checksum;
mod ids;
mod time;

pub use checksum::{crc32c, crc32c_append};
pub use ids::{
    BrokerId, CoreId, FetchSessionId, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerEpoch, ProducerId,
    TopicId, TopicPartition,
};
pub use time::{Instant, Timestamp};
