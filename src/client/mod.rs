//! (being built)
mod partitioner;
pub use partitioner::{Partitioner, murmur2};
