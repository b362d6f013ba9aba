//! Walks the records of a batch, compressed or not, without holding a key or a value.
//!
//! What Kafka's broker does with a `PartialDefaultRecord`; here a record's size must also be that of its content.
//!
//! A small batch may decompress to 100 MiB, so whoever walks one may take turns: see [`Walk::new`]. With turns that are over at once
//! nothing here ever waits, and [`at_once`] has the result.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::record::Parts;
use super::{BatchError, BatchView, RecordFault, TimestampType};
use crate::base::Timestamp;
use crate::wire::compression::{CompressionError, Stream};
use crate::wire::decoder::Decoder;
use crate::wire::varint;

/// What a batch may decompress to: as much as a request could carry uncompressed by default
/// (`socket.request.max.bytes`). It bounds the time that one batch takes, not memory.
pub const DECOMPRESSED_BYTES_MAX: usize = 100 << 20;

/// Decompressed bytes in one turn: the slowest codec needs about a millisecond for them.
const TURN_BYTES: usize = 256 << 10;

/// What a broker looks at in a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glimpse {
    pub offset_delta: i32,
    pub timestamp: Timestamp,
    pub has_key: bool,
}

/// The records of a batch, in order.
pub(super) struct Walk<'a, T> {
    stream: Stream<'a>,
    /// Lets others go first.
    turn: T,
    /// Decompressed since the last turn.
    turn_bytes: usize,
    base_timestamp: i64,
    /// The time of all records, when it is the broker's.
    append_time: Option<Timestamp>,
    /// What the record under way has left of its size.
    record_left: usize,
}

/// Why a walk ends early.
enum Stop {
    Fault(RecordFault),
    Compression(CompressionError),
}

impl From<CompressionError> for Stop {
    fn from(error: CompressionError) -> Self {
        Stop::Compression(error)
    }
}

const STRUCTURE: Stop = Stop::Fault(RecordFault::Structure);

impl<'a, T: AsyncFn()> Walk<'a, T> {
    /// Begins at the first record. `turn` is called whenever enough was decompressed that others should go first.
    pub fn new(batch: &BatchView<'a>, turn: T) -> Result<Walk<'a, T>, BatchError> {
        let stream = Stream::open(batch.codec()?, batch.raw_records(), DECOMPRESSED_BYTES_MAX)?;
        Ok(Walk {
            stream,
            turn,
            turn_bytes: 0,
            base_timestamp: batch.base_timestamp().0,
            append_time: match batch.timestamp_type() {
                TimestampType::LogAppendTime => Some(batch.max_timestamp()),
                TimestampType::CreateTime => None,
            },
            record_left: 0,
        })
    }

    /// The next record, which is the batch's `index`-th.
    pub async fn record(&mut self, index: i32) -> Result<Glimpse, BatchError> {
        if self.stream.piece().is_empty() && !self.fill().await? {
            return Err(STRUCTURE.at(index));
        }
        match self.record_here() {
            Some(record) => Ok(record),
            None => self.read_record().await.map_err(|stop| stop.at(index)),
        }
    }

    /// The next record if it lies whole in the piece at hand, as nearly all do. What is wrong with another, [`read_record`] says.
    ///
    /// [`read_record`]: Self::read_record
    #[inline]
    fn record_here(&mut self) -> Option<Glimpse> {
        let piece = self.stream.piece();
        let mut rest = Decoder::new(piece);
        let size = usize::try_from(rest.varint().ok()?).ok()?;
        let parts = Parts::read(Decoder::new(rest.take(size).ok()?)).ok()?;
        let glimpse = self.glimpse(parts.timestamp_delta, parts.offset_delta, parts.key.is_some());
        let taken = piece.len() - rest.rest().len();
        self.stream.consume(taken);
        Some(glimpse)
    }

    fn glimpse(&self, timestamp_delta: i64, offset_delta: i32, has_key: bool) -> Glimpse {
        let timestamp = Timestamp(self.base_timestamp.wrapping_add(timestamp_delta));
        Glimpse {
            offset_delta,
            timestamp: self.append_time.unwrap_or(timestamp),
            has_key,
        }
    }

    /// Refuses anything behind the last record, the `index`-th; what all of them are, unpacked.
    pub async fn end(mut self, index: i32) -> Result<usize, BatchError> {
        if !self.fill().await? {
            return Ok(self.stream.filled_bytes());
        }
        let left = self.stream.piece().len();
        let fault = RecordFault::TrailingBytes { left };
        Err(BatchError::Record { index, fault })
    }

    /// Decompresses more where the last piece is used up; false at the end.
    async fn fill(&mut self) -> Result<bool, CompressionError> {
        if !self.stream.piece().is_empty() {
            return Ok(true);
        }
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            (self.turn)().await;
        }
        let has_more = self.stream.fill()?;
        self.turn_bytes += self.stream.piece().len();
        Ok(has_more)
    }

