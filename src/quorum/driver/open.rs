//! From the files to a leader: the newest snapshot, the log behind it, an election.

use super::{Identity, Limits, Quorum, State};
use crate::base::{LeaderEpoch, Offset, Timestamp, TopicId};
use crate::config::Config;
use crate::log::dir::Opened;
use crate::log::{Log, LogError, LogOptions, ReadLimits, Resume, at, read_topic_id_now, write_topic_id_now};
use crate::metadata::batch::{record_batch, value_batch};
use crate::metadata::features::METADATA_VERSION;
use crate::metadata::{ApplyError, Image, Membership};
use crate::quorum::ballot::{Ballot, EPOCH_MAX};
use crate::quorum::entries::{Entries, Position};
use crate::quorum::machine::Machine;
use crate::quorum::snapshot::{self, Held, SnapshotId};
use crate::quorum::{QuorumError, format};
use crate::wire::batch::{BatchView, batches};
use crate::wire::messages::AbortTransactionRecord;
use bytes::Bytes;
use std::path::Path;

/// Bytes of the log that are in memory at once while it is replayed; a batch that is larger comes whole.
const REPLAY_BYTES_MAX: usize = 1 << 20;

/// Kafka's `Uuid.METADATA_TOPIC_ID`.
const METADATA_TOPIC_ID: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

impl Quorum {
    /// Opens the metadata log in `log_dir`, or begins one; replays it, and wins the election of the only voter. Blocks
    /// but for the flushes: for the start. The image that comes back is committed and on stable storage.
    ///
    /// # Errors
    /// Damage, by file and place; other voters than this node; the disk's.
    pub async fn open(
        config: &Config,
        log_dir: &Path,
        identity: Identity,
        opened: Opened,
        now: Timestamp,
    ) -> Result<(Quorum, Image), QuorumError> {
        let (mut quorum, mut image) = Quorum::replay_now(config, log_dir, identity, opened, now)?;
        quorum.flush_what_was_found().await?;
        let committed = quorum.campaign(now).await?;
        apply_all(&mut image, &committed)?;
        quorum.settle(log_dir, &mut image, now).await?;
        Ok((quorum, image))
    }

    /// What the last process left in the page cache. The new leader's batches may reach the disk before it: without the power they would
    /// then stand behind a hole, and a hole in the middle is damage.
    async fn flush_what_was_found(&mut self) -> Result<(), QuorumError> {
        let plan = self.log.flush_plan().map_err(QuorumError::Flush)?;
        let upto = plan.run().await.map_err(QuorumError::Flush)?;
        self.log.flushed(upto);
        Ok(())
    }

    fn replay_now(
        config: &Config,
        log_dir: &Path,
        identity: Identity,
        opened: Opened,
        now: Timestamp,
    ) -> Result<(Quorum, Image), QuorumError> {
        let dir = format::metadata_dir(log_dir);
        make_dir_now(&dir, opened).map_err(QuorumError::Open)?;
        snapshot::tidy_now(&dir).map_err(QuorumError::Open)?;
        let snapshots = held_now(&dir)?;
        let (mut image, position) = load_now(&dir, snapshots.last())?;
        let log = open_log_now(&dir, config, opened, position.offset, now)?;
        let mut entries = Entries::behind(position);
        let bytes = replay_now(&log, &mut image, &mut entries)?;
        check_voters(image.membership(), identity)?;
        let ballot = Ballot::read_now(&dir).map_err(QuorumError::Open)?;
        let machine = Machine::new(identity.node, entries, &ballot).map_err(QuorumError::Machine)?;
        let quorum = Quorum {
            identity,
            dir,
            log,
            machine: Some(machine),
            ballot,
            membership: image.membership().clone(),
            state: State::Settled,
            limits: Limits {
                bytes_between_snapshots: config.metadata_bytes_between_snapshots(),
                retention_bytes: config.metadata_retention_bytes(),
                retention_ms: config.metadata_retention_ms(),
            },
            snapshots,
            bytes_since_snapshot: bytes,
            snapshot_under_way: false,
        };
        Ok((quorum, image))
    }

    /// What a new leader commits before others may: what a formatted directory wants a log to begin with, and the end of a
    /// transaction that the last leader left open.
    async fn settle(&mut self, log_dir: &Path, image: &mut Image, now: Timestamp) -> Result<(), QuorumError> {
        if image.transaction_is_open() {
            let record = AbortTransactionRecord {
                reason: Some("the controller was restarted".into()),
            };
            let abort =
                |at, epoch| record_batch(&[record.into()], at, epoch, now).map_err(QuorumError::Batch);
            let committed = self.propose_with(now, abort).await?;
            apply_all(image, &committed)?;
        }
        if image.feature_level(METADATA_VERSION) == 0
            && let Some(bootstrap) = format::bootstrap_now(log_dir)?
            && bootstrap.record_values().next().is_some()
        {
            let values = |at, epoch| {
                value_batch(bootstrap.record_values(), at, epoch, now).map_err(QuorumError::Batch)
            };
            let committed = self.propose_with(now, values).await?;
            apply_all(image, &committed)?;
        }
        Ok(())
    }
}

fn make_dir_now(dir: &Path, opened: Opened) -> Result<(), LogError> {
    at(dir, crate::io::fs::create_dir_all_now(dir))?;
    if read_topic_id_now(dir, opened)?.is_none() {
        at(dir, write_topic_id_now(dir, METADATA_TOPIC_ID))?;
    }
    Ok(())
}

