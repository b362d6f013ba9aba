//! `.txnindex` files: the aborted transactions of a segment, each compared with the `.log` beside it.

use super::DataFile;
use super::beside::{Beside, Lost};
use super::output::{Line, Output, Place, Stop};
use crate::base::Offset;
use crate::log::header::BatchHeader;
use crate::log::txn_index::{AbortedTransaction, ENTRY_BYTES};

/// So many entries are read at once.
const PIECE_ENTRIES: usize = 1024;

/// Shows every entry: last offsets must rise, and each be that of a marker of its producer.
pub fn dump(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut log = Beside::open(file, output)?;
    let mut last = Offset::UNKNOWN;
    let mut position = 0;
    loop {
        let piece = file.read_now(position, PIECE_ENTRIES * ENTRY_BYTES)?;
        let (entries, rest) = piece.as_chunks::<ENTRY_BYTES>();
        for entry in entries {
            let place = Place::Byte(position);
            match AbortedTransaction::decode(entry) {
                Ok(entry) => show(&entry, place, &mut last, &mut log, output)?,
                Err(error) => output.problem(place, &error)?,
            }
            position += ENTRY_BYTES as u64;
        }
        if !rest.is_empty() {
            let what = format!("{} bytes behind the last whole entry", rest.len());
            return output.problem(Place::Byte(position), &what);
        }
        if entries.is_empty() {
            return Ok(());
        }
    }
}

fn show(
    entry: &AbortedTransaction,
    place: Place,
    last: &mut Offset,
    log: &mut Option<Beside>,
    output: &mut Output<'_>,
) -> Result<(), Stop> {
    let line = Line::new("aborted")
        .with("producerId", entry.producer_id.0)
        .with("firstOffset", entry.first_offset.0)
        .with("lastOffset", entry.last_offset.0)
        .with("lastStableOffset", entry.last_stable_offset.0);
    output.line(&line)?;
    if entry.first_offset > entry.last_offset {
        return output.problem(place, &"the transaction ends before it begins");
    }
    if entry.last_offset <= *last {
        return output.problem(place, &"the entry is not above the one before it");
    }
    *last = entry.last_offset;
    let Some(beside) = log else { return Ok(()) };
    match beside.batch_of(entry.last_offset)? {
        Ok(batch) if is_marker_of(entry, &batch) => Ok(()),
        Ok(_) | Err(Lost::NoBatch) => {
            let what = format!(
                "at offset {} the log has no marker of producer {}",
                entry.last_offset, entry.producer_id
            );
            output.problem(place, &what)
        }
        Err(Lost::Damaged(at)) => {
            *log = None;
            let what = format!("from here on not compared: the log beside it is damaged at byte {at}");
            output.problem(place, &what)
        }
    }
}

fn is_marker_of(entry: &AbortedTransaction, batch: &BatchHeader) -> bool {
    batch.is_control() && batch.producer_id == entry.producer_id
}
