//! The `.log` beside an index, gone through once while the entries are: both rise.

use std::io;
use std::path::{Path, PathBuf};

use super::output::{Output, Place, Stop};
use super::{DataFile, kind, name_of};
use crate::base::{Offset, Timestamp};
use crate::io::OpenOptions;
use crate::io::fs::{self, File};
use crate::log::header::{BatchHeader, HEADER_BYTES};
use crate::log::names;
use crate::log::walk::{Source, Step, Walk, ready};

/// Where a walk over the log stands.
pub struct Beside {
    walk: Walk,
    at: At,
    /// The largest timestamp up to the batch at hand.
    max_timestamp: Timestamp,
}

#[derive(Clone, Copy)]
enum At {
    Start,
    Batch(u64, BatchHeader),
    End,
}

/// Why an entry can't be compared.
pub enum Lost {
    /// The log ends before it, or has a gap there.
    NoBatch,
    /// The log itself is damaged at this byte.
    Damaged(u64),
}

impl Beside {
    /// Opens the log of the same segment; says so if there is none.
    pub fn open(file: &DataFile, output: &mut Output<'_>) -> Result<Option<Beside>, Stop> {
        let named = candidates(file)
            .iter()
            .find_map(|path| open_now(path).transpose());
        let Some(log) = named.or_else(|| spare_now(file).transpose()).transpose()? else {
            output.note(Place::File, &"no .log beside it to compare it with")?;
            return Ok(None);
        };
        let end = log.len_now()?;
        Ok(Some(Beside {
            walk: Walk::new(Source::blocking(log), 0, end),
            at: At::Start,
            max_timestamp: Timestamp::NONE,
        }))
    }

    /// The batch that begins at `position`. Positions that are asked for must not fall.
    pub fn batch_at(&mut self, position: u64) -> io::Result<Result<BatchHeader, Lost>> {
        let found = self.advance(|at, _| at < position)?;
        Ok(found.and_then(|(at, header)| match at == position {
            true => Ok(header),
            false => Err(Lost::NoBatch),
        }))
    }

    /// The batch that holds `offset`. Offsets that are asked for must not fall.
    pub fn batch_of(&mut self, offset: Offset) -> io::Result<Result<BatchHeader, Lost>> {
        let found = self.advance(|_, header| header.last_offset < offset)?;
        Ok(found.and_then(|(_, header)| match header.base_offset <= offset {
            true => Ok(header),
            false => Err(Lost::NoBatch),
        }))
    }

    /// The largest timestamp up to the batch that was found last.
    pub fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    /// Goes on to the first batch that doesn't lie before what is looked for.
    fn advance(
        &mut self,
        lies_before: impl Fn(u64, &BatchHeader) -> bool,
    ) -> io::Result<Result<(u64, BatchHeader), Lost>> {
        loop {
            match self.at {
                At::Batch(position, header) if !lies_before(position, &header) => {
                    return Ok(Ok((position, header)));
                }
                At::End => return Ok(Err(Lost::NoBatch)),
                At::Start | At::Batch(..) => {}
            }
            match ready(self.walk.next())? {
                Step::Batch { position, header } => {
                    self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
                    self.at = At::Batch(position, header);
                }
                Step::End => self.at = At::End,
                Step::Bad { position, .. } => {
                    self.at = At::End;
                    return Ok(Err(Lost::Damaged(position)));
                }
            }
        }
    }
}

/// The names that the log may have: gone or half-made as the index is, or not (any more).
fn candidates(file: &DataFile) -> Vec<PathBuf> {
    let name = name_of(&file.path);
    let (_, suffix) = kind::split_suffix(&name);
    let log = names::offset_file(file.offset, names::LOG);
    [suffix, ""]
        .iter()
        .map(|suffix| file.path.with_file_name(format!("{log}{suffix}")))
        .collect()
}

/// The log of a segment that began in a spare file: until it is sealed, the file has the name that it was made under, and its first batch
/// tells whose it is.
fn spare_now(file: &DataFile) -> io::Result<Option<File>> {
    let dir = file.path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    for entry in fs::read_dir_now(dir)? {
        let name = entry.name.to_string_lossy();
        if names::parse_offset_file(&name)
            .is_none_or(|named| ![names::SPARE, names::NEXT].contains(&named.kind))
        {
            continue;
        }
        let Some(spare) = open_now(&dir.join(&entry.name))? else {
            continue;
        };
        let mut start = [0; HEADER_BYTES];
        let read = spare.read_at_now(0, &mut start)?;
        if BatchHeader::parse(&start[..read]).is_ok_and(|first| first.base_offset == file.offset) {
            return Ok(Some(spare));
        }
    }
    Ok(None)
}

fn open_now(path: &Path) -> io::Result<Option<File>> {
    match File::open_now(path, OpenOptions::read_only()) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
