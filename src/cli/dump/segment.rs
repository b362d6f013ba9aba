//! `.log` and `.checkpoint` files: record batches one after the other.

use std::io;

use super::DataFile;
use super::control;
use super::output::{Line, Output, Place, Stop, Value};
use crate::base::{Offset, ProducerId};
use crate::log::header::{BatchCrc, BatchHeader};
use crate::log::walk::{Source, Step, Walk, ready};
use crate::metadata::batch::METADATA_BATCH_BYTES_MAX;
use crate::wire::batch::{self, BatchView, ControlType, DECOMPRESSED_BYTES_MAX, Record, layout};
use crate::wire::compression::Codec;
use crate::wire::json::Fields;
use crate::wire::records::decode_record;

/// A larger batch is checked and not shown record by record: it would have to be held as a whole, and none that a broker takes
/// unpacks to more.
const BATCH_BYTES_MAX: usize = DECOMPRESSED_BYTES_MAX;

/// A CRC is computed over pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// What the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Whatever clients wrote.
    Data,
    /// The metadata log's records.
    Metadata,
    /// The same in a snapshot: offsets from 0 without a gap, between a header and a footer (KIP-630).
    MetadataSnapshot,
}

/// Shows every batch, and with `records` what is in it. Control batches, of which one holds a few small records, are always shown whole.
pub fn dump(file: &DataFile, contents: Contents, records: bool, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut segment = Segment {
        file,
        contents,
        records,
        output,
        next_offset: match contents {
            Contents::MetadataSnapshot => Offset(0),
            Contents::Data | Contents::Metadata => file.offset,
        },
        control: None,
    };
    segment.dump()
}

struct Segment<'a, 'o> {
    file: &'a DataFile,
    contents: Contents,
    records: bool,
    output: &'a mut Output<'o>,
    /// Behind the batch before; the least that the next one may begin with.
    next_offset: Offset,
    /// What the last batch begins with, if it is a control batch.
    control: Option<ControlType>,
}

impl Segment<'_, '_> {
    fn dump(&mut self) -> Result<(), Stop> {
        let mut walk = Walk::new(Source::blocking(self.file.file.clone()), 0, self.file.size_bytes);
        loop {
            match ready(walk.next())? {
                Step::Batch { position, header } => self.batch(position, &header)?,
                Step::Bad { position, problem } => {
                    self.output.problem(Place::Byte(position), &problem)?;
                    match self.behind_now(position)? {
                        Some(behind) => walk.pass_to(behind),
                        None => return self.leave(position),
                    }
                }
                Step::End => return self.end(),
            }
        }
    }

    /// Where what is no batch would end if its length is right: perhaps another stands there.
    fn behind_now(&self, position: u64) -> io::Result<Option<u64>> {
        let start = self.file.read_now(position, layout::CRC)?;
        let behind = batch::size_bytes_at(&start).map(|size| position + size as u64);
        Ok(behind.ok().filter(|behind| *behind < self.file.size_bytes))
    }

    fn leave(&mut self, position: u64) -> Result<(), Stop> {
        let left = self.file.size_bytes - position;
        let what = format!("{left} bytes from here on aren't shown: no batch is to be found in them");
        self.output.note(Place::Byte(position), &what)
    }

    fn end(&mut self) -> Result<(), Stop> {
        let lacks_footer = self.control != Some(ControlType::SnapshotFooter);
        if self.contents == Contents::MetadataSnapshot && lacks_footer {
            let place = Place::Byte(self.file.size_bytes);
            return self
                .output
                .problem(place, &"the snapshot ends without its footer");
        }
        Ok(())
    }

