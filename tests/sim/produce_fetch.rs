//! Many clients produce and fetch through crashes: what was acknowledged is there, once, in order.

use std::sync::Mutex;

use crate::run::{Plan, Promise, Report};
use crate::seeds;

/// What each pipelined producer sends: with the others' and the consumers' requests more than 5,000 operations.
const RECORDS: u32 = 900;
const OPERATIONS_MIN: usize = 5_000;
/// So many seeds meet every fault; a few may miss one.
const SEEDS_THAT_MEET_ALL: u64 = 20;

#[test]
fn one_seed_is_one_run() {
    for promise in [Promise::Written, Promise::Durable] {
        let traces = [1, 1, 2].map(|seed| plan(promise, 200).run(seed).trace);
        assert_eq!(traces[0], traces[1]);
        assert_ne!(traces[0], traces[2]);
    }
}

#[test]
fn acknowledged_records_survive_kills_once_and_in_order() {
    prove(
        "acknowledged_records_survive_kills_once_and_in_order",
        Promise::Written,
    );
}

#[test]
fn durable_records_survive_crashes_of_the_host_once_and_in_order() {
    prove(
        "durable_records_survive_crashes_of_the_host_once_and_in_order",
        Promise::Durable,
    );
}

fn plan(promise: Promise, records: u32) -> Plan {
    Plan {
        promise,
        records,
        planted: None,
        moves: false,
    }
}

fn prove(name: &str, promise: Promise) {
    let met = Mutex::new(Met::default());
    let seeds = seeds::each(name, |seed| {
        let report = plan(promise, RECORDS).run(seed);
        assert!(
            report.operations >= OPERATIONS_MIN,
            "only {} operations",
            report.operations
        );
        met.lock().unwrap().add(&report);
    });
    if seeds >= SEEDS_THAT_MEET_ALL {
        met.into_inner().unwrap().expect_all(promise);
    }
}

/// How often the seeds met what they are there for.
#[derive(Debug, Default)]
struct Met {
    frames_cut_in_header: u64,
    resets_with_reply_in_flight: u64,
    retries_after_lost_acks: u64,
    disk_errors: u64,
    disk_full: u64,
    short_reads: u64,
    short_writes: u64,
    crashes_between_write_and_flush: u64,
    torn_writes: u64,
    lost_writes: u64,
    lost_entries: u64,
}

impl Met {
    fn add(&mut self, report: &Report) {
        let seen = &report.seen;
        self.frames_cut_in_header += seen.frames_cut_in_header;
        self.resets_with_reply_in_flight += seen.resets_with_reply_in_flight;
        self.retries_after_lost_acks += report.retries_after_lost_acks;
        self.disk_errors += seen.disk_errors;
        self.disk_full += seen.disk_full;
        self.short_reads += seen.short_reads;
        self.short_writes += seen.short_writes;
        self.crashes_between_write_and_flush += seen.crashes_between_write_and_flush;
        self.torn_writes += seen.torn_writes;
        self.lost_writes += seen.lost_writes;
        self.lost_entries += seen.lost_entries;
    }

    fn expect_all(&self, promise: Promise) {
        println!("{promise:?}: {self:?}");
        let anywhere = [
            self.frames_cut_in_header,
            self.resets_with_reply_in_flight,
            self.retries_after_lost_acks,
            self.disk_errors,
            self.disk_full,
            self.short_reads,
            self.short_writes,
        ];
        let without_power = [
            self.crashes_between_write_and_flush,
            self.torn_writes,
            self.lost_writes,
            self.lost_entries,
        ];
        assert!(anywhere.iter().all(|count| *count > 0), "{self:?}");
        if promise == Promise::Durable {
            assert!(without_power.iter().all(|count| *count > 0), "{self:?}");
        }
    }
}
