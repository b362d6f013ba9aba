//! What a broker checks of a producer's batch before it appends it.
//!
//! The checks and their order are Kafka's (`ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
//! `LogValidator`). Two are stricter: Kafka cuts off an unfinished batch behind the first and renumbers records whose
//! offset deltas are wrong, both are refused here, because bytes that arrive must be able to leave.

use std::ops::Deref;

use bytes::BytesMut;

use super::walk::{Walk, at_once};
use super::{BatchError, BatchView, RecordFault, size_bytes_at};
use crate::base::Timestamp;

/// How far a batch is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every record is walked, compressed or not.
    Records,
    /// A compressed batch is taken at its header's word: its records may be other than they claim.
    Header,
}

/// A producer's batch that may be appended, and what was learnt of its records on the way.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    view: BatchView<'a>,
    summary: Summary,
}

/// What the records say; of a compressed batch that is taken at its header's word, what that says.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    timestamps: Option<(Timestamp, Timestamp)>,
    latest: Option<Timestamp>,
    first_keyless: Option<i32>,
}

impl<'a> Deref for Checked<'a> {
    type Target = BatchView<'a>;

    fn deref(&self) -> &BatchView<'a> {
        &self.view
    }
}

impl Checked<'_> {
    /// The place of the first record without a key: not for compacted topics.
    pub fn first_keyless(&self) -> Option<i32> {
        self.summary.first_keyless
    }

    /// Whether a record has no key.
    pub fn has_keyless_record(&self) -> bool {
        self.first_keyless().is_some()
    }

    /// The earliest and the latest timestamp of its records, those without one left out.
    pub fn timestamps(&self) -> Option<(Timestamp, Timestamp)> {
        self.summary.timestamps
    }

    /// The latest timestamp of its records, −1 when none has one. The header may say otherwise; Kafka then corrects
    /// the header (see [`set_create_time`](super::set_create_time)).
    pub fn latest_timestamp(&self) -> Timestamp {
        self.summary.latest.unwrap_or(self.view.max_timestamp())
    }
}

/// The produce data of one partition on its way to the log, as it arrived.
#[derive(Debug)]
pub struct Arrived {
    records: BytesMut,
    /// What was learnt of them on the way, if they were looked into.
    summary: Option<Box<Summary>>,
}

impl From<BytesMut> for Arrived {
    fn from(records: BytesMut) -> Arrived {
        Arrived {
            records,
            summary: None,
        }
    }
}

impl Arrived {
    /// Whether looking into it may take long: it is compressed.
    pub fn is_slow(&self) -> bool {
        BatchView::first(&self.records).is_ok_and(|batch| batch.is_compressed())
    }

    /// Checks it as [`validate`] does, with a `turn` for others after every few hundred KiB that are decompressed. What was learnt
    /// goes with it.
    ///
    /// # Errors
    /// As [`validate`].
    pub async fn check_in_turns(&mut self, turn: impl AsyncFn()) -> Result<(), BatchError> {
        let checked = validate_in_turns(&self.records, Depth::Records, turn).await?;
        self.summary = Some(Box::new(checked.summary));
        Ok(())
    }

    /// Checks it, unless that was done on the way.
    ///
    /// # Errors
    /// As [`validate`].
    pub fn check(&self, depth: Depth) -> Result<Checked<'_>, BatchError> {
        match &self.summary {
            Some(summary) => Ok(Checked {
                view: BatchView::first(&self.records)?,
                summary: **summary,
            }),
            None => validate(&self.records, depth),
        }
    }

    /// Its bytes.
    pub fn into_records(self) -> BytesMut {
        self.records
    }
}

/// Checks the produce data of one partition: exactly one batch, whole, of format 2, and consistent.
///
/// # Errors
/// What is wrong with it; also records that decompress to more than
/// [`DECOMPRESSED_BYTES_MAX`](super::DECOMPRESSED_BYTES_MAX).
pub fn validate(bytes: &[u8], depth: Depth) -> Result<Checked<'_>, BatchError> {
    at_once(validate_in_turns(bytes, depth, async || {}))
}

