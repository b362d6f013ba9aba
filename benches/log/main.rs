//! The log against the least that could do its work on this machine: each figure with its floor, interleaved in one run.
//!
//! `cargo bench --bench log` measures, on one core's loop as a broker runs it, pinned to one CPU:
//! - `append`: a batch from its bytes to the page cache, with all that a core does for it, against pwrite of the same bytes;
//! - `durable`: one producer that waits for each of its batches to be on stable storage, against a thread that writes and calls
//!   fdatasync, and against the ring's own write and flush;
//! - `group`: 64 producers of one durable partition, against a thread that writes 64 batches and flushes once;
//! - `recovery`: opening a log after a crash, every segment of it in doubt, against reading the same bytes and their CRC-32C;
//! - `compaction`: against the same work without a broker around it, table of keys and flushes included.
//!
//! The floor is measured twice, so that floor against floor shows what the machine adds. Recovery and compaction work on files that are in
//! the page cache. Everything lies under `target`, at most 4 GiB at a time.
//!
//! Options: `--only NAME` (may be repeated), `--quick` (a few seconds, for checking that it works), `--rounds N`, `--samples N` of
//! `durable` in each round, `--mib N` of `recovery`, `--cpu N`, `--profile park|busy`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "stands outside the broker: it takes the time itself, and compares the log with bare files"
)]

mod append;
mod compaction;
mod disk;
mod durable;
mod figure;
mod group;
mod host;
mod one_core;
mod recovery;

use ringlog::io::Profile;

type Measure = fn(&Plan);

const PARTS: [(&str, Measure); 5] = [
    ("append", append::measure),
    ("durable", durable::measure),
    ("group", group::measure),
    ("recovery", recovery::measure),
    ("compaction", compaction::measure),
];

/// What the command line asks for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Interleaved rounds; a figure to quote needs 7.
    rounds: usize,
    /// Of one round: all rounds together have far more than 100 above the 99th percentile.
    durable_samples: usize,
    /// Batches that each of the group's producers sends in a round.
    group_batches: usize,
    append_bytes: usize,
    recovery_bytes: u64,
    compaction_bytes: u64,
    /// Where the core runs.
    cpu: usize,
    profile: Profile,
    only: Vec<String>,
}

impl Plan {
    fn full() -> Plan {
        Plan {
            rounds: 7,
            durable_samples: 4_000,
            group_batches: 200,
            append_bytes: 256 << 20,
            recovery_bytes: 512 << 20,
            compaction_bytes: 96 << 20,
            cpu: 0,
            profile: Profile::Park,
            only: Vec::new(),
        }
    }

    fn quick() -> Plan {
        Plan {
            rounds: 2,
            durable_samples: 50,
            group_batches: 5,
            append_bytes: 4 << 20,
            recovery_bytes: 32 << 20,
            compaction_bytes: 72 << 20,
            ..Plan::full()
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn main() {
    let plan = parse(std::env::args().skip(1));
    println!(
        "{} rounds on CPU {}, {:?}; median (least..most) of the rounds",
        plan.rounds, plan.cpu, plan.profile
    );
    for (name, measure) in PARTS {
        if plan.wants(name) {
            measure(&plan);
        }
    }
    if plan.rounds < 7 {
        println!("fewer than 7 rounds: a look, not a figure");
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Plan {
    let arguments: Vec<String> = arguments.filter(|argument| argument != "--bench").collect();
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let mut plan = if is_quick { Plan::quick() } else { Plan::full() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| panic!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--quick" => {}
            "--only" => plan.only.push(value()),
            "--rounds" => plan.rounds = value().parse().expect("a number of rounds"),
            "--samples" => plan.durable_samples = value().parse().expect("a number of samples"),
            "--mib" => plan.recovery_bytes = value().parse::<u64>().expect("a number of MiB") << 20,
            "--cpu" => plan.cpu = value().parse().expect("a CPU number"),
            "--profile" => {
                plan.profile = match value().as_str() {
                    "park" => Profile::Park,
                    "busy" => Profile::Busy,
                    other => panic!("--profile {other}: park or busy"),
                }
            }
            // What `cargo bench NAME` would filter by: that is --only here.
            _ => eprintln!("ignored: {argument}"),
        }
    }
    plan
}
