//! Options that several commands share.

use clap::{Args, ValueEnum};

use super::Failure;
use super::values::Pair;
use crate::client::{Acks, Cluster, ConnectOptions, HostPort, ProducerOptions};
use crate::wire::compression::Codec;

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct ClusterArgs {
    /// A broker of the cluster
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    pub bootstrap: HostPort,
}

impl ClusterArgs {
    /// Connects to it.
    pub async fn connect(&self) -> Result<Cluster, Failure> {
        Ok(Cluster::connect(self.bootstrap.clone(), ConnectOptions::default()).await?)
    }
}

/// How batches are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CodecArg {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl From<CodecArg> for Codec {
    fn from(arg: CodecArg) -> Codec {
        match arg {
            CodecArg::None => Codec::None,
            CodecArg::Gzip => Codec::Gzip,
            CodecArg::Snappy => Codec::Snappy,
            CodecArg::Lz4 => Codec::Lz4,
            CodecArg::Zstd => Codec::Zstd,
        }
    }
}

/// Whose acknowledgement is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AcksArg {
    /// Nobody's.
    #[value(name = "0")]
    None,
    /// The leader's.
    #[value(name = "1")]
    Leader,
    /// Every in-sync replica's.
    #[default]
    #[value(name = "all", alias = "-1")]
    All,
}

impl From<AcksArg> for Acks {
    fn from(arg: AcksArg) -> Acks {
        match arg {
            AcksArg::None => Acks::None,
            AcksArg::Leader => Acks::Leader,
            AcksArg::All => Acks::All,
        }
    }
}

/// How records are sent.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// How batches are packed
    #[arg(long, value_enum, default_value_t)]
    codec: CodecArg,
    /// Whose acknowledgement to wait for: nobody's, the leader's, every in-sync replica's
    #[arg(long, value_enum, default_value_t, allow_hyphen_values = true)]
    acks: AcksArg,
    /// Whether the broker is to drop what it already has when a batch is sent again [default: true with --acks all]
    #[arg(long, value_name = "BOOL")]
    idempotent: Option<bool>,
    /// How long a batch may wait for more records
    #[arg(long, value_name = "DURATION", default_value = "0", value_parser = super::values::duration)]
    linger: std::time::Duration,
    /// Close a batch at this size
    #[arg(long, value_name = "BYTES", default_value_t = 65_536, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch_size: u32,
    /// How long to go on trying, through a broker's restart for instance
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = super::values::duration)]
    delivery_timeout: std::time::Duration,
}

impl SendArgs {
    /// As the producer takes them; an error where they contradict each other.
    pub fn producer_options(&self) -> Result<ProducerOptions, Failure> {
        let idempotent = self.idempotent.unwrap_or(self.acks == AcksArg::All);
        if idempotent && self.acks != AcksArg::All {
            return Err(Failure::Usage("--idempotent true needs --acks all".into()));
        }
        Ok(ProducerOptions {
            acks: self.acks.into(),
            idempotent,
            codec: self.codec.into(),
            linger: self.linger,
            batch_bytes_max: self.batch_size as usize,
            delivery_timeout: self.delivery_timeout,
            ..ProducerOptions::default()
        })
    }

    /// Whether anyone acknowledges.
    pub fn is_acknowledged(&self) -> bool {
        self.acks != AcksArg::None
    }
}

/// Settings for a topic that is created.
#[derive(Clone, Debug, Args)]
pub struct NewTopicArgs {
    /// How many partitions [default: the broker's num.partitions]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// How many replicas of each partition [default: the broker's]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(1..))]
    pub replication_factor: Option<i16>,
    /// A setting of the topic; may be repeated
    #[arg(long = "topic-config", visible_alias = "config", value_name = "NAME=VALUE")]
    pub configs: Vec<Pair>,
}
