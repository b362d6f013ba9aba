//! The names of a log's files and directories, as Kafka spells them (`LogFileUtils`, `LocalLog`).

use crate::base::{Offset, PartitionIndex};

/// Batches.
pub const LOG: &str = "log";
/// Offset index.
pub const INDEX: &str = "index";
/// Time index.
pub const TIME_INDEX: &str = "timeindex";
/// Aborted transactions.
pub const TXN_INDEX: &str = "txnindex";
/// Producer states.
pub const SNAPSHOT: &str = "snapshot";
/// A file on its way out: removed at the next start if the process dies between.
pub const DELETED: &str = "deleted";
/// A half-made result of compaction: worthless after a crash.
pub const CLEANED: &str = "cleaned";
/// A finished result of compaction that was not yet put in place.
pub const SWAP: &str = "swap";

/// The batches of the next segment, which has no base offset yet: behind the log's end when it was made. Kafka passes over it.
pub const SPARE: &str = "log.spare";

/// The batches of a segment that was begun while the one before it need not have been on stable storage: named by the end of that one.
/// Kafka passes over it.
pub const NEXT: &str = "log.next";

/// Leader epochs and their start offsets.
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
/// The topic's id.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// In which log directory the partition lay before it moved here: for a crash in the middle. Kafka passes over it.
pub const MOVED_FROM: &str = "ringlog-moved-from";

/// The longest name a file system of Linux takes, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A file of a partition's directory that is named after an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetFile<'a> {
    /// The segment's base offset; a snapshot's end offset.
    pub offset: Offset,
    /// Everything behind the first dot: `log`, `index`, `log.deleted` …
    pub kind: &'a str,
}

/// `00000000000000000042.log`: 20 digits, so that names sort as offsets do.
pub fn offset_file(offset: Offset, kind: &str) -> String {
    format!("{:020}.{kind}", offset.0)
}

/// Reads what [`offset_file`] wrote; `None` for any other file.
pub fn parse_offset_file(name: &str) -> Option<OffsetFile<'_>> {
    let (digits, kind) = name.split_once('.')?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let offset = digits.parse().ok()?;
    Some(OffsetFile {
        offset: Offset(offset),
        kind,
    })
}

/// `<topic>-<partition>`.
pub fn partition_dir(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic}-{partition}")
}

/// Reads what [`partition_dir`] wrote: the last dash ends the topic's name.
pub fn parse_partition_dir(name: &str) -> Option<(&str, PartitionIndex)> {
    let (topic, digits) = name.rsplit_once('-')?;
    let canonical = digits == "0" || !digits.starts_with('0');
    if topic.is_empty() || !canonical || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((topic, PartitionIndex(digits.parse().ok()?)))
}

/// `<topic>-<partition>.<32 hex digits>-delete`: a partition on its way out.
pub fn deleted_partition_dir(dir_name: &str, unique: [u8; 16]) -> String {
    marked_partition_dir(dir_name, unique, "delete")
}

/// `<topic>-<partition>.<32 hex digits>-stray`: a partition that the cluster does not know, kept for the operator to
/// judge.
pub fn stray_partition_dir(dir_name: &str, unique: [u8; 16]) -> String {
    marked_partition_dir(dir_name, unique, "stray")
}

/// `<topic>-<partition>.<32 hex digits>-future`: a copy of a partition that moves here; none if the file system takes no name so long, for
/// the partition is to be told from it.
pub fn future_partition_dir(dir_name: &str, unique: [u8; 16]) -> Option<String> {
    let name = marked_partition_dir(dir_name, unique, "future");
    name.starts_with(&format!("{dir_name}.")).then_some(name)
}

/// A topic's name that would make it too long for the file system is cut, as Kafka does; nothing reads the topic back
/// from it.
fn marked_partition_dir(dir_name: &str, unique: [u8; 16], mark: &str) -> String {
    let mut suffix = String::from(".");
    for byte in unique {
        suffix.push_str(&format!("{byte:02x}"));
    }
    suffix.push('-');
    suffix.push_str(mark);
    let kept = dir_name.floor_char_boundary(NAME_BYTES_MAX - suffix.len());
    format!("{}{suffix}", &dir_name[..kept])
}

/// Whether `name` is one that [`deleted_partition_dir`] makes.
pub fn is_deleted_partition_dir(name: &str) -> bool {
    marked_part(name, "-delete").is_some()
}

/// Reads `<topic>-<partition>.<32 hex digits>-future`: a copy that Kafka was making of a partition, to move it here from another log
/// directory.
pub fn parse_future_partition_dir(name: &str) -> Option<(&str, PartitionIndex)> {
    parse_partition_dir(marked_part(name, "-future")?)
}

/// What stands before the mark and its hex digits.
fn marked_part<'a>(name: &'a str, mark: &str) -> Option<&'a str> {
    let (dir_name, unique) = name.strip_suffix(mark)?.rsplit_once('.')?;
    let is_unique = unique.len() == 32 && unique.bytes().all(|b| b.is_ascii_hexdigit());
    is_unique.then_some(dir_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_files_have_twenty_digits_and_read_back() {
        assert_eq!(offset_file(Offset(42), LOG), "00000000000000000042.log");
        assert_eq!(
            parse_offset_file("00000000000000000042.log.deleted"),
            Some(OffsetFile {
                offset: Offset(42),
                kind: "log.deleted"
            })
        );
        for other in [
            "42.log",
            "leader-epoch-checkpoint",
            "0000000000000000004x.log",
            "99999999999999999999.log",
        ] {
            assert_eq!(parse_offset_file(other), None, "{other}");
        }
    }

    #[test]
    fn partition_directories_split_at_the_last_dash() {
        assert_eq!(partition_dir("a-b.c", PartitionIndex(7)), "a-b.c-7");
        assert_eq!(parse_partition_dir("a-b.c-7"), Some(("a-b.c", PartitionIndex(7))));
        for other in [
            "topic",
            "-1",
            "topic-",
            "topic-07",
            "topic-x",
            "topic-99999999999",
        ] {
            assert_eq!(parse_partition_dir(other), None, "{other}");
        }
    }

    #[test]
    fn a_future_partitions_directory_names_its_partition() {
        let unique = "0f".repeat(16);
        let future = format!("a-b-7.{unique}-future");
        assert_eq!(
            parse_future_partition_dir(&future),
            Some(("a-b", PartitionIndex(7)))
        );
        for other in [
            "a-b-7",
            "a-7.0f-future",
            "a-7-future",
            &format!("a.{unique}-future"),
        ] {
            assert_eq!(parse_future_partition_dir(other), None, "{other}");
        }
        assert_eq!(parse_partition_dir(&future), None);
    }

    #[test]
    fn a_deleted_partitions_directory_fits_the_file_system_and_is_recognised() {
        let short = deleted_partition_dir("topic-3", [0xab; 16]);
        assert_eq!(short, format!("topic-3.{}-delete", "ab".repeat(16)));
        let long = deleted_partition_dir(&format!("{}-3", "t".repeat(249)), [0; 16]);
        assert_eq!(long.len(), NAME_BYTES_MAX);
        assert!(is_deleted_partition_dir(&short) && is_deleted_partition_dir(&long));
        assert!(!is_deleted_partition_dir("my-delete"));
        assert!(!is_deleted_partition_dir("topic-3"));
        assert!(!is_deleted_partition_dir(&stray_partition_dir(
            "topic-3", [0; 16]
        )));
    }
}
