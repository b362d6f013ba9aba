//! Planted bugs: the models find each of them, and so would find their like.

use std::thread;

use ringlog::io::Planted;

use crate::log_steps;
use crate::run::{Plan, Promise};

/// Seeds in which a planted bug must show.
const SEEDS_MAX: u64 = 1_000;
const RECORDS: u32 = 300;

#[test]
fn an_acknowledgement_before_the_write_is_found() {
    find(Planted::AckBeforeWrite, Promise::Durable);
}

#[test]
fn producer_states_that_are_not_rebuilt_are_found() {
    find(Planted::ProducerStateNotRebuilt, Promise::Written);
}

#[test]
fn an_index_that_is_off_by_one_is_found() {
    find(Planted::IndexOffByOne, Promise::Written);
}

#[test]
fn a_lost_wake_up_is_found() {
    find(Planted::LostWakeUp, Promise::Written);
}

#[test]
fn a_reply_out_of_order_is_found() {
    find(Planted::ReplyOutOfOrder, Promise::Written);
}

#[test]
fn a_leader_epoch_that_is_not_bumped_is_found() {
    find(Planted::EpochNotBumped, Promise::Written);
}

#[test]
fn a_message_that_is_dropped_is_found() {
    find(Planted::MessageDropped, Promise::Written);
}

#[test]
fn unflushed_records_that_are_shown_are_found() {
    find(Planted::UnflushedShown, Promise::Durable);
}

#[test]
fn a_spare_that_a_start_forgets_is_found() {
    find(Planted::SpareForgotten, Promise::Written);
    find(Planted::SpareForgotten, Promise::Durable);
}

#[test]
fn a_recovery_point_that_runs_ahead_is_found() {
    find_in_log(Planted::RecoveryPointAhead);
}

#[test]
fn a_truncation_that_leaves_producers_is_found() {
    find_in_log(Planted::TruncationLeavesProducers);
}

#[test]
fn a_retention_that_takes_one_more_is_found() {
    find_in_log(Planted::RetentionTakesOneMore);
}

#[test]
fn a_full_key_map_that_forgets_is_found() {
    find_in_log(Planted::FullKeyMapForgets);
}

#[test]
fn a_swap_that_is_not_flushed_is_found() {
    find_in_log(Planted::SwapNotFlushed);
}

#[test]
fn a_segment_that_is_settled_and_not_flushed_is_found() {
    find_in_log(Planted::SettledUnflushed);
}

#[test]
fn a_deleted_start_that_is_lost_is_found() {
    find_in_log(Planted::DeletedStartLost);
}

#[test]
fn a_time_index_that_points_behind_is_found() {
    find_in_log(Planted::TimeIndexBehind);
}

#[test]
fn an_index_and_a_forgotten_spare_are_found_in_the_log_alone() {
    find_in_log(Planted::IndexOffByOne);
    find_in_log(Planted::ProducerStateNotRebuilt);
    find_in_log(Planted::SpareForgotten);
}

fn find(bug: Planted, promise: Promise) {
    let plan = |planted| Plan {
        promise,
        records: RECORDS,
        planted,
        moves: false,
    };
    let (with, without) = (plan(Some(bug)), plan(None));
    find_by(bug, move |seed, is_planted| {
        _ = if is_planted {
            with.run(seed)
        } else {
            without.run(seed)
        };
    });
}

/// In the model of the log alone.
fn find_in_log(bug: Planted) {
    find_by(bug, move |seed, is_planted| {
        _ = log_steps::run(seed, is_planted.then_some(bug))
    });
}

/// Finds a seed whose run fails with the bug, and doesn't without.
fn find_by(bug: Planted, run: impl Fn(u64, bool) + Copy + Send + 'static) {
    for seed in 0..SEEDS_MAX {
        // A thread of its own: what a broken broker leaves behind ends with it.
        let outcome = thread::spawn(move || run(seed, true)).join();
        if let Err(panic) = outcome {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            println!("{bug:?}: found by seed {seed}: {}", said.unwrap_or_default());
            run(seed, false);
            return;
        }
    }
    panic!("{bug:?} stays hidden in {SEEDS_MAX} seeds");
}
