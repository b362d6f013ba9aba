//! What one core says to another.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::base::{FetchSessionId, Offset, TopicPartition};
use crate::log::{EpochEnd, LogError};
use crate::metadata::Image;
use crate::metadata::controller::{DeleteTarget, ProducerIdBlock, ResourceChange};
use crate::partition::{Appended, Interest, Isolation, Refusal};
use crate::wire::ErrorCode;
use crate::wire::batch::Arrived;

use super::administration::{Altered, Grown};
use super::asked::AskedFrame;
use super::checkpoints::CoreOffsets;
use super::controller::{Created, Deleted, NewTopics};
use super::data_dirs::DirIndex;
use super::log_sizes::LogSize;
use super::lookup::{FindEpochEnd, FindOffset, FoundOffset};
use super::places::{AddressIsFull, Visitor};
use super::reading::{ReadAnswer, Wanted};
use super::topics::ClosedLogs;

/// A message between two cores of a node.
pub enum Message {
    /// Asks for something; `slot` comes back in the reply.
    Request { slot: u32, request: Request },
    /// Answers the request of that slot.
    Reply { slot: u32, reply: Reply },
    /// A watch that the receiver registered with the sender has fired.
    Fired(WatchId),
    /// A partition of a fetch session of the receiver has changed.
    Changed(Interest),
}

/// Names a watch that one core registered with another; never used twice by the registering core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatchId(pub u64);

/// What a core may ask of another.
pub enum Request {
    /// Append one partition's batch.
    Append {
        partition: TopicPartition,
        batch: Arrived,
    },
    /// Read partitions.
    Read(ReadRequest),
    /// Give up a watch.
    Unwatch(WatchId),
    /// Forget what fetch sessions of the sender wait for.
    EndInterests(Vec<(TopicPartition, Interest)>),
    /// End a fetch session.
    EndFetchSession(FetchSessionId),
    /// Give a connection a place (of core 0).
    Place(Visitor),
    /// Take a connection's place back (of core 0).
    EndPlace(Visitor),
    /// Close one connection to make room (from core 0).
    CloseOne,
    /// Find an offset by time.
    FindOffset(FindOffset),
    /// Find where a leader epoch ends.
    FindEpochEnd(FindEpochEnd),
    /// Create topics (of core 0).
    CreateTopics(NewTopics),
    /// Delete topics (of core 0).
    DeleteTopics(Vec<DeleteTarget>),
    /// Add partitions (of core 0).
    CreatePartitions(AskedFrame),
    /// Give topics and brokers other settings (of core 0).
    AlterConfigs {
        changes: Vec<ResourceChange>,
        validate_only: bool,
    },
    /// Hand out a block of producer ids (of core 0).
    ProducerIdBlock,
    /// Take this image and open what it gives you (once, from core 0).
    Open(Box<Image>),
    /// Move the start of a partition's log.
    DeleteRecords {
        partition: TopicPartition,
        before: Offset,
    },
    /// Write the checkpoints (of core 0).
    Checkpoint,
    /// Tell the offsets to be checkpointed (from core 0).
    Offsets,
    /// Apply a committed batch of metadata records (from core 0).
    Apply(Bytes),
    /// Tell the sizes of these partitions, or of all.
    LogSizes(Option<Vec<TopicPartition>>),
    /// A log directory has failed (of core 0).
    DirFailed { dir: DirIndex, reason: String },
    /// Close what lies in a log directory that has failed (from core 0).
    CloseDir(DirIndex),
    /// Move a replica to another log directory.
    MoveReplica { partition: TopicPartition, to: DirIndex },
    /// A replica has moved to this log directory (of core 0).
    ReplicaMoved {
        partition: TopicPartition,
        dir: DirIndex,
    },
    /// Accept connections (from core 0).
    Listen,
    /// Let all clients go (from core 0).
    EndClients,
    /// Close everything and end (from core 0).
    Stop,
    /// End, and leave everything as it is (from core 0).
    End,
}

/// Partitions to read on one core.
pub struct ReadRequest {
    /// In this order.
    pub wanted: Vec<Wanted>,
    /// What the reader may see.
    pub isolation: Isolation,
    /// Bytes of all partitions together.
    pub bytes_max: usize,
    /// Registered on all of them when the read finds less than this many bytes.
    pub watch: Option<(WatchId, usize)>,
}

/// The answer to a [`Request`], by its kind.
pub enum Reply {
    /// To [`Request::Append`].
    Appended(Result<Appended, Refusal>),
    /// To [`Request::Read`].
    Read(Vec<ReadAnswer>),
    /// To [`Request::Place`].
    Place(Result<(), AddressIsFull>),
    /// To [`Request::CloseOne`]: whether there was one.
    ClosedOne(bool),
    /// To [`Request::FindOffset`].
    Found(Result<FoundOffset, Refusal>),
    /// To [`Request::FindEpochEnd`].
    EpochEnd(Result<Option<EpochEnd>, Refusal>),
    /// To [`Request::CreateTopics`].
    Created(Created),
    /// To [`Request::DeleteTopics`].
    Deleted(Deleted),
    /// To [`Request::CreatePartitions`].
    Grown(Grown),
    /// To [`Request::AlterConfigs`].
    Altered(Altered),
    /// To [`Request::ProducerIdBlock`]: the ids.
    ProducerIds(Result<ProducerIdBlock, Refusal>),
    /// To [`Request::Open`].
    Opened(Result<(), LogError>),
    /// To [`Request::DeleteRecords`]: where the log starts now.
    Start(Result<Offset, Refusal>),
    /// To [`Request::Offsets`].
    Offsets(CoreOffsets),
    /// To [`Request::LogSizes`]: of those that are open.
    LogSizes(Vec<LogSize>),
    /// To [`Request::Checkpoint`]: the directories in which not everything could be written.
    Checkpointed(BTreeSet<DirIndex>),
    /// To [`Request::MoveReplica`].
    Moved(Result<(), ErrorCode>),
    /// To [`Request::Stop`].
    Closed(std::io::Result<ClosedLogs>),
    /// To all others.
    Done,
}
