//! The small files: checkpoints, properties, JSON. One that doesn't read is shown line by line.

use std::io;

use super::DataFile;
use super::kind::Kind;
use super::output::{Line, Output, Place, Stop, Value};
use crate::base::NodeId;
use crate::io::fs;
use crate::log::checkpoint::{self, Malformed};
use crate::log::dir;
use crate::quorum::ballot;
use crate::quorum::snapshot::{RAFT_BYTES, decode_raft_index};

/// The largest text that is read: an offset for each of a quarter of a million partitions with names of fifty letters.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Shows a text as what its kind says it is.
pub fn dump(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    let bytes = match fs::read_whole_now(&file.path, TEXT_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let what = format!("longer than {TEXT_BYTES_MAX} bytes");
            return output.problem(Place::File, &what);
        }
        read => read?,
    };
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => return output.problem(Place::Byte(error.valid_up_to() as u64), &"not UTF-8 text"),
    };
    match show(file.kind, text, output)? {
        Ok(()) => Ok(()),
        Err(Malformed { line, expected }) => {
            for (number, text) in (1i64..).zip(text.lines()) {
                output.line(&Line::new("line").with("number", number).with("text", text))?;
            }
            output.problem(Place::Line(line), &format!("expected {expected}"))
        }
    }
}

/// Nothing is shown of a text that doesn't read.
fn show(kind: Kind, text: &str, output: &mut Output<'_>) -> Result<Result<(), Malformed>, Stop> {
    let line = match kind {
        Kind::LeaderEpochs => return leader_epochs(text, output),
        Kind::Offsets => return offsets(text, output),
        Kind::PartitionMetadata => checkpoint::decode_partition_metadata(text)
            .map(|topic| Line::new("topic").with("topicId", topic.to_string())),
        Kind::MetaProperties => meta_properties(text),
        Kind::QuorumState => quorum_state(text),
        // Its being there is what counts; Kafka too starts without the epoch.
        _ => Ok(Line::new("clean-stop").with("brokerEpoch", dir::decode_broker_epoch(text))),
    };
    match line {
        Ok(line) => output.line(&line).map(Ok),
        Err(malformed) => Ok(Err(malformed)),
    }
}

fn leader_epochs(text: &str, output: &mut Output<'_>) -> Result<Result<(), Malformed>, Stop> {
    let epochs = match checkpoint::decode_epochs(text) {
        Ok(epochs) => epochs,
        Err(malformed) => return Ok(Err(malformed)),
    };
    for entry in epochs {
        let line = Line::new("epoch")
            .with("epoch", entry.epoch.0)
            .with("startOffset", entry.start.0);
        output.line(&line)?;
    }
    Ok(Ok(()))
}

fn offsets(text: &str, output: &mut Output<'_>) -> Result<Result<(), Malformed>, Stop> {
    let offsets = match checkpoint::decode_offsets(text) {
        Ok(offsets) => offsets,
        Err(malformed) => return Ok(Err(malformed)),
    };
    for ((topic, partition), offset) in offsets {
        let line = Line::new("partition")
            .with("topic", topic)
            .with("partition", partition.0)
            .with("offset", offset.0);
        output.line(&line)?;
    }
    Ok(Ok(()))
}

fn meta_properties(text: &str) -> Result<Line<'static>, Malformed> {
    let properties = dir::decode_properties(text)?;
    Ok(Line::new("properties")
        .with("clusterId", properties.cluster_id)
        .with("nodeId", properties.node_id.0)
        .with("directoryId", properties.directory_id.to_string()))
}

fn quorum_state(text: &str) -> Result<Line<'static>, Malformed> {
    let ballot = ballot::decode(text)?;
    let id = |node: Option<NodeId>| node.map_or(Value::Null, |node| node.0.into());
    Ok(Line::new("quorum-state")
        .with("leaderEpoch", ballot.epoch.0)
        .with("leaderId", id(ballot.leader))
        .with("votedId", id(ballot.voted)))
}

/// Shows which Raft entry a snapshot ends with: a file of ours that Kafka doesn't have.
pub fn dump_raft_index(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    // One byte more, so that a longer file doesn't pass for a whole one.
    let bytes = file.read_now(0, RAFT_BYTES + 1)?;
    match decode_raft_index(&bytes) {
        Some(index) => output.line(&Line::new("raft").with("index", index)),
        None => output.problem(Place::File, &"not a snapshot's place as it was written"),
    }
}
