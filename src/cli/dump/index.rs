//! `.index` and `.timeindex` files, each entry compared with the `.log` beside it.

use std::io;

use super::DataFile;
use super::beside::{Beside, Lost};
use super::output::{Line, Output, Place, Stop};
use crate::base::Offset;
use crate::log::index::{Entry, OffsetEntry, TimeEntry};

/// So many entries are read at once.
const PIECE_ENTRIES: usize = 4096;

/// Shows an offset index: both offsets and positions must rise, and the batch at each position hold the offset.
pub fn dump_offsets(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut check = Check::begin(file, output)?;
    let mut last: Option<OffsetEntry> = None;
    each_entry(file, output, |place, entry: OffsetEntry, output| {
        let offset = check.offset(entry.relative_offset);
        let line = Line::new("entry")
            .with("offset", offset.0)
            .with("position", entry.position);
        output.line(&line)?;
        let rises = last.is_none_or(|last| {
            entry.relative_offset > last.relative_offset && entry.position > last.position
        });
        let position = u64::try_from(entry.position)
            .ok()
            .filter(|_| rises && entry.relative_offset >= 0);
        let Some(position) = position else {
            return output.problem(place, &"the entry is not above the one before it");
        };
        last = Some(entry);
        let Some(found) = check.beside(|log| log.batch_at(position))? else {
            return Ok(());
        };
        match found {
            Ok(batch) if (batch.base_offset..=batch.last_offset).contains(&offset) => Ok(()),
            Ok(batch) => {
                let what = format!(
                    "the batch at byte {position} of the log holds offsets {} to {}",
                    batch.base_offset, batch.last_offset
                );
                output.problem(place, &what)
            }
            Err(Lost::NoBatch) => {
                let what = format!("no batch begins at byte {position} of the log");
                output.problem(place, &what)
            }
            Err(Lost::Damaged(at)) => check.leave(at, output),
        }
    })
}

/// Shows a time index: timestamps must rise and offsets not fall, and up to the batch that holds the offset the log's largest timestamp
/// must be the entry's.
pub fn dump_times(file: &DataFile, output: &mut Output<'_>) -> Result<(), Stop> {
    let mut check = Check::begin(file, output)?;
    let mut last: Option<TimeEntry> = None;
    each_entry(file, output, |place, entry: TimeEntry, output| {
        let offset = check.offset(entry.relative_offset);
        let line = Line::new("entry")
            .with("timestamp", entry.timestamp.0)
            .with("offset", offset.0);
        output.line(&line)?;
        let rises = last.is_none_or(|last| {
            entry.timestamp > last.timestamp && entry.relative_offset >= last.relative_offset
        });
        if !rises || entry.relative_offset < 0 {
            return output.problem(place, &"the entry is not above the one before it");
        }
        last = Some(entry);
        let found = check.beside(|log| Ok(log.batch_of(offset)?.map(|_| log.max_timestamp())))?;
        match found {
            None => Ok(()),
            Some(Ok(max)) if max == entry.timestamp => Ok(()),
            Some(Ok(max)) => {
                let what = format!("up to offset {offset} the log's largest timestamp is {}", max.0);
                output.problem(place, &what)
            }
            Some(Err(Lost::NoBatch)) => {
                output.problem(place, &format!("no batch of the log holds offset {offset}"))
            }
            Some(Err(Lost::Damaged(at))) => check.leave(at, output),
        }
    })
}

/// What entries are held against.
struct Check {
    base: Offset,
    log: Option<Beside>,
}

impl Check {
    fn begin(file: &DataFile, output: &mut Output<'_>) -> Result<Check, Stop> {
        Ok(Check {
            base: file.offset,
            log: Beside::open(file, output)?,
        })
    }

    fn offset(&self, relative: i32) -> Offset {
        Offset(self.base.0.saturating_add(relative.into()))
    }

    /// What the log says, if there is one that can be asked.
    fn beside<T>(&mut self, ask: impl FnOnce(&mut Beside) -> io::Result<T>) -> io::Result<Option<T>> {
        self.log.as_mut().map(ask).transpose()
    }

    /// Compares no more: the log can't be gone through past its byte `at`.
    fn leave(&mut self, at: u64, output: &mut Output<'_>) -> Result<(), Stop> {
        self.log = None;
        let what = format!("from here on not compared: the log beside it is damaged at byte {at}");
        output.problem(Place::File, &what)
    }
}

/// Hands over every entry with its place. Of the empty ones that Kafka makes ahead, and cuts off when it is stopped, the number is told.
fn each_entry<E: Entry>(
    file: &DataFile,
    output: &mut Output<'_>,
    mut each: impl FnMut(Place, E, &mut Output<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let entry_bytes = E::BYTES as u64;
    let whole_bytes = file.size_bytes - file.size_bytes % entry_bytes;
    let mut empty_from = None;
    let mut position = 0;
    while position < whole_bytes {
        let piece = file.read_now(position, PIECE_ENTRIES * E::BYTES)?;
        if piece.len() < E::BYTES {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let entries: Vec<&[u8]> = piece.chunks_exact(E::BYTES).collect();
        for (index, bytes) in entries.iter().enumerate() {
            let is_empty = |bytes: &&[u8]| bytes.iter().all(|byte| *byte == 0);
            // The first entry may be one of zeros, if it isn't the first of many.
            let is_ahead = is_empty(bytes) && (position > 0 || entries.get(index + 1).is_some_and(is_empty));
            match (is_ahead, empty_from) {
                (true, _) => empty_from = empty_from.or(Some(position)),
                (false, Some(_)) => output.problem(Place::Byte(position), &"an entry behind empty ones")?,
                (false, None) => {}
            }
            if !is_ahead {
                empty_from = None;
                each(Place::Byte(position), E::decode(bytes), output)?;
            }
            position += entry_bytes;
        }
    }
    if let Some(from) = empty_from {
        let what = format!("{} empty entries, made ahead", (whole_bytes - from) / entry_bytes);
        output.note(Place::Byte(from), &what)?;
    }
    if whole_bytes < file.size_bytes {
        let left = file.size_bytes - whole_bytes;
        let what = format!("{left} bytes behind the last whole entry");
        output.problem(Place::Byte(whole_bytes), &what)?;
    }
    Ok(())
}