/// As [`validate`], with a turn for others after every few hundred KiB that are decompressed.
async fn validate_in_turns(
    bytes: &[u8],
    depth: Depth,
    turn: impl AsyncFn(),
) -> Result<Checked<'_>, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::Empty);
    }
    let view = BatchView::first(bytes)?;
    refuse_more(&bytes[view.size_bytes()..])?;
    if view.base_offset().0 != 0 {
        return Err(BatchError::BaseOffset {
            base_offset: view.base_offset().0,
        });
    }
    if !view.crc_is_valid() {
        return Err(BatchError::Crc {
            stored: view.crc(),
            computed: view.computed_crc(),
        });
    }
    view.codec()?;
    validate_header(&view)?;
    let summary = match depth {
        Depth::Header if view.is_compressed() => Summary::of_header(&view),
        _ => Summary::of_records(&view, turn).await?,
    };
    Ok(Checked { view, summary })
}

/// Refuses what lies behind the one batch; as in Kafka, nonsense is called corrupt first.
fn refuse_more(behind: &[u8]) -> Result<(), BatchError> {
    if behind.is_empty() {
        return Ok(());
    }
    match size_bytes_at(behind) {
        Ok(_) | Err(BatchError::Incomplete { .. }) => Err(BatchError::MoreThanOne { left: behind.len() }),
        Err(nonsense) => Err(nonsense),
    }
}

fn validate_header(view: &BatchView<'_>) -> Result<(), BatchError> {
    let last_offset_delta = view.last_offset_delta();
    let records_count = view.records_count();
    if last_offset_delta < 0 {
        return Err(BatchError::OffsetRange { last_offset_delta });
    }
    if records_count <= 0 || records_count - 1 != last_offset_delta {
        return Err(BatchError::RecordsCount {
            records_count,
            last_offset_delta,
        });
    }
    if view.is_control() {
        return Err(BatchError::Control);
    }
    if view.has_producer_id() && view.base_sequence() < 0 {
        return Err(BatchError::BaseSequence {
            base_sequence: view.base_sequence(),
        });
    }
    Ok(())
}

impl Summary {
    fn of_header(view: &BatchView<'_>) -> Summary {
        let times = [view.base_timestamp(), view.max_timestamp()];
        let mut told = times
            .into_iter()
            .filter(|&timestamp| timestamp != Timestamp::NONE);
        let timestamps = told.next().map(|first| told.fold((first, first), widened));
        Summary {
            timestamps,
            latest: None,
            first_keyless: None,
        }
    }

    async fn of_records(view: &BatchView<'_>, turn: impl AsyncFn()) -> Result<Summary, BatchError> {
        let mut summary = Summary {
            latest: Some(Timestamp::NONE),
            ..Summary::default()
        };
        let mut walk = Walk::new(view, turn)?;
        for index in 0..view.records_count() {
            let record = walk.record(index).await?;
            if record.offset_delta != index {
                let fault = RecordFault::OffsetDelta {
                    offset_delta: record.offset_delta,
                };
                return Err(BatchError::Record { index, fault });
            }
            summary.latest = summary.latest.max(Some(record.timestamp));
            if record.timestamp != Timestamp::NONE {
                let so_far = summary.timestamps.unwrap_or((record.timestamp, record.timestamp));
                summary.timestamps = Some(widened(so_far, record.timestamp));
            }
            if !record.has_key {
                summary.first_keyless = summary.first_keyless.or(Some(index));
            }
        }
        walk.end(view.last_offset_delta()).await?;
        Ok(summary)
    }
}

fn widened((earliest, latest): (Timestamp, Timestamp), timestamp: Timestamp) -> (Timestamp, Timestamp) {
    (earliest.min(timestamp), latest.max(timestamp))
}
