//! What groups may be.

use super::Config;

impl Config {
    /// `group.initial.rebalance.delay.ms`.
    pub fn group_initial_rebalance_delay_ms(&self) -> i32 {
        self.number("group.initial.rebalance.delay.ms") as i32
    }

    /// `group.min.session.timeout.ms`.
    pub fn group_session_timeout_min_ms(&self) -> i32 {
        self.number("group.min.session.timeout.ms") as i32
    }

    /// `group.max.session.timeout.ms`.
    pub fn group_session_timeout_max_ms(&self) -> i32 {
        self.number("group.max.session.timeout.ms") as i32
    }

    /// `group.max.size`: members of a classic group; at least 1.
    pub fn group_members_max(&self) -> usize {
        self.number("group.max.size") as usize
    }
}
