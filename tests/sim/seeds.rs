//! Which seeds run, and what a failing one says.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Seeds of each test when nobody says how many.
const SEEDS_DEFAULT: u64 = 20;

/// Runs `test` on every seed that was asked for, on two threads; returns how many those were.
pub fn each(name: &str, test: impl Fn(u64) + Sync) -> u64 {
    if let Some(seed) = number("RINGLOG_SEED") {
        test(seed);
        return 1;
    }
    let seeds = number("RINGLOG_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let first = number("RINGLOG_FIRST_SEED").unwrap_or(0);
    let next = AtomicU64::new(first);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
                        eprintln!(
                            "seed {seed} failed; again by: RINGLOG_SEED={seed} cargo test --features sim --test sim {name}"
                        );
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                        resume_unwind(panic);
                    }
                }
            });
        }
    });
    seeds
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: expected a number")),
    )
}
