//! A log directory: what stands in it beside the partitions, in Kafka's files. `meta.properties` says whose it is,
//! `.lock` keeps a second process out, `.kafka_cleanshutdown` says that every log was closed, and four checkpoints
//! hold an offset for each partition.
//!
//! One core owns a log directory; the logs in it belong to their partitions' cores. It begins with
//! [`LogDir::open_now`] and ends with [`LogDir::close_now`], after every log in it was closed; without that the next
//! start is one after a crash.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::{NodeId, PartitionIndex, TopicId};
use crate::io::fs::{self, DirLock};
use crate::io::random_uuid;
use crate::log::checkpoint::{self, Malformed, Offsets};
use crate::log::clean_start::{self, CleanStart, Token};
use crate::log::error::{LogError, at, read_text_now};
use crate::log::{Removal, Resume, names};

const LOCK: &str = ".lock";

/// Whose the directory is.
pub const META_PROPERTIES: &str = "meta.properties";
/// Says that every log was closed.
pub const CLEAN_STOP: &str = ".kafka_cleanshutdown";
/// [`CheckpointedOffsets::recovery_points`].
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
/// [`CheckpointedOffsets::start_offsets`].
pub const START_OFFSETS: &str = "log-start-offset-checkpoint";
/// [`CheckpointedOffsets::high_watermarks`].
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub const CLEANED: &str = "cleaner-offset-checkpoint";

/// How the log directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Every log was closed; their files can be trusted.
    AfterCleanStop,
    /// The process or the machine died.
    AfterCrash,
}

/// `meta.properties`, version 1 (KIP-631, KIP-858).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster that the data belongs to.
    pub cluster_id: String,
    /// The node that it belongs to.
    pub node_id: NodeId,
    /// This directory, among those of the cluster: a UUID, written as topic ids are.
    pub directory_id: TopicId,
}

/// See the module.
#[derive(Debug)]
pub struct LogDir {
    path: PathBuf,
    properties: Option<MetaProperties>,
    opened: Opened,
    broker_epoch: Option<i64>,
    clean_start: CleanStart,
    offsets: CheckpointedOffsets,
    _lock: DirLock,
}

/// The offsets of every partition in a log directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckpointedOffsets {
    /// Up to where each log is on stable storage.
    pub recovery_points: Offsets,
    /// Where each log starts, if its files don't tell: see [`crate::log::Log::start_to_checkpoint`].
    pub start_offsets: Offsets,
    /// Up to where each log is committed.
    pub high_watermarks: Offsets,
    /// Up to where each log is compacted, of those that ever were.
    pub cleaned: Offsets,
}

impl CheckpointedOffsets {
    /// What they say of one partition's log.
    pub fn resume(&self, topic: &str, partition: PartitionIndex) -> Resume {
        let key = (topic.to_owned(), partition);
        let offset = |offsets: &Offsets| offsets.get(&key).copied().unwrap_or_default();
        Resume {
            recovery_point: offset(&self.recovery_points),
            start_offset: offset(&self.start_offsets),
            cleaned: self.cleaned.get(&key).copied(),
        }
    }
}

/// A partition's directory that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPartition {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// Where it is.
    pub path: PathBuf,
}

/// Why a log directory can't be used.
#[derive(Debug)]
pub enum DirError {
    /// Another process has it.
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file of it can't be read or written, or is not what it should be.
    File(LogError),
}

