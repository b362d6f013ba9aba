//! Bugs that the simulated world can plant, so that its models prove that they would find them.

/// One wrong step in the broker. On the machine none is ever planted, and the questions for them vanish when it is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A durable append is acknowledged before it is flushed.
    AckBeforeWrite,
    /// Sequence numbers are forgotten by a recovery.
    ProducerStateNotRebuilt,
    /// A look-up in an index gives the entry behind the right one.
    IndexOffByOne,
    /// Of several parked fetches an append wakes the first only.
    LostWakeUp,
    /// An answer is sent before that of an earlier request.
    ReplyOutOfOrder,
    /// Leaders keep their epoch through an unclean stop.
    EpochNotBumped,
    /// What finds a mailbox full is dropped.
    MessageDropped,
    /// Consumers see what a crash can take back.
    UnflushedShown,
    /// A start takes no segment over that still has its spare name.
    SpareForgotten,
    /// The recovery point runs ahead of what is on stable storage.
    RecoveryPointAhead,
    /// A truncation leaves the producer states as they were.
    TruncationLeavesProducers,
    /// Retention takes one segment more than has expired.
    RetentionTakesOneMore,
    /// A full table of keys forgets where one was last.
    FullKeyMapForgets,
    /// A compacted segment counts before the names of its files are durable.
    SwapNotFlushed,
    /// A sealed segment counts as durable before its records are flushed.
    SettledUnflushed,
    /// Records that were deleted on request come back after a crash.
    DeletedStartLost,
    /// A look-up in a time index begins behind the right place.
    TimeIndexBehind,
}

impl Planted {
    /// All of them.
    pub const ALL: [Planted; 17] = [
        Planted::AckBeforeWrite,
        Planted::ProducerStateNotRebuilt,
        Planted::IndexOffByOne,
        Planted::LostWakeUp,
        Planted::ReplyOutOfOrder,
        Planted::EpochNotBumped,
        Planted::MessageDropped,
        Planted::UnflushedShown,
        Planted::SpareForgotten,
        Planted::RecoveryPointAhead,
        Planted::TruncationLeavesProducers,
        Planted::RetentionTakesOneMore,
        Planted::FullKeyMapForgets,
        Planted::SwapNotFlushed,
        Planted::SettledUnflushed,
        Planted::DeletedStartLost,
        Planted::TimeIndexBehind,
    ];
}
