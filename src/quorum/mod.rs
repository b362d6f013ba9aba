//! Who orders the metadata: one Raft group, whose log is `__cluster_metadata-0` in Kafka's files.
//!
//! Core 0 owns all of it. [`Quorum::propose`] is the only way to change the cluster's metadata: the records become one batch,
//! which is one Raft entry; it comes back when it is committed, to be applied by every image. `machine` and `entries` decide
//! without a file or a clock; `driver` carries out what they ask for. `ballot` is the term and the vote on disk, `snapshot`
//! what replaces the log's beginning, `format` what a new directory begins with.
//!
//! A quorum ends by [`Quorum::close`], or by a crash: what was proposed and not committed then may or may not be there at the
//! next start, and was answered to nobody. `docs/design/quorum.md` tells the rest.

pub mod ballot;
mod driver;
mod entries;
mod error;
mod format;
mod machine;
pub mod snapshot;

pub use driver::{Identity, Quorum};
pub use error::QuorumError;
pub use format::format_now;
