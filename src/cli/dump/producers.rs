//! `.snapshot` files: a partition's producers.

use super::DataFile;
use super::output::{Line, Output, Place, Stop};
use crate::base::{Offset, crc32c, crc32c_append};
use crate::log::snapshot::{COUNT_AT, ENTRY_BYTES, Entry, HEADER_BYTES, Header};

/// So many entries are read at once.
const PIECE_ENTRIES: usize = 1024;

/// Shows every entry, of which a producer has one for each batch that is remembered, whether or not the CRC over them is right.
pub fn dump(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    let start = file.read_now(0, HEADER_BYTES)?;
    let header = match Header::decode(&start) {
        Ok(header) => header,
        Err(error) => return output.problem(Place::Byte(0), &error),
    };
    let mut crc = crc32c(&start[COUNT_AT..]);
    let mut count = 0;
    let mut position = HEADER_BYTES as u64;
    loop {
        let piece = file.read_now(position, PIECE_ENTRIES * ENTRY_BYTES)?;
        if piece.is_empty() {
            break;
        }
        crc = crc32c_append(crc, &piece);
        let (entries, rest) = piece.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            show(file, &Entry::decode(entry), Place::Byte(position), output)?;
            position += ENTRY_BYTES as u64;
        }
        count += entries.len() as u64;
        if !rest.is_empty() {
            let what = format!("{} bytes behind the last whole entry", rest.len());
            output.problem(Place::Byte(position), &what)?;
            break;
        }
    }
    if count != u64::from(header.count) {
        let what = format!("{count} entries, where {} were written", header.count);
        output.problem(Place::Byte(COUNT_AT as u64), &what)?;
    }
    if crc != header.crc {
        output.problem(Place::File, &"the snapshot's CRC does not match its bytes")?;
    }
    Ok(())
}

fn show(file: &DataFile, entry: &Entry, place: Place, output: &mut Output<'_>) -> Result<(), Stop> {
    let transaction = Some(entry.transaction_start.0).filter(|start| *start >= 0);
    let line = Line::new("producer")
        .with("producerId", entry.producer_id.0)
        .with("producerEpoch", entry.epoch.0)
        .with("coordinatorEpoch", entry.coordinator_epoch)
        .with("currentTxnFirstOffset", transaction)
        .with("lastSequence", entry.last_sequence)
        .with("lastOffset", entry.last_offset.0)
        .with("offsetDelta", entry.offset_delta)
        .with("timestamp", entry.timestamp.0);
    output.line(&line)?;
    // The file is named after the offset behind what it knows; one without a name of that kind has nothing to be held against.
    let is_behind = file.offset > Offset(0) && entry.last_offset >= file.offset;
    if is_behind {
        return output.problem(place, &"the producer wrote behind the snapshot's offset");
    }
    Ok(())
}
