//! A log that moves to another log directory while it is written (Kafka's future log, KIP-113): its copy, and how that takes its place.
//!
//! The copy is a log of its own, in a directory that a start takes for none ([`names::future_partition_dir`]). What it gets is appended as to
//! a follower's. Once it has everything, and what counts as durable is durable there, it [takes the place](Log::take_place_of_now).
//!
//! Two directories may lie on two disks, which know no order between them. So a file in the copy says where it comes from, durably, before
//! anything is renamed. With it a start can tell each state that a crash may leave:
//!
//! | the old directory | the new one | what counts |
//! |---|---|---|
//! | has its name | is a copy | the old one: nothing was acknowledged by the copy |
//! | has its name | has it too | the new one: it had everything when it got the name, and what came later is there only |
//! | is deleted | is a copy | the new one: only what had everything lets the old one be deleted |
//! | is deleted | has its name | the new one |

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::base::{Offset, Timestamp, TopicId};
use crate::io::fs;
use crate::io::{sync_dir, write_whole};
use crate::log::checkpoint::Malformed;
use crate::log::dir::Opened;
use crate::log::error::{LogError, at, read_text_now};
use crate::log::open::Resume;
use crate::log::upkeep::SpareState;
use crate::log::{Log, Removal, delete_now, names, snapshot, write_topic_id_now};

impl Log {
    /// An empty log in the new directory `dir`, which must be there: a copy of this one that begins at `base`: where this one does, or the batch
    /// that this lies in.
    ///
    /// # Errors
    /// The copy's directory is of no use.
    pub fn begin_copy_now(
        &self,
        dir: &Path,
        topic: TopicId,
        base: Offset,
        now: Timestamp,
    ) -> Result<Log, LogError> {
        at(dir, write_topic_id_now(dir, topic))?;
        let resume = Resume {
            start_offset: base,
            ..Resume::default()
        };
        let dir = self.dir.elsewhere(dir);
        let (mut copy, _) = Log::open_among_now(dir, self.options.clone(), Opened::AfterCrash, resume, now)?;
        // Nothing that is copied tells of them.
        copy.producers = self.producers.before(base);
        Ok(copy)
    }

    /// Where the producers are to be written, durably, that a copy which has just begun knows, and as what; nothing if it knows none.
    pub fn begun_with(&self) -> Option<(PathBuf, Bytes)> {
        let path = || {
            self.dir
                .join(names::offset_file(self.end_offset, names::SNAPSHOT))
        };
        let known = (!self.producers.is_empty()).then_some(&self.producers);
        known.map(|producers| (path(), snapshot::encode(producers).into()))
    }

    /// Whether a copy has all that `source` has, and on stable storage what is there of that.
    pub fn has_all_of(&self, source: &Log) -> bool {
        self.end_offset == source.end_offset && self.flushed >= source.flushed
    }

    /// Lets a copy that [has all](Self::has_all_of) of `source` be the log: it gets the name `place`, and the directory of `source` goes with the [`Removal`]
    /// inside, or can't be renamed. Both must be at rest. The names are not durable before the next flush, which nothing that is
    /// acknowledged as durable can do without.
    ///
    /// # Errors
    /// The copy did not get the name; `source` is still the log.
    pub fn take_place_of_now(
        &mut self,
        source: &Log,
        place: &Path,
        unique: [u8; 16],
    ) -> io::Result<io::Result<Removal>> {
        assert!(self.has_all_of(source), "a copy has everything before it counts");
        self.assert_at_rest();
        source.assert_at_rest();
        self.rename_now(place)?;
        self.options = source.options.clone();
        self.producers = source.producers.clone();
        self.start_offset = source.start_offset;
        self.epochs = source.epochs.clone();
        self.epochs_unwritten = true;
        self.compaction.inherit(&source.compaction);
        Ok(delete_now(&source.dir, unique))
    }

    fn rename_now(&mut self, place: &Path) -> io::Result<()> {
        fs::rename_now(&self.dir, place)?;
        self.dir = self.dir.elsewhere(place);
        for segment in &mut self.segments {
            segment.move_to(&self.dir);
        }
        if let SpareState::Ready(spare) = &mut self.spare
            && let Some(name) = spare.path.file_name()
        {
            spare.path = self.dir.join(name);
        }
        self.names.changed();
        Ok(())
    }
}

/// Says in a copy, durably, in which log directory lies what it is a copy of.
pub async fn mark_copy(dir: &Path, source: TopicId) -> io::Result<()> {
    write_whole(&dir.join(names::MOVED_FROM), format!("{source}\n").into()).await
}

/// Takes back, durably, what [`mark_copy`] has said, if it has.
pub async fn unmark_copy(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(names::MOVED_FROM)).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed?;
            sync_dir(dir).await
        }
    }
}

/// What [`mark_copy`] has said in a partition's directory; nothing of one that never moved.
pub fn marked_source_now(dir: &Path) -> Result<Option<TopicId>, LogError> {
    read_text_now(&dir.join(names::MOVED_FROM), |text| {
        TopicId::parse(text.trim_end()).ok_or(Malformed {
            line: 1,
            expected: "a directory's id",
        })
    })
}

/// Gives a copy at `dir` the partition's name, durably; returns where it is now. For a start.
pub fn place_copy_now(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let place = dir.with_file_name(name);
    fs::rename_now(dir, &place)?;
    if let Some(parent) = place.parent() {
        fs::sync_dir_now(parent)?;
    }
    Ok(place)
}
