//! How large a classic group may become, and how long its members may keep silent.

use std::time::Duration;

use crate::config::Config;

/// How long a new member's join may wait before it has to ask again: it has no id yet, so it can't send heartbeats, and a
/// parked request doesn't show whether its client still lives (Kafka's `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`).
pub const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The least time until the next look whether anybody has joined, of a phase that ended with nobody. Members may ask for a
/// rebalance timeout of 0.
pub const JOIN_RETRY_MIN: Duration = Duration::from_millis(100);

/// Members that were given an id and have not joined with it, at most: a fleet of that many that starts at once. Each is
/// some 200 bytes until its session timeout.
pub const PENDING_MEMBERS_MAX: usize = 10_000;

/// Names and metadata of all protocols of all members of a group, at most: 10,000 members with three assignors and 2 KiB
/// for each. The leader gets all that is of the chosen protocol in one answer.
pub const METADATA_BYTES_MAX: usize = 64 << 20;

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`: members of a group, at most.
    pub members_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// [`METADATA_BYTES_MAX`].
    pub metadata_bytes_max: usize,
    /// [`PENDING_MEMBERS_MAX`].
    pub pending_members_max: usize,
}

impl Limits {
    /// Those of `config`.
    pub fn of(config: &Config) -> Limits {
        Limits {
            session_timeout_min_ms: config.group_session_timeout_min_ms(),
            session_timeout_max_ms: config.group_session_timeout_max_ms(),
            members_max: config.group_members_max(),
            initial_rebalance_delay: millis(config.group_initial_rebalance_delay_ms()),
            metadata_bytes_max: METADATA_BYTES_MAX,
            pending_members_max: PENDING_MEMBERS_MAX,
        }
    }
}

/// `millis` of a request or a setting; none of them may be negative in effect.
pub(super) fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
