//! What a broker checks of a producer's batch before it appends it.
//!
//! The checks and their order are Kafka's (`ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
//! `LogValidator`). Two are stricter: Kafka cuts off an unfinished batch behind the first and renumbers records whose
//! offset deltas are wrong, both are refused here, because bytes that arrive must be able to leave.

use std::ops::Deref;

use bytes::BytesMut;

use super::recode::{self, recode};
use super::rules::{Breaches, Rules, Unfit};
use super::walk::{Walk, at_once};
use super::{BatchError, BatchView, RecordFault, TimestampType, size_bytes_at};
use crate::base::Timestamp;
use crate::wire::compression::{Codec, Effort};

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
    latest: Option<Timestamp>,
    /// What the records are unpacked.
    payload_bytes: Option<usize>,
}

impl<'a> Deref for Checked<'a> {
    type Target = BatchView<'a>;

    fn deref(&self) -> &BatchView<'a> {
        &self.view
    }
}

impl Checked<'_> {
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
    /// The codec that it is in, where that can be told.
    pub fn codec(&self) -> Option<Codec> {
        BatchView::first(&self.records).ok()?.codec().ok()
    }

    /// Checks it as [`validate`] does, with a `turn` for others after every few hundred KiB that are decompressed. What was learnt
    /// goes with it, and it isn't checked again.
    ///
    /// # Errors
    /// As [`validate`].
    pub async fn check_in_turns(&mut self, rules: &Rules, turn: impl AsyncFn()) -> Result<(), Unfit> {
        let checked = validate_in_turns(&self.records, rules, turn).await?;
        self.summary = Some(Box::new(checked.summary));
        Ok(())
    }

    /// Whether it takes more than one turn to [recode](Self::recode_in_turns).
    pub fn is_large(&self) -> bool {
        self.payload_bytes() > recode::TURN_BYTES
    }

    /// Puts it into another codec, with a `turn` for others after every few dozen KiB.
    ///
    /// # Errors
    /// When it is larger than `size_bytes_max` then.
    ///
    /// # Panics
    /// If its records were not looked into.
    pub async fn recode_in_turns(
        &mut self,
        effort: Effort,
        size_bytes_max: usize,
        turn: impl AsyncFn(),
    ) -> Result<(), Unfit> {
        let view = BatchView::first(&self.records)?;
        self.records = recode(&view, self.payload_bytes(), effort, size_bytes_max, turn).await?;
        Ok(())
    }

    fn payload_bytes(&self) -> usize {
        let summary = self.summary.as_ref().expect("it was checked");
        summary.payload_bytes.expect("its records were looked into")
    }

    /// Checks it, unless that was done on the way.
    ///
    /// # Errors
    /// As [`validate`].
    pub fn check(&self, rules: &Rules) -> Result<Checked<'_>, Unfit> {
        match &self.summary {
            Some(summary) => Ok(Checked {
                view: BatchView::first(&self.records)?,
                summary: **summary,
            }),
            None => validate(&self.records, rules),
        }
    }

    /// Its bytes.
    pub fn into_records(self) -> BytesMut {
        self.records
    }
}

/// Checks the produce data of one partition: exactly one batch, whole, of format 2, consistent, and within the topic's rules.
///
/// # Errors
/// What is wrong with it; also records that decompress to more than
/// [`DECOMPRESSED_BYTES_MAX`](super::DECOMPRESSED_BYTES_MAX).
pub fn validate<'a>(bytes: &'a [u8], rules: &Rules) -> Result<Checked<'a>, Unfit> {
    at_once(validate_in_turns(bytes, rules, async || {}))
}

/// As [`validate`], with a turn for others after every few hundred KiB that are decompressed.
async fn validate_in_turns<'a>(
    bytes: &'a [u8],
    rules: &Rules,
    turn: impl AsyncFn(),
) -> Result<Checked<'a>, Unfit> {
    if bytes.is_empty() {
        return Err(BatchError::Empty.into());
    }
    let view = BatchView::first(bytes)?;
    refuse_more(&bytes[view.size_bytes()..])?;
    check_base_offset(&view)?;
    rules.check_size(view.size_bytes())?;
    check_crc(&view)?;
    view.codec()?;
    validate_header(&view)?;
    let summary = match rules.depth {
        Depth::Header if view.is_compressed() => Summary::of_header(&view, rules)?,
        _ => Summary::of_records(&view, rules, turn).await?,
    };
    Ok(Checked { view, summary })
}

fn check_base_offset(view: &BatchView<'_>) -> Result<(), BatchError> {
    match view.base_offset().0 {
        0 => Ok(()),
        base_offset => Err(BatchError::BaseOffset { base_offset }),
    }
}

fn check_crc(view: &BatchView<'_>) -> Result<(), BatchError> {
    let (stored, computed) = (view.crc(), view.computed_crc());
    match stored == computed {
        true => Ok(()),
        false => Err(BatchError::Crc { stored, computed }),
    }
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
    fn of_header(view: &BatchView<'_>, rules: &Rules) -> Result<Summary, Unfit> {
        let times = match view.timestamp_type() {
            TimestampType::CreateTime => [view.base_timestamp(), view.max_timestamp()],
            TimestampType::LogAppendTime => [view.max_timestamp(); 2],
        };
        let breach = |timestamp| rules.times.breach(view.timestamp_type(), timestamp);
        match times.into_iter().find_map(breach) {
            Some(_) => Err(Unfit::Records(Box::new(Breaches::of_header()))),
            None => Ok(Summary::default()),
        }
    }

    async fn of_records(view: &BatchView<'_>, rules: &Rules, turn: impl AsyncFn()) -> Result<Summary, Unfit> {
        let (mut latest, kind) = (Timestamp::NONE, view.timestamp_type());
        let mut breaches = Breaches::default();
        let mut walk = Walk::new(view, turn)?;
        for index in 0..view.records_count() {
            let record = walk.record(index).await?;
            if record.offset_delta != index {
                let fault = RecordFault::OffsetDelta {
                    offset_delta: record.offset_delta,
                };
                return Err(BatchError::Record { index, fault }.into());
            }
            latest = latest.max(record.timestamp);
            if let Some(breach) = rules.breach(kind, &record) {
                breaches.add(index, breach);
            }
        }
        let payload_bytes = walk.end(view.last_offset_delta()).await?;
        if breaches.count > 0 {
            return Err(Unfit::Records(Box::new(breaches)));
        }
        Ok(Summary {
            latest: Some(latest),
            payload_bytes: Some(payload_bytes),
        })
    }
}
