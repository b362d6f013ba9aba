//! A small Kafka client: what the command line, the benchmark and (later) traffic between nodes need.
//!
//! [`Connection`] sends requests to one broker, [`Cluster`] finds the right one, [`Producer`] and [`Fetcher`] move
//! records, [`admin`] is for topics. Everything runs on the core that made it, over `io` and `wire` alone; versions
//! are agreed on with each broker, so it works against Apache Kafka as well.

mod address;
pub mod admin;
mod cluster;
mod connection;
mod error;
mod fetch;
mod partitioner;
mod producer;

pub use address::HostPort;
pub use cluster::{Cluster, Partition, Topic};
pub use connection::{Answer, ConnectOptions, Connection, Pending};
pub use error::ClientError;
pub use fetch::{FetchOptions, Fetched, Fetcher};
pub use partitioner::{Partitioner, murmur2};
pub use producer::{Acks, Delivery, OnDelivery, Producer, ProducerOptions, Record, TopicHandle};

#[cfg(test)]
mod tests;
