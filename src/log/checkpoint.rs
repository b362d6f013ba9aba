//! The small text files of a log directory, in Kafka's formats: offset checkpoints and leader epochs
//! (`CheckpointFile`, version 0) and `partition.metadata` (`PartitionMetadataFile`). Bytes in, values out; nothing
//! here touches a file.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::{LeaderEpoch, Offset, PartitionIndex, TopicId};

/// Offsets by topic name and partition: `recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`,
/// `replication-offset-checkpoint` (high watermarks) and `cleaner-offset-checkpoint`.
pub type Offsets = BTreeMap<(String, PartitionIndex), Offset>;

/// One line of `leader-epoch-checkpoint`: the epoch and the offset of its first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// The epoch, from 0.
    pub epoch: LeaderEpoch,
    /// Where it begins.
    pub start: Offset,
}

/// Why a text file of the log directory can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The line it is about, from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: expected {}", self.line, self.expected)
    }
}

impl std::error::Error for Malformed {}

/// The file's text for `offsets`.
pub fn encode_offsets(offsets: &Offsets) -> String {
    let lines = offsets
        .iter()
        .map(|((topic, partition), offset)| format!("{topic} {partition} {offset}\n"));
    encode(offsets.len(), lines)
}

/// Reads [`encode_offsets`]; an empty file is what Kafka leaves before its first checkpoint.
pub fn decode_offsets(text: &str) -> Result<Offsets, Malformed> {
    const EXPECTED: &str = "a topic, a partition and an offset";
    let mut offsets = Offsets::new();
    for (at, line) in decode(text)? {
        let mut words = line.split(' ');
        let parsed = (|| {
            let topic = words.next().filter(|topic| !topic.is_empty())?;
            let partition = words.next()?.parse().ok()?;
            let offset = words.next()?.parse().ok().filter(|&offset| offset >= 0)?;
            words
                .next()
                .is_none()
                .then(|| ((topic.to_owned(), PartitionIndex(partition)), Offset(offset)))
        })();
        let (key, offset) = parsed.ok_or(Malformed {
            line: at,
            expected: EXPECTED,
        })?;
        offsets.insert(key, offset);
    }
    Ok(offsets)
}

/// The file's text for `epochs`, oldest first.
pub fn encode_epochs(epochs: &[EpochStart]) -> String {
    encode(
        epochs.len(),
        epochs
            .iter()
            .map(|entry| format!("{} {}\n", entry.epoch, entry.start)),
    )
}

/// Reads [`encode_epochs`]: epochs and offsets must both rise. Unlike the offsets' files this one is replaced without a flush, so that
/// a crash may cut it: a last line that isn't ended may have been longer.
pub fn decode_epochs(text: &str) -> Result<Vec<EpochStart>, Malformed> {
    const EXPECTED: &str = "an epoch and its start offset, both above the line before";
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(Malformed {
            line: text.lines().count(),
            expected: "the end of the line",
        });
    }
    let mut epochs: Vec<EpochStart> = Vec::new();
    for (at, line) in decode(text)? {
        let parsed = (|| {
            let (epoch, start) = line.split_once(' ')?;
            let entry = EpochStart {
                epoch: LeaderEpoch(epoch.parse().ok().filter(|&epoch| epoch >= 0)?),
                start: Offset(start.parse().ok().filter(|&start| start >= 0)?),
            };
            let rises = epochs
                .last()
                .is_none_or(|last| entry.epoch > last.epoch && entry.start > last.start);
            rises.then_some(entry)
        })();
        epochs.push(parsed.ok_or(Malformed {
            line: at,
            expected: EXPECTED,
        })?);
    }
    Ok(epochs)
}

/// The text of `partition.metadata`.
pub fn encode_partition_metadata(topic: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic}")
}

/// Reads [`encode_partition_metadata`].
pub fn decode_partition_metadata(text: &str) -> Result<TopicId, Malformed> {
    let mut lines = text.lines();
    if lines.next() != Some("version: 0") {
        return Err(Malformed {
            line: 1,
            expected: "version: 0",
        });
    }
    lines
        .next()
        .and_then(|line| line.strip_prefix("topic_id: "))
        .and_then(TopicId::parse)
        .filter(|id| !id.is_zero())
        .ok_or(Malformed {
            line: 2,
            expected: "topic_id: and a topic's id",
        })
}

