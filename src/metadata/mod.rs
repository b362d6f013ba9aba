//! The cluster's metadata: the image that each core has, the controller's decisions, and the log that orders them.
//!
//! Everything known of the cluster is a sequence of Kafka's metadata records in `__cluster_metadata-0`. `image` applies
//! them, `controller` decides which to add, and the log is the only way to add them: propose, flush, apply. What
//! comes back from a proposal is the batch that every other core applies to its own image.
//!
//! Core 0 runs the controller and owns the log; images and decisions are pure and run anywhere.

mod batch;
pub mod controller;
pub mod features;
pub mod image;
mod log;
pub mod names;

pub use batch::{METADATA_BATCH_BYTES_MAX, RecordBatchError};
pub use image::{ApplyError, Broker, Change, Configs, Endpoint, Image, Partition, Topic};
pub use log::{MetadataLog, MetadataLogError};
