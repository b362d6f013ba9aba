//! The records inside a batch (Kafka's `DefaultRecord`), read where they lie.

use std::borrow::Cow;

use super::{BatchError, BatchView, RecordFault, TimestampType};
use crate::base::{Offset, Timestamp};
use crate::wire::decoder::{DecodeError, Decoder};

/// One record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Its offset in the log, or in a producer's batch its place from 0.
    pub offset: Offset,
    /// Its place among the batch's offsets, from 0.
    pub offset_delta: i32,
    /// Its time, as the batch's timestamp type has it.
    pub timestamp: Timestamp,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Its headers, in order.
    pub headers: Headers<'a>,
    /// Its bytes from the key's length on, as they lie there: what does not depend on its place in the batch.
    pub(super) body: &'a [u8],
}

/// The records of a batch; see [`BatchView::records`]. The first error is the last item.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    rest: Decoder<'a>,
    base_offset: i64,
    base_timestamp: i64,
    /// The time of all records, when it is the broker's.
    append_time: Option<Timestamp>,
    index: i32,
    count: i32,
}

impl<'a> RecordIter<'a> {
    pub(super) fn new(batch: &BatchView<'_>, payload: &'a [u8]) -> Self {
        RecordIter {
            rest: Decoder::new(payload),
            base_offset: batch.base_offset().0,
            base_timestamp: batch.base_timestamp().0,
            append_time: match batch.timestamp_type() {
                TimestampType::LogAppendTime => Some(batch.max_timestamp()),
                TimestampType::CreateTime => None,
            },
            index: 0,
            count: batch.records_count(),
        }
    }

    fn read(&mut self) -> Result<Record<'a>, RecordFault> {
        let size = non_negative(self.rest.varint()).ok_or(RecordFault::Structure)?;
        let bytes = self.rest.take(size).map_err(|_| RecordFault::Structure)?;
        let record = self.whole(Parts::read(Decoder::new(bytes))?);
        let left = self.rest.rest().len();
        if self.index + 1 == self.count && left > 0 {
            return Err(RecordFault::TrailingBytes { left });
        }
        Ok(record)
    }

    fn whole(&self, parts: Parts<'a>) -> Record<'a> {
        let timestamp = Timestamp(self.base_timestamp.wrapping_add(parts.timestamp_delta));
        Record {
            offset: Offset(self.base_offset.wrapping_add(parts.offset_delta.into())),
            offset_delta: parts.offset_delta,
            timestamp: self.append_time.unwrap_or(timestamp),
            key: parts.key,
            value: parts.value,
            headers: parts.headers,
            body: parts.body,
        }
    }
}

/// What stands in a record itself, behind its size.
pub(super) struct Parts<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
    body: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Those of the record that `d` holds, and no other.
    pub fn read(mut d: Decoder<'a>) -> Result<Parts<'a>, RecordFault> {
        let attributes = d.i8();
        let timestamp_delta = d.varlong();
        let offset_delta = d.varint();
        let (Ok(_), Ok(timestamp_delta), Ok(offset_delta)) = (attributes, timestamp_delta, offset_delta)
        else {
            return Err(RecordFault::Structure);
        };
        let parts = Parts {
            timestamp_delta,
            offset_delta,
            body: d.rest(),
            key: read_bytes(&mut d)?,
            value: read_bytes(&mut d)?,
            headers: Headers::read(&mut d)?,
        };
        match d.is_empty() {
            true => Ok(parts),
            false => Err(RecordFault::Size),
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        let record = self.read().map_err(|fault| BatchError::Record { index, fault });
        self.index = if record.is_ok() { index + 1 } else { self.count };
        Some(record)
    }
}

/// The headers of a record, in order; a name may occur more than once.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    /// Invariant: `left` headers that were read once.
    rest: Decoder<'a>,
    left: usize,
}

impl<'a> Headers<'a> {
    fn read(d: &mut Decoder<'a>) -> Result<Headers<'a>, RecordFault> {
        // A header takes two bytes at least, so a count beyond the bytes that are left is a lie.
        let count = non_negative(d.varint()).filter(|&count| count <= d.rest().len());
        let headers = Headers {
            rest: d.clone(),
            left: count.ok_or(RecordFault::HeaderCount)?,
        };
        for _ in 0..headers.left {
            read_header(d)?;
        }
        Ok(headers)
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (Cow<'a, str>, Option<&'a [u8]>);

    /// The name (what is not UTF-8 in it replaced, as Kafka's clients do) and the value.
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (name, value) = read_header(&mut self.rest).expect("a header that was read once");
        Some((String::from_utf8_lossy(name), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

fn read_header<'a>(d: &mut Decoder<'a>) -> Result<Header<'a>, RecordFault> {
    let name = read_bytes(d)?.ok_or(RecordFault::Structure)?;
    Ok((name, read_bytes(d)?))
}

/// Bytes behind a varint length; a negative one is null.
fn read_bytes<'a>(d: &mut Decoder<'a>) -> Result<Option<&'a [u8]>, RecordFault> {
    let len = d.varint().map_err(|_| RecordFault::Structure)?;
    match usize::try_from(len) {
        Ok(len) => d.take(len).map(Some).map_err(|_| RecordFault::Structure),
        Err(_) => Ok(None),
    }
}

fn non_negative(value: Result<i32, DecodeError>) -> Option<usize> {
    value.ok().and_then(|value| usize::try_from(value).ok())
}
