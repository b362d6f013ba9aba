//! One compaction of a log: first the keys of its dirty part are read, as far as the table holds them, then everything before is
//! written anew without what they supersede, one group of segments after the other.
//!
//! Nothing here borrows the log, which grows meanwhile. Its sealed segments stay as they are as long as the round goes on:
//! see [`Log::begin_compaction`](crate::log::Log::begin_compaction).

use std::ops::Range;

use crate::base::{Offset, Timestamp};
use crate::io::random_u64;
use crate::log::index::Place;
use crate::log::{AbortedPlan, AbortedTransaction, Dir, names};
use crate::wire::batch::{BatchError, BatchView, DECOMPRESSED_BYTES_MAX};

use super::groups::{GroupLimits, Member, groups};
use super::key_map::{KeyMap, KeyMapLimits, KeySecret};
use super::keyed::read_turn;
use super::output::{Output, remove_leftovers};
use super::pace::{Pace, RECORDS_PER_TURN};
use super::reader::Reader;
use super::retain::{Kept, LastBatches, Retention};
use super::transactions::Transactions;
use super::{CompactionError, CompactionRules, Dirt, swap};

/// A sealed segment.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its files.
    pub place: Place,
    /// What the grouping looks at.
    pub member: Member,
}

/// What a round is about.
#[derive(Debug)]
pub struct Plan {
    pub dir: Dir,
    /// The segments before the first uncleanable one, in order.
    pub sources: Vec<Source>,
    pub dirt: Dirt,
    pub rules: CompactionRules,
    pub limits: GroupLimits,
    pub index_interval_bytes: u32,
    pub lasts: LastBatches,
    /// Where the transactions are whose records don't count; read once.
    pub aborted: AbortedPlan,
    pub now: Timestamp,
}

/// See the module.
#[derive(Debug)]
pub struct Round {
    plan: Plan,
    /// Known once the keys are read.
    aborted: Vec<AbortedTransaction>,
}

/// What is to be compacted, once the keys are known.
pub struct Groups<'a> {
    plan: &'a Plan,
    keys: &'a KeyMap,
    groups: std::vec::IntoIter<Range<usize>>,
    retention: Retention<'a>,
}

/// A compacted segment that counts on disk, and is to be put in the place of those that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// The base offsets of those; the first is its own.
    pub(in crate::log) old: Vec<Offset>,
    /// Bytes of those.
    pub bytes_before: u64,
    /// Its own.
    pub bytes_after: u64,
}

impl Round {
    pub(super) fn new(plan: Plan) -> Round {
        Round {
            plan,
            aborted: Vec::new(),
        }
    }

    /// What the round began with.
    pub fn dirt(&self) -> &Dirt {
        &self.plan.dirt
    }

    /// Reads the keys of the dirty part.
    ///
    /// # Errors
    /// The segments can't be read, or the round was stopped.
    pub async fn read_keys(&mut self, limits: KeyMapLimits, pace: &Pace) -> Result<KeyMap, CompactionError> {
        remove_leftovers(&self.plan.dir).await?;
        let aborted = std::mem::replace(&mut self.plan.aborted, AbortedPlan::empty());
        self.aborted
            .extend(aborted.run(self.plan.dirt.first_uncleanable).await?);
        let Dirt {
            first_dirty,
            first_uncleanable,
            ..
        } = self.plan.dirt;
        let secret = KeySecret([random_u64(), random_u64()]);
        let records_max = first_uncleanable.0 - first_dirty.0;
        let mut keys = KeyMap::new(limits, records_max.max(0) as u64, secret);
        let sources = &self.plan.sources;
        let dirty = &sources[sources.partition_point(|source| source.member.end <= first_dirty)..];
        let mut transactions = Transactions::new(self.aborted_since(dirty));
        for source in dirty {
            let is_whole = self
                .read_keys_of(source, &mut keys, &mut transactions, pace)
                .await?;
            if !is_whole {
                break;
            }
            // Behind the last batch offsets may be missing up to the next segment.
            keys.reach(Offset(source.member.end.0 - 1));
        }
        Ok(keys)
    }

    /// The transactions whose markers stand in these segments or behind: the marker of an earlier one would never come, and its producer's
    /// next transaction be taken for it.
    fn aborted_since(&self, dirty: &[Source]) -> Vec<AbortedTransaction> {
        let Some(first) = dirty.first() else {
            return Vec::new();
        };
        let ends_there = |aborted: &&AbortedTransaction| aborted.last_offset >= first.place.base;
        self.aborted.iter().filter(ends_there).copied().collect()
    }

    /// False when the table is full before the segment's end.
    async fn read_keys_of(
        &self,
        source: &Source,
        keys: &mut KeyMap,
        transactions: &mut Transactions,
        pace: &Pace,
    ) -> Result<bool, CompactionError> {
        let mut reader = source.reader().await?;
        while let Some(bytes) = next(&mut reader, pace).await? {
            let batch = view(&bytes);
            let counts = !transactions.is_void(&batch) && !batch.is_control();
            if batch.last_offset() < self.plan.dirt.first_dirty {
                continue;
            }
            if counts {
                let noted = self.note_keys(&batch, keys, pace).await;
                if !noted.map_err(|error| reader.bad_records(error))? {
                    return Ok(false);
                }
            }
            keys.reach(batch.last_offset());
        }
        Ok(true)
    }