fn encode(count: usize, lines: impl Iterator<Item = String>) -> String {
    let mut text = format!("0\n{count}\n");
    text.extend(lines);
    text
}

/// The entry lines with their numbers, after the version and the count agreed.
fn decode(text: &str) -> Result<Vec<(usize, &str)>, Malformed> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut lines = text.lines();
    if lines.next() != Some("0") {
        return Err(Malformed {
            line: 1,
            expected: "version 0",
        });
    }
    let count: usize = lines
        .next()
        .and_then(|count| count.parse().ok())
        .ok_or(Malformed {
            line: 2,
            expected: "the number of entries",
        })?;
    let entries: Vec<_> = (3..).zip(lines).collect();
    if entries.len() != count {
        return Err(Malformed {
            line: entries.len() + 3,
            expected: "as many entries as line 2 says",
        });
    }
    Ok(entries)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test reads its fixtures as it likes")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KAFKA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log");

    fn fixture(name: &str) -> String {
        std::fs::read_to_string(format!("{KAFKA}/{name}")).unwrap()
    }

    #[test]
    fn kafkas_offset_checkpoints_read() {
        let offsets = decode_offsets(&fixture("recovery-point-offset-checkpoint")).unwrap();
        assert_eq!(offsets.len(), 2);
        assert_eq!(offsets[&("kept".to_owned(), PartitionIndex(0))], Offset(33));
        assert_eq!(
            decode_offsets(&fixture("log-start-offset-checkpoint")),
            Ok(Offsets::new())
        );
        assert_eq!(
            encode_offsets(&Offsets::new()),
            fixture("log-start-offset-checkpoint")
        );
        assert_eq!(encode_offsets(&offsets), fixture("replication-offset-checkpoint"));
    }

    #[test]
    fn kafkas_leader_epochs_and_topic_id_read_and_write() {
        let epochs = fixture("kept-0/leader-epoch-checkpoint");
        let entry = EpochStart {
            epoch: LeaderEpoch(0),
            start: Offset(0),
        };
        assert_eq!(decode_epochs(&epochs), Ok(vec![entry]));
        assert_eq!(encode_epochs(&[entry]), epochs);
        let metadata = fixture("kept-0/partition.metadata");
        let topic = decode_partition_metadata(&metadata).unwrap();
        assert_eq!(encode_partition_metadata(topic), metadata);
    }

    #[test]
    fn every_malformed_file_names_its_line() {
        for (text, line) in [
            ("1\n0\n", 1),
            ("0\nmany\n", 2),
            ("0\n2\nt 0 1\n", 4),
            ("0\n1\nt 0 1\nt 1 1\n", 5),
            ("0\n1\nt 0\n", 3),
            ("0\n1\nt 0 -1\n", 3),
            ("0\n1\nt 0 1 2\n", 3),
        ] {
            assert_eq!(decode_offsets(text).map_err(|e| e.line), Err(line), "{text:?}");
        }
        for text in ["0\n2\n1 5\n1 6\n", "0\n2\n1 5\n2 5\n", "0\n1\n-1 5\n"] {
            assert!(decode_epochs(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            "version: 1\n",
            "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA",
            "version: 0\nid: x",
        ] {
            assert!(decode_partition_metadata(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn offsets_read_back(entries in prop::collection::btree_map(
            ("[a-zA-Z0-9._-]{1,9}", 0..i32::MAX).prop_map(|(t, p)| (t, PartitionIndex(p))),
            (0..i64::MAX).prop_map(Offset),
            0..9,
        )) {
            prop_assert_eq!(decode_offsets(&encode_offsets(&entries)), Ok(entries));
        }

        #[test]
        fn any_text_gives_an_answer(text in ".{0,99}") {
            let _ = (decode_offsets(&text), decode_epochs(&text), decode_partition_metadata(&text));
        }
    }
}
