//! What the cores' loops count about themselves, as plain data.

use std::fmt;
use std::time::Duration;

use crate::base::CoreId;

/// One reading of every core's counters. Its `Display` is one line for each core.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Index = `CoreId`.
    pub cores: Vec<CoreCounters>,
}

/// What one core's loop counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreCounters {
    /// Turns of the loop.
    pub passes: u64,
    /// Entries into the kernel, sleeping or not.
    pub enters: u64,
    /// Completions reaped.
    pub completions: u64,
    /// Times the core slept.
    pub sleeps: u64,
    /// Sleeps that ended by their time limit although a message lay in a mailbox or a task was runnable. Always zero in
    /// a correct loop.
    pub broken_sleeps: u64,
    /// Times the executor underneath took the thread away from the loop for its own parking. Nearly always zero; each
    /// may have cost up to 10 ms.
    pub executor_parks: u64,
    /// Passes longer than the stall limit (`ringlog.stall.limit.ms`), what the thread waited for its CPU left out.
    pub stalls: u64,
    /// Passes that were longer only because the kernel ran something else on the core's CPU.
    pub preemptions: u64,
    /// The longest pass.
    pub longest_pass: Duration,
    /// Times the watchdog found that an awake core made no pass for a second.
    pub watchdog_alarms: u64,
    /// Times a receive ended because all receive buffers of the core were in use.
    pub buffers_exhausted: u64,
    /// Messages that this core woke a sleeping peer for.
    pub peer_wakes: u64,
}

impl Counters {
    /// The sum over all cores of the sleeps that broke the rule.
    pub fn broken_sleeps(&self) -> u64 {
        self.cores.iter().map(|c| c.broken_sleeps).sum()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, core) in self.cores.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "core {}: {core}", CoreId(index as u16))?;
        }
        Ok(())
    }
}

impl fmt::Display for CoreCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "passes={} enters={} completions={} sleeps={} broken_sleeps={} executor_parks={} stalls={} \
             preemptions={} longest_pass={:?} watchdog_alarms={} buffers_exhausted={} peer_wakes={}",
            self.passes,
            self.enters,
            self.completions,
            self.sleeps,
            self.broken_sleeps,
            self.executor_parks,
            self.stalls,
            self.preemptions,
            self.longest_pass,
            self.watchdog_alarms,
            self.buffers_exhausted,
            self.peer_wakes
        )
    }
}