    async fn read_record(&mut self) -> Result<Glimpse, Stop> {
        self.record_left = varint::U32_BYTES_MAX;
        self.record_left = usize::try_from(self.varint().await?).map_err(|_| STRUCTURE)?;
        self.skip(1).await?;
        let timestamp_delta = varint::unzigzag64(self.uvarint(varint::U64_BYTES_MAX).await?);
        let offset_delta = self.varint().await?;
        let has_key = self.skip_field().await?;
        self.skip_field().await?;
        self.skip_headers().await?;
        if self.record_left > 0 {
            return Err(Stop::Fault(RecordFault::Size));
        }
        Ok(self.glimpse(timestamp_delta, offset_delta, has_key))
    }

    async fn skip_headers(&mut self) -> Result<(), Stop> {
        let count = usize::try_from(self.varint().await?)
            .ok()
            // A header takes two bytes at least, so a count beyond the bytes that are left is a lie.
            .filter(|&count| count <= self.record_left)
            .ok_or(Stop::Fault(RecordFault::HeaderCount))?;
        for _ in 0..count {
            let has_name = self.skip_field().await?;
            if !has_name {
                return Err(STRUCTURE);
            }
            self.skip_field().await?;
        }
        Ok(())
    }

    /// Passes over bytes behind their length; false for null.
    async fn skip_field(&mut self) -> Result<bool, Stop> {
        match usize::try_from(self.varint().await?) {
            Ok(len) => self.skip(len).await.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    async fn skip(&mut self, len: usize) -> Result<(), Stop> {
        self.record_left = self.record_left.checked_sub(len).ok_or(STRUCTURE)?;
        let mut left = len;
        while left > 0 {
            if !self.fill().await? {
                return Err(STRUCTURE);
            }
            let here = left.min(self.stream.piece().len());
            self.stream.consume(here);
            left -= here;
        }
        Ok(())
    }

    async fn varint(&mut self) -> Result<i32, Stop> {
        let value = self.uvarint(varint::U32_BYTES_MAX).await?;
        Ok(varint::unzigzag32(value as u32))
    }

    async fn uvarint(&mut self, bytes_max: usize) -> Result<u64, Stop> {
        let piece = self.stream.piece();
        let here = &piece[..piece.len().min(self.record_left)];
        match varint::read(here, bytes_max) {
            Ok((value, len)) => {
                self.stream.consume(len);
                self.record_left -= len;
                Ok(value)
            }
            Err(_) => self.uvarint_across_pieces(bytes_max).await,
        }
    }

    async fn uvarint_across_pieces(&mut self, bytes_max: usize) -> Result<u64, Stop> {
        let mut bytes = [0; varint::U64_BYTES_MAX];
        for at in 0..bytes_max {
            if self.record_left == 0 || !self.fill().await? {
                return Err(STRUCTURE);
            }
            bytes[at] = self.stream.piece()[0];
            self.stream.consume(1);
            self.record_left -= 1;
            if bytes[at] < 0x80 {
                let read = varint::read(&bytes[..=at], bytes_max);
                return read.map(|(value, _)| value).map_err(|_| STRUCTURE);
            }
        }
        Err(STRUCTURE)
    }
}

/// What `future` comes to that never waits.
pub(super) fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a walk waits for nothing but its turns"),
    }
}

impl Stop {
    fn at(self, index: i32) -> BatchError {
        match self {
            Stop::Fault(fault) => BatchError::Record { index, fault },
            Stop::Compression(error) => BatchError::Compression(error),
        }
    }
}