impl fmt::Display for DirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirError::InUse { path } => write!(f, "{}: another process uses this directory", path.display()),
            DirError::File(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for DirError {}

impl From<LogError> for DirError {
    fn from(error: LogError) -> DirError {
        DirError::File(error)
    }
}

impl LogDir {
    /// Makes the directory if it is missing, locks it, and reads how it was left. From here on, until
    /// [`close_now`](Self::close_now), it counts as crashed.
    pub fn open_now(path: &Path) -> Result<LogDir, DirError> {
        make_dir_now(path)?;
        let lock_path = path.join(LOCK);
        let lock = match DirLock::acquire(&lock_path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(DirError::InUse {
                    path: path.to_owned(),
                });
            }
            acquired => at(&lock_path, acquired)?,
        };
        let properties = read_text_now(&path.join(META_PROPERTIES), decode_properties)?;
        let stop = take_clean_stop_now(path)?;
        let clean_start = match stop.as_ref().and_then(|stop| stop.token) {
            Some(token) => clean_start::read_now(path, token),
            None => CleanStart::default(),
        };
        clean_start::remove_now(path);
        let opened = match stop {
            Some(_) => Opened::AfterCleanStop,
            None => Opened::AfterCrash,
        };
        Ok(LogDir {
            // A directory that was never formatted has nothing that a crash could have torn.
            opened: if properties.is_some() {
                opened
            } else {
                Opened::AfterCleanStop
            },
            properties,
            broker_epoch: stop.and_then(|stop| stop.broker_epoch),
            clean_start,
            offsets: read_offsets_now(path)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is; `None` before [`format_now`](Self::format_now).
    pub fn properties(&self) -> Option<&MetaProperties> {
        self.properties.as_ref()
    }

    /// How it was left.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// The broker's epoch when it was stopped cleanly (KIP-966).
    pub fn broker_epoch(&self) -> Option<i64> {
        self.broker_epoch
    }

    /// What the stop left for a start behind it; nothing the second time.
    pub fn take_clean_start(&mut self) -> CleanStart {
        std::mem::take(&mut self.clean_start)
    }

    /// The offsets that were read when it was opened, or written last.
    pub fn offsets(&self) -> &CheckpointedOffsets {
        &self.offsets
    }

    /// Makes it this node's.
    pub fn format_now(&mut self, properties: MetaProperties) -> Result<(), DirError> {
        let path = self.path.join(META_PROPERTIES);
        at(
            &path,
            fs::write_whole_now(&path, encode_properties(&properties).as_bytes()),
        )?;
        self.properties = Some(properties);
        Ok(())
    }

    /// Writes the checkpoints, durably.
    pub fn write_offsets_now(&mut self, offsets: CheckpointedOffsets) -> Result<(), DirError> {
        let files = [
            (RECOVERY_POINTS, &offsets.recovery_points),
            (START_OFFSETS, &offsets.start_offsets),
            (HIGH_WATERMARKS, &offsets.high_watermarks),
            (CLEANED, &offsets.cleaned),
        ];
        for (name, offsets) in files {
            let path = self.path.join(name);
            at(
                &path,
                fs::write_whole_now(&path, checkpoint::encode_offsets(offsets).as_bytes()),
            )?;
        }
        self.offsets = offsets;
        Ok(())
    }

    /// Says that every log in it was closed, with what the next start may take from `logs`, and gives it back.
    pub fn close_now(
        mut self,
        offsets: CheckpointedOffsets,
        logs: Vec<clean_start::Entry>,
        broker_epoch: i64,
    ) -> Result<(), DirError> {
        self.write_offsets_now(offsets)?;
        let token = Token(random_uuid());
        if let Err(error) = clean_start::write_now(&self.path, token, logs) {
            tracing::warn!("{}: {error}", self.path.join(clean_start::FILE).display());
        }
        let path = self.path.join(CLEAN_STOP);
        let text = encode_clean_stop(token, broker_epoch);
        at(&path, fs::write_whole_now(&path, text.as_bytes()))?;
        Ok(())
    }
}

/// Makes the directory and those above it that are missing, durably: everything that is flushed in it later hangs on
/// these names.
fn make_dir_now(path: &Path) -> Result<(), LogError> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !fs::exists_now(dir).unwrap_or(true);
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    at(path, fs::create_dir_all_now(path))?;
    for made in missing {
        let parent = made.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        at(parent, fs::sync_dir_now(parent))?;
    }
    Ok(())
}

/// The partitions in the log directory `path` whose deletion a crash, or a stop, interrupted.
pub fn deleted_partitions_now(path: &Path) -> Result<Removal, LogError> {
    let mut removal = Removal::default();
    for entry in at(path, fs::read_dir_now(path))? {
        let is_deleted = entry.name.to_str().is_some_and(names::is_deleted_partition_dir);
        if entry.is_dir && is_deleted {
            removal.take_dir(path.join(&entry.name));
        }
    }
    Ok(removal)
}

/// The partitions whose directories stand in the log directory `path`.
pub fn partitions_now(path: &Path) -> Result<Vec<FoundPartition>, LogError> {
    named_so_now(path, names::parse_partition_dir)
}

/// The copies in the log directory `path` of partitions that were to be moved there.
pub fn unfinished_moves_now(path: &Path) -> Result<Vec<FoundPartition>, LogError> {
    named_so_now(path, names::parse_future_partition_dir)
}

fn named_so_now(
    path: &Path,
    parse: fn(&str) -> Option<(&str, PartitionIndex)>,
) -> Result<Vec<FoundPartition>, LogError> {
    let mut found = Vec::new();
    for entry in at(path, fs::read_dir_now(path))?
        .into_iter()
        .filter(|entry| entry.is_dir)
    {
        if let Some((topic, partition)) = entry.name.to_str().and_then(parse) {
            found.push(FoundPartition {
                topic: topic.to_owned(),
                partition,
                path: path.join(&entry.name),
            });
        }
    }
    Ok(found)
}

/// What [`CLEAN_STOP`] tells beside its being there.
#[derive(Default)]
struct CleanStop {
    broker_epoch: Option<i64>,
    /// Of a stop of ours.
    token: Option<Token>,
}

/// What the stop was like if it was clean. The file goes, durably, before anything is written.
fn take_clean_stop_now(dir: &Path) -> Result<Option<CleanStop>, DirError> {
    let path = dir.join(CLEAN_STOP);
    // Its being there is what counts; Kafka too starts without the epoch.
    let decode = |text: &str| CleanStop {
        broker_epoch: decode_broker_epoch(text),
        token: decode_token(text),
    };
    let stop = match read_text_now(&path, |text| Ok(decode(text))) {
        Ok(Some(stop)) => stop,
        Ok(None) => return Ok(None),
        Err(LogError::Malformed { .. }) => CleanStop::default(),
        Err(error) => return Err(error.into()),
    };
    at(&path, fs::remove_file_now(&path))?;
    at(dir, fs::sync_dir_now(dir))?;
    Ok(Some(stop))
}

/// The text of [`CLEAN_STOP`]: Kafka's, which passes over the token (`CleanShutdownFileHandler`).
fn encode_clean_stop(token: Token, broker_epoch: i64) -> String {
    let token = TopicId(token.0);
    format!("{{\"version\":0,\"ringlogCleanStart\":\"{token}\",\"brokerEpoch\":{broker_epoch}}}")
}

/// Which [clean start](clean_start) belongs to it; none in a text of Kafka's.
fn decode_token(text: &str) -> Option<Token> {
    let (_, value) = text.split_once("\"ringlogCleanStart\":\"")?;
    let (token, _) = value.split_once('"')?;
    TopicId::parse(token).map(|token| Token(token.0))
}

/// The broker's epoch in the text of [`CLEAN_STOP`]: `{"version":0,"brokerEpoch":14}`.
pub fn decode_broker_epoch(text: &str) -> Option<i64> {
    let (_, value) = text.split_once("\"brokerEpoch\":")?;
    value
        .trim_matches(|c: char| c.is_whitespace() || c == '}')
        .parse()
        .ok()
}

/// One that is missing counts as empty. One that doesn't read is damage, which the directory is not used with: they are replaced whole, so no
/// crash has made it. By an older recovery point what is damaged would be taken for a torn end, and cut; without starts deleted records
/// would come back. The others would only cost time, and tell as much of the disk. Kafka takes the directory offline for any of them.
fn read_offsets_now(dir: &Path) -> Result<CheckpointedOffsets, DirError> {
    let read = |name: &str| {
        let read = read_text_now(&dir.join(name), checkpoint::decode_offsets);
        read.map(Option::unwrap_or_default)
    };
    Ok(CheckpointedOffsets {
        recovery_points: read(RECOVERY_POINTS)?,
        start_offsets: read(START_OFFSETS)?,
        high_watermarks: read(HIGH_WATERMARKS)?,
        cleaned: read(CLEANED)?,
    })
}

/// The text of [`META_PROPERTIES`].
pub fn encode_properties(properties: &MetaProperties) -> String {
    let MetaProperties {
        cluster_id,
        node_id,
        directory_id,
    } = properties;
    format!("version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={directory_id}\n")
}

/// Reads the text of [`META_PROPERTIES`].
pub fn decode_properties(text: &str) -> Result<MetaProperties, Malformed> {
    let value = |key: &'static str, expected: &'static str| {
        let lines = text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'));
        let mut values = lines.filter_map(|(n, line)| {
            let (found, value) = line.split_once('=')?;
            (found.trim() == key).then(|| (n + 1, value.trim()))
        });
        values.next().ok_or(Malformed { line: 1, expected })
    };
    if value("version", "version=1")?.1 != "1" {
        return Err(Malformed {
            line: value("version", "version=1")?.0,
            expected: "version=1",
        });
    }
    let (node_line, node) = value("node.id", "node.id=")?;
    let (directory_line, directory) = value("directory.id", "directory.id=")?;
    let (cluster_line, cluster_id) = value("cluster.id", "cluster.id=")?;
    if cluster_id.is_empty() {
        return Err(Malformed {
            line: cluster_line,
            expected: "a cluster's id",
        });
    }
    Ok(MetaProperties {
        cluster_id: cluster_id.to_owned(),
        node_id: NodeId(node.parse().map_err(|_| Malformed {
            line: node_line,
            expected: "a number",
        })?),
        directory_id: TopicId::parse(directory).ok_or(Malformed {
            line: directory_line,
            expected: "a UUID",
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Offset;

    const KAFKA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log");

    fn properties() -> MetaProperties {
        let directory_id = TopicId::parse("85QcLgf_gACrze8BI0VniQ").unwrap();
        MetaProperties {
            cluster_id: "voIMhsS2SByqEw680h-7uQ".to_owned(),
            node_id: NodeId(7),
            directory_id,
        }
    }

    #[test]
    fn a_directory_that_kafka_stopped_cleanly_opens() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            META_PROPERTIES,
            CLEAN_STOP,
            RECOVERY_POINTS,
            START_OFFSETS,
            HIGH_WATERMARKS,
        ] {
            std::fs::copy(format!("{KAFKA}/{name}"), dir.path().join(name)).unwrap();
        }
        for name in [
            "kept-0",
            "kept-0.0123456789abcdef0123456789abcdef-delete",
            "lost+found",
        ] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let opened = LogDir::open_now(dir.path()).unwrap();
        let kafkas = opened.properties().unwrap();
        assert_eq!(
            (kafkas.node_id, kafkas.cluster_id.as_str()),
            (NodeId(1), "voIMhsS2SByqEw680h-7uQ")
        );
        assert_eq!(
            (opened.opened(), opened.broker_epoch()),
            (Opened::AfterCleanStop, Some(14))
        );
        let resume = Resume {
            recovery_point: Offset(33),
            start_offset: Offset(0),
            cleaned: None,
        };
        assert_eq!(opened.offsets().resume("kept", PartitionIndex(0)), resume);
        deleted_partitions_now(dir.path()).unwrap().remove_all_now();
        let found = partitions_now(dir.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].topic.as_str(), found[0].partition),
            ("kept", PartitionIndex(0))
        );
    }

    #[test]
    fn only_a_closed_directory_counts_as_stopped_cleanly() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = LogDir::open_now(dir.path()).unwrap();
        assert_eq!(
            (first.opened(), first.properties()),
            (Opened::AfterCleanStop, None)
        );
        first.format_now(properties()).unwrap();
        drop(first);

        let second = LogDir::open_now(dir.path()).unwrap();
        assert_eq!(second.properties(), Some(&properties()));
        assert_eq!(second.opened(), Opened::AfterCrash);
        let high_watermarks = Offsets::from([(("t".to_owned(), PartitionIndex(0)), Offset(5))]);
        let offsets = CheckpointedOffsets {
            high_watermarks,
            ..CheckpointedOffsets::default()
        };
        second.close_now(offsets.clone(), Vec::new(), 3).unwrap();

        let third = LogDir::open_now(dir.path()).unwrap();
        assert_eq!(
            (third.opened(), third.broker_epoch()),
            (Opened::AfterCleanStop, Some(3))
        );
        assert_eq!(third.offsets(), &offsets);
        drop(third);
        assert_eq!(LogDir::open_now(dir.path()).unwrap().opened(), Opened::AfterCrash);
    }

    /// A directory that was stopped cleanly, with a file of one log for the next start.
    fn stopped() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let mut first = LogDir::open_now(dir.path()).unwrap();
        first.format_now(properties()).unwrap();
        let offsets = CheckpointedOffsets::default();
        first
            .close_now(offsets, clean_start::tests::entries(1), 3)
            .unwrap();
        dir
    }

    fn logs_left(dir: &tempfile::TempDir) -> usize {
        LogDir::open_now(dir.path()).unwrap().take_clean_start().len()
    }

    #[test]
    fn what_a_stop_left_counts_for_one_start() {
        let dir = stopped();
        let mut opened = LogDir::open_now(dir.path()).unwrap();
        assert_eq!(
            (opened.opened(), opened.broker_epoch()),
            (Opened::AfterCleanStop, Some(3))
        );
        assert_eq!(opened.take_clean_start().len(), 1);
        assert!(opened.take_clean_start().is_empty());
        drop(opened);
        assert_eq!(logs_left(&dir), 0);
    }

    #[test]
    fn what_a_stop_left_does_not_count_beside_a_file_of_kafkas_of_another_stop_or_none() {
        let dir = stopped();
        std::fs::copy(format!("{KAFKA}/{CLEAN_STOP}"), dir.path().join(CLEAN_STOP)).unwrap();
        assert_eq!(logs_left(&dir), 0);

        let (dir, other) = (stopped(), stopped());
        std::fs::copy(other.path().join(CLEAN_STOP), dir.path().join(CLEAN_STOP)).unwrap();
        assert_eq!(logs_left(&dir), 0);

        let dir = stopped();
        std::fs::remove_file(dir.path().join(CLEAN_STOP)).unwrap();
        assert_eq!(logs_left(&dir), 0);
        assert!(
            !dir.path().join(clean_start::FILE).exists(),
            "it is taken away all the same"
        );
    }

    #[test]
    fn checkpoints_of_very_many_partitions_are_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n: i32| {
            (
                format!("a-topic-with-a-name-of-forty-letters-{n:03}"),
                PartitionIndex(n),
            )
        };
        let recovery_points: Offsets = (0..100_000).map(|n| (name(n), Offset(i64::from(n)))).collect();
        let offsets = CheckpointedOffsets {
            recovery_points,
            ..CheckpointedOffsets::default()
        };
        let mut first = LogDir::open_now(dir.path()).unwrap();
        first.write_offsets_now(offsets.clone()).unwrap();
        drop(first);
        assert!(LogDir::open_now(dir.path()).unwrap().offsets() == &offsets);
    }

    #[test]
    fn a_damaged_checkpoint_is_named_and_a_missing_one_counts_as_empty() {
        let names = [RECOVERY_POINTS, START_OFFSETS, HIGH_WATERMARKS, CLEANED];
        for name in names {
            let dir = stopped();
            let path = dir.path().join(name);
            std::fs::write(&path, "0\n1\nt 0 5\0").unwrap();
            let error = LogDir::open_now(dir.path()).unwrap_err();
            let place = format!("{}: line 3: ", path.display());
            assert!(error.to_string().starts_with(&place), "{error}");
            std::fs::remove_file(&path).unwrap();
            let opened = LogDir::open_now(dir.path()).unwrap();
            assert_eq!(opened.offsets(), &CheckpointedOffsets::default(), "{name}");
        }
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        let _first = LogDir::open_now(dir.path()).unwrap();
        assert!(matches!(
            LogDir::open_now(dir.path()),
            Err(DirError::InUse { .. })
        ));
    }

    #[test]
    fn properties_that_are_not_ours_name_the_line() {
        let good = encode_properties(&properties());
        assert_eq!(decode_properties(&good), Ok(properties()));
        for (from, to, line) in [
            ("version=1", "version=0", 1),
            ("cluster.id=voIMhsS2SByqEw680h-7uQ", "cluster.id=", 2),
            ("node.id=7", "node.id=x", 3),
            ("node.id=7", "broker.id=7", 1),
            ("directory.id=8", "directory.id=", 4),
        ] {
            let changed = good.replace(from, to);
            assert_eq!(
                decode_properties(&changed).map_err(|e| e.line),
                Err(line),
                "{changed}"
            );
        }
    }
}
