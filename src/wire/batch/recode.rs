//! A batch in another codec.
//!
//! The records themselves stay as they are, to the byte: what they hold beside keys, values and headers counts from the
//! batch's own first offset and first time, and both stay. (Kafka's `LogValidator.buildRecordsAndAssignOffsets` writes each record
//! anew, and gets the same from what its clients send.) Piece by piece, so that neither the records nor the turn of other tasks
//! depends on what a batch unpacks to.

use bytes::BytesMut;

use super::edit::{put, set_crc};
use super::{BatchError, BatchView, Unfit, layout};
use crate::wire::compression::{Compressor, Effort, Stream};

/// Unpacked bytes in one turn: gzip needs a millisecond or two for them. The highest levels of zstd and lz4 need ten times that.
pub(super) const TURN_BYTES: usize = 64 << 10;

/// What stays of a batch's attributes beside the codec; Kafka's rewritten batches have no others either.
const ATTRIBUTES_KEPT: i16 = layout::LOG_APPEND_TIME | layout::TRANSACTIONAL;

/// A sound batch, whose records are `payload_bytes` unpacked, packed by `effort`; with a `turn` for others after every
/// [`TURN_BYTES`].
///
/// # Errors
/// More than `size_bytes_max`, or what [`Stream`] finds wrong.
pub(super) async fn recode(
    batch: &BatchView<'_>,
    payload_bytes: usize,
    effort: Effort,
    size_bytes_max: usize,
    turn: impl AsyncFn(),
) -> Result<BytesMut, Unfit> {
    let mut records =
        Stream::open(batch.codec()?, batch.raw_records(), payload_bytes).map_err(BatchError::from)?;
    let head = BytesMut::from(&batch.bytes()[..layout::RECORDS]);
    let mut compressor = Compressor::new(effort, payload_bytes, head);
    let mut turn_bytes = 0;
    while records.fill().map_err(BatchError::from)? {
        if turn_bytes >= TURN_BYTES {
            turn_bytes = 0;
            turn().await;
        }
        let piece = records.piece();
        let here = piece.len().min(TURN_BYTES - turn_bytes);
        compressor.write(&piece[..here]);
        records.consume(here);
        turn_bytes += here;
        check_size(compressor.buffered_bytes(), size_bytes_max)?;
    }
    let recoded = compressor.finish();
    check_size(recoded.len(), size_bytes_max)?;
    Ok(with_header(recoded, batch, effort))
}

fn check_size(size_bytes: usize, size_bytes_max: usize) -> Result<(), Unfit> {
    match size_bytes <= size_bytes_max {
        true => Ok(()),
        false => Err(Unfit::TooLargeRecoded { size_bytes_max }),
    }
}

/// `recoded`, which begins with the header of `batch`, with what differs in it.
fn with_header(mut recoded: BytesMut, batch: &BatchView<'_>, effort: Effort) -> BytesMut {
    let length = (recoded.len() - layout::LENGTH_OVERHEAD) as i32;
    let attributes = batch.attributes() & ATTRIBUTES_KEPT | i16::from(effort.codec.id());
    put(&mut recoded, layout::LENGTH, length.to_be_bytes());
    put(&mut recoded, layout::ATTRIBUTES, attributes.to_be_bytes());
    set_crc(&mut recoded);
    recoded
}

#[cfg(test)]
#[path = "recode_tests.rs"]
mod tests;
