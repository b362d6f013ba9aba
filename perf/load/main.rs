//! `perf-load`: messages one by one at a fixed rate, and how long each took from the moment it was due until it
//! arrived at a consumer.
//!
//! Open loop: latency counts from the *intended* send time, so a stall of the broker or of this program cannot
//! hide. One thread on one CPU drives two connections: one sends a produce request per message, the other keeps a
//! fetch waiting at the partition's end. It speaks CreateTopics v2, ListOffsets v1, Produce v7 and Fetch v4 and
//! nothing else, so any Kafka broker of today, Ringlog, and a bare floor program can be measured by the same means.
//!
//! With `--beside` it measures nothing: it is what else the broker has to do while another one measures.
//!
//! It stands outside the broker's rooms on purpose: its clock and its sockets are its own, so that a slow `io`
//! room cannot flatter itself.

// The broker's rule of one door to the world doesn't bind a program that measures it from outside.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod beside;
mod broker;
mod host;
mod report;
mod run;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Send messages one by one at a fixed rate and measure how long each takes to reach a consumer
#[derive(Debug, Parser)]
#[command(
    name = "perf-load",
    after_help = "Example:\n  perf-load --bootstrap 127.0.0.1:9092 --rate 20000 --seconds 30 --cpu 1"
)]
pub struct Args {
    /// The broker's address (it must lead the partition itself)
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: SocketAddr,
    /// Messages a second, each in a produce request of its own
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// Bytes of each message's value
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=900_000))]
    size: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long to send before measuring
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    warmup: u64,
    /// 0, 1, or -1 for all in-sync replicas
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, value_parser = clap::value_parser!(i16).range(-1..=1))]
    acks: i16,
    /// The topic; created with one partition when missing
    #[arg(long, default_value = "perf-load")]
    topic: String,
    /// Run on this CPU only
    #[arg(long)]
    cpu: Option<usize>,
    /// Sleep in poll(2) between events instead of spinning
    #[arg(long)]
    park: bool,
    /// Go before every other thread of the CPU, kernel threads too, wherever there is something to do (SCHED_FIFO; needs root)
    #[arg(long, requires = "park", conflicts_with = "beside")]
    first: bool,
    /// Report the CPU time of this process too: the broker's
    #[arg(long)]
    broker_pid: Option<u32>,
    /// Don't measure: keep the broker of this log directory busy with a compacted topic and with reads of the topic's old segments
    /// from disk, for the seconds of warm-up and measurement
    #[arg(long, value_name = "DIR")]
    beside: Option<PathBuf>,
    /// KiB that --beside writes to a compacted topic in a second
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    compacted_kib: u64,
    /// KiB that --beside reads of old segments in a second
    #[arg(long, default_value_t = 32_768, value_parser = clap::value_parser!(u64).range(1024..=4_194_304))]
    backfill_kib: u64,
    /// A name for the run, kept in the JSON line
    #[arg(long, default_value = "")]
    label: String,
}

impl Args {
    fn warmup(&self) -> Duration {
        Duration::from_secs(self.warmup)
    }

    fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.beside {
        Some(data) => beside::run(&args, data).map(|done| println!("{}", done.json_line())),
        None => run::run(&args).map(|result| {
            eprint!("{}", report::table(&args, &result));
            println!("{}", report::json_line(&args, &result));
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("perf-load: {message}");
            ExitCode::FAILURE
        }
    }
}