    /// False when the table is full before the batch's end.
    async fn note_keys(
        &self,
        batch: &BatchView<'_>,
        keys: &mut KeyMap,
        pace: &Pace,
    ) -> Result<bool, BatchError> {
        let turn = async || pace.turn().await;
        let payload = batch.payload_in_turns(DECOMPRESSED_BYTES_MAX, turn).await?;
        let mut records = batch.records(&payload);
        let mut turn = Vec::with_capacity(RECORDS_PER_TURN);
        loop {
            read_turn(&mut records, keys, &mut turn)?;
            if turn.is_empty() {
                return Ok(true);
            }
            let dirty = turn
                .iter()
                .filter(|record| record.offset >= self.plan.dirt.first_dirty);
            for record in dirty {
                if let Some(key) = record.key
                    && !keys.put(key, record.offset)
                {
                    return Ok(false);
                }
            }
            pace.turn().await;
        }
    }

    /// What `keys` can clean.
    pub fn groups<'a>(&'a self, keys: &'a KeyMap) -> Groups<'a> {
        let plan = &self.plan;
        let covered = plan
            .sources
            .iter()
            .take_while(|source| source.member.base <= keys.latest());
        let members: Vec<Member> = covered.map(|source| source.member).collect();
        let transactions = Transactions::new(self.aborted.clone());
        Groups {
            plan,
            keys,
            groups: groups(&members, plan.limits).into_iter(),
            retention: Retention::new(
                keys,
                transactions,
                &plan.lasts,
                plan.now,
                plan.rules.delete_retention_ms,
            ),
        }
    }
}

impl Groups<'_> {
    /// Up to where the log is clean once all groups are in place.
    pub fn cleaned_to(&self) -> Offset {
        Offset(self.keys.latest().0 + 1).max(self.plan.dirt.first_dirty)
    }

    /// Compacts the next group and makes the outcome count on disk; none at the end. Nothing may be done to the segments before it is
    /// [put in place](crate::log::Log::place_compacted_now).
    ///
    /// # Errors
    /// The segments are as they were, unless it is [`CompactionError::InDoubt`].
    pub async fn compact_next(&mut self, pace: &Pace) -> Result<Option<Compacted>, CompactionError> {
        let Some(group) = self.groups.next() else {
            return Ok(None);
        };
        let sources = &self.plan.sources[group];
        let base = sources[0].member.base;
        let bytes_after = self.write(sources, pace).await?;
        swap::commit(&self.plan.dir, base)
            .await
            .map_err(CompactionError::InDoubt)?;
        Ok(Some(Compacted {
            old: sources.iter().map(|source| source.member.base).collect(),
            bytes_before: sources.iter().map(|source| source.member.size_bytes).sum(),
            bytes_after,
        }))
    }

    /// Writes and flushes what stays of the segments; how much it is.
    async fn write(&mut self, sources: &[Source], pace: &Pace) -> Result<u64, CompactionError> {
        let plan = self.plan;
        let base = sources[0].member.base;
        let index_bytes_max = u32::try_from(plan.limits.index_bytes_max).unwrap_or(u32::MAX);
        let mut output =
            Output::create(plan.dir.clone(), base, plan.index_interval_bytes, index_bytes_max).await?;
        let last = sources.iter().rposition(|source| source.member.size_bytes > 0);
        for (n, source) in sources.iter().enumerate() {
            let is_last = Some(n) == last;
            self.write_source(source, is_last, &mut output, pace).await?;
        }
        let bytes = output.size_bytes();
        output.finish(&self.retention.take_aborted(), pace).await?;
        Ok(bytes)
    }

    async fn write_source(
        &mut self,
        source: &Source,
        is_last: bool,
        output: &mut Output,
        pace: &Pace,
    ) -> Result<(), CompactionError> {
        let mut reader = source.reader().await?;
        while let Some(bytes) = next(&mut reader, pace).await? {
            let batch = view(&bytes);
            // The group's last offset stays, so that the segment covers all that it replaces, and is never empty: a start tells by
            // that which of the old ones a crash has left. Kafka keeps that of a round.
            let keeps_offsets = is_last && reader.is_at_end();
            let kept = self.retention.keep(&batch, keeps_offsets, pace).await;
            match kept.map_err(|error| reader.bad_records(error))? {
                Kept::Nothing => {}
                Kept::All => output.append(&bytes, pace).await?,
                Kept::Part(kept) => output.append(&kept, pace).await?,
            }
            pace.turn().await;
        }
        Ok(())
    }

    /// Takes away what a group that failed has left.
    pub async fn remove_leftovers(&self) {
        if let Err(error) = remove_leftovers(&self.plan.dir).await {
            tracing::warn!("{}: {error}", self.plan.dir.display());
        }
    }
}

impl Source {
    async fn reader(&self) -> Result<Reader, CompactionError> {
        let path = self.place.path(names::LOG);
        Reader::open(path, self.member.size_bytes, self.member.base).await
    }
}

async fn next(reader: &mut Reader, pace: &Pace) -> Result<Option<bytes::Bytes>, CompactionError> {
    match pace.is_stopped() {
        true => Err(CompactionError::Stopped),
        false => reader.next(pace).await,
    }
}

fn view(bytes: &[u8]) -> BatchView<'_> {
    BatchView::first(bytes).expect("the reader has looked at it")
}
