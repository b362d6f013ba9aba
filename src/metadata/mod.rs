//! The cluster's metadata: the image that each core has, and the controller's decisions.
//!
//! Everything known of the cluster is a sequence of Kafka's metadata records. `image` applies them, and gives them back for
//! a snapshot; `controller` decides which to add; `batch` puts them into batches of the log, which `crate::quorum` orders.
//! `membership` is what the log says of who orders it.
//!
//! All of it is pure and runs on any core.

pub mod batch;
pub mod controller;
pub mod features;
pub mod image;
mod membership;
pub mod names;

pub use batch::{METADATA_BATCH_BYTES_MAX, RecordBatchError};
pub use image::{ApplyError, Broker, Change, Configs, Endpoint, Image, Partition, Topic};
pub use membership::{KRAFT_VERSION_WITH_VOTERS, Membership, Voter, VoterEndpoint};
