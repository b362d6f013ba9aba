//! What a file of a data directory is, by its name.

use clap::ValueEnum;

use crate::base::Offset;
use crate::log::{dir, names};
use crate::quorum::ballot;
use crate::quorum::snapshot::SnapshotId;

/// How far Kafka's cleaner has come in each partition.
const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";

/// What a formatted directory's metadata begins with.
const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// What may stand behind the name of a file that comes or goes.
const SUFFIXES: [&str; 7] = [
    ".deleted", ".cleaned", ".swap", ".spare", ".next", ".part", ".tmp",
];

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Record batches of a partition.
    Log,
    /// Where batches lie, by offset.
    Index,
    /// Where batches lie, by timestamp.
    Timeindex,
    /// Aborted transactions.
    Txnindex,
    /// The producers of a partition.
    Snapshot,
    /// Where each leader epoch began.
    LeaderEpochs,
    /// The topic's id.
    PartitionMetadata,
    /// Whose the directory is.
    MetaProperties,
    /// An offset for each partition.
    Offsets,
    /// That a broker was stopped cleanly.
    CleanStop,
    /// The metadata quorum's term and vote.
    QuorumState,
    /// A snapshot of the cluster's metadata.
    Checkpoint,
    /// Which Raft entry such a snapshot ends with.
    Raft,
}

/// The files that have one name.
const NAMED: [(&str, Kind); 10] = [
    (names::LEADER_EPOCHS, Kind::LeaderEpochs),
    (names::PARTITION_METADATA, Kind::PartitionMetadata),
    (dir::META_PROPERTIES, Kind::MetaProperties),
    (dir::RECOVERY_POINTS, Kind::Offsets),
    (dir::START_OFFSETS, Kind::Offsets),
    (dir::HIGH_WATERMARKS, Kind::Offsets),
    (CLEANER_OFFSETS, Kind::Offsets),
    (dir::CLEAN_STOP, Kind::CleanStop),
    (ballot::FILE, Kind::QuorumState),
    (BOOTSTRAP, Kind::Checkpoint),
];

/// The files that are named after an offset.
const BY_OFFSET: [(&str, Kind); 5] = [
    (names::LOG, Kind::Log),
    (names::INDEX, Kind::Index),
    (names::TIME_INDEX, Kind::Timeindex),
    (names::TXN_INDEX, Kind::Txnindex),
    (names::SNAPSHOT, Kind::Snapshot),
];

/// The files that are named after an offset and an epoch.
const BY_SNAPSHOT: [(&str, Kind); 2] = [("checkpoint", Kind::Checkpoint), ("raft", Kind::Raft)];

impl Kind {
    /// What the file called `name` is.
    pub fn of(name: &str) -> Option<Kind> {
        let (name, _) = split_suffix(name);
        let found = |known: &[(&str, Kind)], name: &str| {
            known
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, kind)| *kind)
        };
        if let Some(file) = names::parse_offset_file(name) {
            return found(&BY_OFFSET, file.kind);
        }
        let by_snapshot = name
            .split_once('.')
            .filter(|(id, _)| SnapshotId::parse(id).is_some());
        match by_snapshot {
            Some((_, kind)) => found(&BY_SNAPSHOT, kind),
            None => found(&NAMED, name),
        }
    }

    /// As `--as` takes it.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("every kind can be named");
        value.get_name().to_owned()
    }
}

/// `name` without what says that the file comes or goes, and that.
pub fn split_suffix(name: &str) -> (&str, &str) {
    let suffix = SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix));
    name.split_at(name.len() - suffix.map_or(0, str::len))
}

/// The offset that the file called `name` is named after.
pub fn offset_in(name: &str) -> Option<Offset> {
    names::parse_offset_file(name).map(|file| file.offset)
}

/// The names that [`Kind::of`] knows, for people.
pub fn known_names() -> String {
    let named = NAMED.iter().map(|(name, _)| (*name).to_owned());
    let by_offset = BY_OFFSET.iter().map(|(kind, _)| format!("<offset>.{kind}"));
    let by_snapshot = BY_SNAPSHOT
        .iter()
        .map(|(kind, _)| format!("<offset>-<epoch>.{kind}"));
    let all: Vec<String> = by_offset.chain(by_snapshot).chain(named).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_kind_whatever_stands_behind_it() {
        let table = [
            ("00000000000000000042.log", Some(Kind::Log)),
            ("00000000000000000042.log.deleted", Some(Kind::Log)),
            ("00000000000000000042.index.cleaned", Some(Kind::Index)),
            ("00000000000000000042.timeindex.swap", Some(Kind::Timeindex)),
            (&format!("00000000000000000042.{}", names::SPARE), Some(Kind::Log)),
            ("00000000000000000042.txnindex", Some(Kind::Txnindex)),
            ("00000000000000000042.snapshot", Some(Kind::Snapshot)),
            (
                "00000000000000000042-0000000001.checkpoint",
                Some(Kind::Checkpoint),
            ),
            (
                "00000000000000000042-0000000001.checkpoint.part",
                Some(Kind::Checkpoint),
            ),
            ("00000000000000000042-0000000001.raft", Some(Kind::Raft)),
            ("bootstrap.checkpoint", Some(Kind::Checkpoint)),
            ("recovery-point-offset-checkpoint", Some(Kind::Offsets)),
            ("cleaner-offset-checkpoint", Some(Kind::Offsets)),
            ("meta.properties.tmp", Some(Kind::MetaProperties)),
            (".kafka_cleanshutdown", Some(Kind::CleanStop)),
            ("quorum-state", Some(Kind::QuorumState)),
            ("42.log", None),
            ("00000000000000000042.checkpoint", None),
            (".lock", None),
            (".deleted", None),
            ("", None),
        ];
        for (name, kind) in table {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn every_kind_has_a_name_that_is_known() {
        let known: Vec<Kind> = [&NAMED[..], &BY_OFFSET, &BY_SNAPSHOT]
            .concat()
            .into_iter()
            .map(|(_, kind)| kind)
            .collect();
        for kind in Kind::value_variants() {
            assert!(known.contains(kind), "{kind:?}");
        }
    }

    #[test]
    fn the_offset_stands_in_the_name() {
        assert_eq!(offset_in("00000000000000000042.log.deleted"), Some(Offset(42)));
        assert_eq!(offset_in("copy.log"), None);
        assert_eq!(
            split_suffix("00000000000000000042.log.deleted"),
            ("00000000000000000042.log", ".deleted")
        );
        assert_eq!(split_suffix("quorum-state"), ("quorum-state", ""));
    }
}