    fn batch(&mut self, position: u64, header: &BatchHeader) -> Result<(), Stop> {
        let whole = match (self.records || header.is_control()) && header.size_bytes <= BATCH_BYTES_MAX {
            true => Some(self.file.read_now(position, header.size_bytes)?),
            false => None,
        };
        let crc_is_valid = match &whole {
            Some(bytes) => crc_of(bytes, header)?,
            None => self.crc_in_pieces_now(position, header)?,
        };
        self.output.line(&batch_line(position, header, crc_is_valid))?;
        if !crc_is_valid {
            self.output
                .problem(Place::Byte(position), &"the batch's CRC does not match its bytes")?;
        }
        self.check_offsets(position, header)?;
        let is_first = position == 0;
        self.control = None;
        match whole {
            Some(bytes) => self.show_records(position, &bytes)?,
            None if self.records => {
                let what = format!("records aren't shown of a batch above {BATCH_BYTES_MAX} bytes");
                self.output.note(Place::Byte(position), &what)?;
            }
            None => {}
        }
        let lacks_header = is_first && self.control != Some(ControlType::SnapshotHeader);
        if self.contents == Contents::MetadataSnapshot && lacks_header {
            self.output
                .problem(Place::Byte(position), &"the snapshot begins without its header")?;
        }
        Ok(())
    }

    fn crc_in_pieces_now(&self, position: u64, header: &BatchHeader) -> io::Result<bool> {
        let mut crc: Option<BatchCrc> = None;
        let mut checked = 0;
        while checked < header.size_bytes {
            let len = (header.size_bytes - checked).min(PIECE_BYTES);
            let piece = self.file.read_now(position + checked as u64, len)?;
            if piece.len() < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match &mut crc {
                Some(crc) => crc.update(&piece),
                None => crc = Some(BatchCrc::begin(&piece)),
            }
            checked += len;
        }
        Ok(crc.is_some_and(|crc| crc.matches(header)))
    }

    fn check_offsets(&mut self, position: u64, header: &BatchHeader) -> Result<(), Stop> {
        let (base, next) = (header.base_offset, self.next_offset);
        let place = Place::Byte(position);
        if base < next {
            let what = format!("the batch begins at offset {base}, {next} is the least that may stand here");
            self.output.problem(place, &what)?;
        } else if self.contents == Contents::MetadataSnapshot && base != next {
            let what = format!("the batch begins at offset {base}, the one before ends at {next}");
            self.output.problem(place, &what)?;
        }
        if header.last_offset.0.saturating_sub(self.file.offset.0) > i64::from(i32::MAX) {
            let what = "the batch's offsets are too far from the segment's for its indexes";
            self.output.problem(place, &what)?;
        }
        self.next_offset = header.next_offset().max(next);
        Ok(())
    }

    fn show_records(&mut self, position: u64, bytes: &[u8]) -> Result<(), Stop> {
        let place = Place::Byte(position);
        let batch = match BatchView::first(bytes) {
            Ok(batch) => batch,
            Err(error) => return self.output.problem(place, &error),
        };
        let payload = match batch.payload(DECOMPRESSED_BYTES_MAX) {
            Ok(payload) => payload,
            Err(error) => return self.output.problem(place, &error),
        };
        if batch.records_count() <= 0 && !payload.is_empty() {
            let what = format!("{} records in {} bytes", batch.records_count(), payload.len());
            return self.output.problem(place, &what);
        }
        let mut next_delta = 0;
        for record in batch.records(&payload) {
            let record = match record {
                Ok(record) => record,
                Err(error) => return self.output.problem(place, &error),
            };
            self.record(place, &batch, &record)?;
            if !(next_delta..=batch.last_offset_delta()).contains(&record.offset_delta) {
                let what = format!("the record's offset {} is out of order", record.offset);
                self.output.problem(place, &what)?;
            }
            next_delta = record.offset_delta.saturating_add(1);
        }
        Ok(())
    }

    fn record(&mut self, place: Place, batch: &BatchView<'_>, record: &Record<'_>) -> Result<(), Stop> {
        let line = Line::new("record")
            .with("offset", record.offset.0)
            .with("timestamp", record.timestamp.0)
            .with("keySize", size_of(record.key))
            .with("valueSize", size_of(record.value))
            .with("sequence", sequence_of(batch, record))
            .with("headers", record.headers.clone());
        if batch.is_control() {
            return self.control_record(place, line, record);
        }
        if self.contents != Contents::Data {
            return self.metadata_record(place, line, record);
        }
        self.output.line(&with_bytes(line, record))
    }

