//! The number that a consumer group counts its changes by.

use std::fmt;

/// A group's, an assignment's or a member's epoch: one count, since a member's is that of the assignment it has come to (KIP-848).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i32);

impl Epoch {
    /// What a member says that wants to join.
    pub const JOIN: Epoch = Epoch(0);
    /// What a member says that leaves.
    pub const LEAVE: Epoch = Epoch(-1);
    /// What a static member says that leaves and will be back, and what it has until then.
    pub const STATIC_LEAVE: Epoch = Epoch(-2);
    /// What a group and its assignment begin with, as Kafka's `ModernGroup`.
    pub const FIRST: Epoch = Epoch(1);

    /// The next one. Stays at the largest, which two billion changes are away from.
    pub fn next(self) -> Epoch {
        Epoch(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