fn held_now(dir: &Path) -> Result<Vec<Held>, QuorumError> {
    let held = |id: SnapshotId| {
        let path = id.path(dir);
        let file = crate::io::fs::File::open_now(&path, crate::io::OpenOptions::read_only());
        let bytes = at(&path, file.and_then(|file| file.len_now())).map_err(QuorumError::Open)?;
        let last_contained = snapshot::read_header_now(&path).map_err(QuorumError::Snapshot)?;
        Ok(Held {
            id,
            bytes,
            last_contained,
        })
    };
    let found = snapshot::found_now(dir).map_err(QuorumError::Open)?;
    found.into_iter().map(held).collect()
}

/// The image of the newest snapshot, and where it stands; the empty one without a snapshot.
fn load_now(dir: &Path, newest: Option<&Held>) -> Result<(Image, Position), QuorumError> {
    let mut image = Image::empty();
    let Some(&Held { id, .. }) = newest else {
        return Ok((image, Position::default()));
    };
    let last_contained = snapshot::read_now(&id.path(dir), |batch| {
        let applied = image.apply_snapshot_batch(batch);
        applied.map(|_| ()).map_err(|error| error.to_string())
    })
    .map_err(QuorumError::Snapshot)?;
    image.is_as_of(id.offset, id.epoch, last_contained);
    check_epoch(id.epoch, LeaderEpoch(0), id.offset)?;
    let position = snapshot::read_position_now(dir, id).map_err(QuorumError::Open)?;
    Ok((image, position))
}

/// Opens the segments. What a snapshot contains was flushed before it was written, so after a crash only what comes behind is
/// checked; a log that ends before it (Kafka loads snapshots of other controllers) begins anew there.
fn open_log_now(
    dir: &Path,
    config: &Config,
    opened: Opened,
    snapshot: Offset,
    now: Timestamp,
) -> Result<Log, QuorumError> {
    let open = |opened, start_offset| {
        let resume = Resume {
            recovery_point: snapshot,
            start_offset,
            cleaned: None,
        };
        Log::open_now(dir, options(config), opened, resume, now).map(|(log, _)| log)
    };
    let log = match open(opened, Offset(0)) {
        Ok(log) if log.end_offset() >= snapshot => log,
        Ok(_) | Err(LogError::LostEnd { .. }) => {
            // Whatever stop it was, nothing that is left of it counts.
            open(Opened::AfterCrash, snapshot).map_err(QuorumError::Open)?
        }
        Err(error) => return Err(QuorumError::Open(error)),
    };
    match log.start_offset() {
        start if start > snapshot => Err(QuorumError::Gap { snapshot, start }),
        _ => Ok(log),
    }
}

/// As Kafka's for its metadata log. What goes is decided by snapshots, not by the log's own retention.
fn options(config: &Config) -> LogOptions {
    LogOptions {
        segment_bytes: u32::try_from(config.metadata_segment_bytes()).unwrap_or(i32::MAX as u32),
        segment_ms: config.metadata_segment_ms(),
        retention_ms: -1,
        retention_bytes: -1,
        refuse_damage: true,
        ..LogOptions::default()
    }
}

/// Applies the log behind the snapshot to its image; returns how many bytes there were. Without another voter, what is in the log
/// is what was decided.
fn replay_now(log: &Log, image: &mut Image, entries: &mut Entries) -> Result<u64, QuorumError> {
    let mut replayed = 0;
    while image.next_offset() < log.end_offset() {
        let from = image.next_offset();
        let limits = ReadLimits {
            bytes_max: REPLAY_BYTES_MAX,
            upper: log.end_offset(),
            at_least_one: true,
        };
        let plan = log.read(from, limits).map_err(QuorumError::Read)?;
        let bytes = plan.run_now().map_err(|error| QuorumError::Read(error.into()))?;
        for batch in batches(&bytes) {
            let batch = batch.map_err(|error| QuorumError::Apply(ApplyError::Batch(error)))?;
            image.apply_batch(&batch).map_err(QuorumError::Apply)?;
            // No CRC covers it.
            check_epoch(batch.leader_epoch(), entries.last_term(), batch.base_offset())?;
            entries.place(batch.leader_epoch(), batch.next_offset());
            replayed += batch.size_bytes() as u64;
        }
        if image.next_offset() == from {
            let gap = ApplyError::Gap {
                batch: log.end_offset(),
                image: from,
            };
            return Err(QuorumError::Apply(gap));
        }
    }
    Ok(replayed)
}

fn check_epoch(epoch: LeaderEpoch, before: LeaderEpoch, offset: Offset) -> Result<(), QuorumError> {
    match (before..=EPOCH_MAX).contains(&epoch) {
        true => Ok(()),
        false => Err(QuorumError::Epoch { offset, epoch }),
    }
}

fn check_voters(membership: &Membership, identity: Identity) -> Result<(), QuorumError> {
    match membership.voters.as_slice() {
        [] => Ok(()),
        [only] if only.node != identity.node => Err(QuorumError::OtherVoters {
            named: vec![only.node],
        }),
        [only] if only.directory != identity.directory => Err(QuorumError::OtherDirectory),
        [_] => Ok(()),
        several => Err(QuorumError::OtherVoters {
            named: several.iter().map(|voter| voter.node).collect(),
        }),
    }
}

fn apply_all(image: &mut Image, committed: &[Bytes]) -> Result<(), QuorumError> {
    for batch in committed {
        let view = BatchView::first(batch).map_err(|error| QuorumError::Apply(ApplyError::Batch(error)))?;
        image.apply_batch(&view).map_err(QuorumError::Apply)?;
    }
    Ok(())
}