    fn control_record(&mut self, place: Place, line: Line<'_>, record: &Record<'_>) -> Result<(), Stop> {
        let known = record.key.and_then(ControlType::from_key);
        self.control = self.control.or(known);
        let Some(control) = known else {
            return self
                .output
                .line(&with_bytes(line.with("control", "unknown"), record));
        };
        let line = line.with("control", control::name(control));
        match control::data(control, record.value.unwrap_or_default()) {
            Ok(data) => self.output.line(&line.with("data", Value::Json(data))),
            Err(error) => {
                self.output.line(&with_bytes(line, record))?;
                let what = format!("the control record at offset {}: {error}", record.offset);
                self.output.problem(place, &what)
            }
        }
    }

    fn metadata_record(&mut self, place: Place, line: Line<'_>, record: &Record<'_>) -> Result<(), Stop> {
        let value = record.value.unwrap_or_default();
        if value.len() > METADATA_BATCH_BYTES_MAX {
            self.output.line(&line)?;
            let what = format!(
                "a metadata record of {} bytes at offset {}",
                value.len(),
                record.offset
            );
            return self.output.problem(place, &what);
        }
        match decode_record(value) {
            Ok((decoded, version)) => {
                let mut data = String::new();
                let mut fields = Fields::begin(&mut data, version);
                fields.put("type", decoded.kind_name());
                fields.put("version", &version);
                fields.put("data", &decoded);
                fields.end();
                self.output.line(&line.with("data", Value::Json(data)))
            }
            Err(error) => {
                self.output.line(&with_bytes(line, record))?;
                let what = format!("the metadata record at offset {}: {error}", record.offset);
                self.output.problem(place, &what)
            }
        }
    }
}

/// Whether the CRC of a whole batch is the one in its header; an error if the file has become shorter since that was read.
fn crc_of(batch: &[u8], header: &BatchHeader) -> io::Result<bool> {
    match batch.len() < header.size_bytes {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(BatchCrc::begin(batch).matches(header)),
    }
}

fn with_bytes<'a>(line: Line<'a>, record: &Record<'a>) -> Line<'a> {
    line.with("key", record.key).with("value", record.value)
}

/// Named as in Kafka's `DumpLogSegments`, where that has a name for it.
fn batch_line(position: u64, header: &BatchHeader, crc_is_valid: bool) -> Line<'static> {
    let has = |attribute: i16| header.attributes & attribute != 0;
    let codec = (header.attributes & layout::CODEC_MASK) as u8;
    let last_offset_delta = header.last_offset.0 - header.base_offset.0;
    Line::new("batch")
        .with("baseOffset", header.base_offset.0)
        .with("lastOffset", header.last_offset.0)
        .with("count", header.records_count)
        .with("baseSequence", header.base_sequence)
        .with(
            "lastSequence",
            sequence(header.base_sequence, last_offset_delta as i32),
        )
        .with("producerId", header.producer_id.0)
        .with("producerEpoch", header.producer_epoch.0)
        .with("partitionLeaderEpoch", header.leader_epoch.0)
        .with("isTransactional", has(layout::TRANSACTIONAL))
        .with("isControl", header.is_control())
        .with(
            "deleteHorizonMs",
            has(layout::DELETE_HORIZON).then_some(header.base_timestamp.0),
        )
        .with("position", position)
        .with(
            "timestampType",
            if has(layout::LOG_APPEND_TIME) {
                "LogAppendTime"
            } else {
                "CreateTime"
            },
        )
        .with("maxTimestamp", header.max_timestamp.0)
        .with("size", header.size_bytes)
        .with(
            "codec",
            Codec::from_id(codec).map_or_else(|| format!("unknown-{codec}"), |codec| codec.to_string()),
        )
        .with("crc", header.crc)
        .with("isValid", crc_is_valid)
}

/// −1 for null, as Kafka's tool says.
fn size_of(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| bytes.len() as i64)
}

fn sequence_of(batch: &BatchView<'_>, record: &Record<'_>) -> i32 {
    match batch.producer_id() {
        ProducerId::NONE => -1,
        _ => sequence(batch.base_sequence(), record.offset_delta),
    }
}

/// The sequence `delta` behind `base`; −1 where there are none. After the largest comes 0.
fn sequence(base: i32, delta: i32) -> i32 {
    match base {
        -1 => -1,
        base => base.wrapping_add(delta) & i32::MAX,
    }
}
