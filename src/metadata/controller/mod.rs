//! The controller's decisions: from the image and what is asked, to answers and the records that make them true.
//!
//! Pure: no I/O, no clock; chance comes in as an argument. A decision holds for the image that it was made on, so core
//! 0 makes them one at a time, each after the records of the one before are applied.

mod brokers;
mod configs;
mod create;
mod delete;
mod directories;
mod partitions;
mod placement;
mod producer_ids;
#[cfg(test)]
mod tests;

use crate::wire::records::MetadataRecord;

pub use brokers::{
    Registration, bump_epochs_after_unclean_stop, elect_leaders, initial_records, register_broker,
};
pub use configs::{
    BROKER_RESOURCE, ConfigChange, ConfigChangeError, ConfigsDecision, ResourceChange, TOPIC_RESOURCE,
    alter_configs,
};
pub use create::{CreateDecision, CreateError, CreatedTopic, create_topics};
pub use delete::{DeleteDecision, DeleteError, DeleteTarget, DeletedTopic, delete_topics};
pub use directories::{
    assign_directories, assign_replica, cordon_log_dirs, keep_log_dirs, leave_offline_directories,
};
pub use partitions::{GrowDecision, GrowError, create_partitions};
pub use placement::PlacementError;
pub use producer_ids::{PRODUCER_IDS_PER_BLOCK, ProducerIdBlock, allocate_producer_ids};

/// Records to propose, in order: one atomic change.
pub type Records = Vec<MetadataRecord<'static>>;

/// The most partitions that one request may ask for (Kafka's `MAX_PARTITIONS_PER_BATCH`, there for CreateTopics only).
const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// The most records of one request's change (Kafka's `MAX_RECORDS_PER_USER_OP`): they are one batch.
pub const RECORDS_PER_REQUEST_MAX: usize = 10_000;
