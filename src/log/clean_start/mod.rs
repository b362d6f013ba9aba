//! The file that a clean stop leaves in a log directory, so that the next start opens its logs without reading them: what each was
//! like when it was closed.
//!
//! It is a cache. A start takes it away, and it counts only beside the `.kafka_cleanshutdown` of the same stop, which has the same
//! random [`Token`]: whoever else uses the directory in between, Apache Kafka for one, takes that file away and writes one of its own. Of
//! each log it is asked [once more](LogLeft::is_as_it_was_now) whether its directory is as it was left. What is missing here or is
//! doubtful is opened from its own files, the [ordinary way](crate::log::Log::open_now).
//!
//! The file, all numbers little-endian: 8 bytes magic, 4 version, 4 CRC-32C of everything behind it, 16 token; then for each log 16 bytes
//! topic id, 4 partition, 4 length, 8 zeros, and a [`LogLeft`] as `rkyv` has it, filled up to 16 bytes. `rkyv` checks each when it is
//! asked for.

mod left;
#[cfg(test)]
pub mod tests;

use std::fmt;
use std::io;
use std::path::Path;

use rkyv::rancor;
use rkyv::util::AlignedVec;

use crate::base::{PartitionIndex, TopicId, TopicPartition, crc32c};
use crate::io::fs;

pub use left::{AbortedLeft, IndexLeft, LogLeft, ProducersLeft, SegmentLeft, TimeIndexLeft};

/// Its name in the log directory.
pub const FILE: &str = "ringlog-clean-start";

/// The file is at most so large: 100,000 logs of five segments. Logs for which there is no room in it are opened from their own files.
pub const BYTES_MAX: usize = 64 << 20;

pub(super) const MAGIC: [u8; 8] = *b"RLCLEAN\n";
pub(super) const VERSION: u32 = 1;
const VERSION_AT: usize = 8;
pub(super) const CRC_AT: usize = 12;
/// The CRC covers the file from here on.
pub(super) const TOKEN_AT: usize = 16;
pub(super) const HEADER_BYTES: usize = 32;
const ENTRY_HEADER_BYTES: usize = 32;
/// What `rkyv` wants a value to be aligned to, at the least.
const ALIGNMENT: usize = 16;

const _: () = assert!(
    HEADER_BYTES.is_multiple_of(ALIGNMENT) && ENTRY_HEADER_BYTES.is_multiple_of(ALIGNMENT),
    "each log's bytes stand aligned"
);

/// Names one clean stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token(pub [u8; 16]);

/// One log's part of the file.
#[derive(Debug)]
pub struct Entry {
    partition: TopicPartition,
    bytes: AlignedVec,
}

/// What a clean stop left; empty where there is nothing that counts.
#[derive(Debug, Default)]
pub struct CleanStart {
    bytes: AlignedVec,
    /// Where each log's bytes are. By rising partition.
    places: Vec<(TopicPartition, Place)>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    from: u32,
    len: u32,
}

/// Why the file doesn't count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It isn't one.
    Magic,
    /// Another version of this software wrote it.
    Version(u32),
    /// Its bytes are not the ones that were written.
    Crc,
    /// It is of another stop.
    Token,
    /// It doesn't consist of whole entries, each of another log.
    Entries,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Doubt::Magic => f.write_str("not a file of that kind"),
            Doubt::Version(version) => write!(f, "unknown version {version}"),
            Doubt::Crc => f.write_str("its CRC does not match"),
            Doubt::Token => f.write_str("of another stop"),
            Doubt::Entries => f.write_str("its entries make no sense"),
        }
    }
}

impl std::error::Error for Doubt {}

impl Entry {
    /// One log's; none of a log that can't be written so.
    pub fn new(partition: TopicPartition, left: &LogLeft) -> Option<Entry> {
        let bytes = rkyv::to_bytes::<rancor::Error>(left).ok()?;
        Some(Entry { partition, bytes })
    }

    fn encoded_bytes(&self) -> usize {
        ENTRY_HEADER_BYTES + self.bytes.len().next_multiple_of(ALIGNMENT)
    }

    fn encode(&self, file: &mut Vec<u8>) {
        let end = file.len() + self.encoded_bytes();
        file.extend(self.partition.topic.0);
        file.extend(self.partition.partition.0.to_le_bytes());
        file.extend((self.bytes.len() as u32).to_le_bytes());
        file.extend([0; 8]);
        file.extend_from_slice(&self.bytes);
        file.resize(end, 0);
    }
}

/// The file's bytes; of the entries as many as there is room for.
pub fn encode(token: Token, mut entries: Vec<Entry>) -> Vec<u8> {
    entries.sort_by_key(|entry| entry.partition);
    let mut room = BYTES_MAX - HEADER_BYTES;
    entries.retain(|entry| match room.checked_sub(entry.encoded_bytes()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    });
    let mut bytes = Vec::with_capacity(BYTES_MAX - room);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(token.0);
    entries.iter().for_each(|entry| entry.encode(&mut bytes));
    let crc = crc32c(&bytes[TOKEN_AT..]);
    bytes[CRC_AT..TOKEN_AT].copy_from_slice(&crc.to_le_bytes());
    bytes
}

impl CleanStart {
    /// Reads [`encode`].
    pub fn decode(bytes: &[u8], token: Token) -> Result<CleanStart, Doubt> {
        let header = bytes.get(..HEADER_BYTES).ok_or(Doubt::Magic)?;
        if header[..VERSION_AT] != MAGIC {
            return Err(Doubt::Magic);
        }
        match int_at(header, VERSION_AT) {
            VERSION => {}
            version => return Err(Doubt::Version(version)),
        }
        if int_at(header, CRC_AT) != crc32c(&bytes[TOKEN_AT..]) {
            return Err(Doubt::Crc);
        }
        if header[TOKEN_AT..] != token.0 {
            return Err(Doubt::Token);
        }
        let mut aligned = AlignedVec::with_capacity(bytes.len());
        aligned.extend_from_slice(bytes);
        Ok(CleanStart {
            places: places(bytes)?,
            bytes: aligned,
        })
    }

    /// What was left of a partition's log; none where the file doesn't say, or says what can't be.
    pub fn log(&self, partition: TopicPartition) -> Option<LogLeft> {
        let found = self.places.binary_search_by_key(&partition, |(known, _)| *known);
        let (_, place) = self.places[found.ok()?];
        let bytes = &self.bytes[place.from as usize..][..place.len as usize];
        rkyv::from_bytes::<LogLeft, rancor::Error>(bytes).ok()
    }

    /// Which logs it knows, by rising partition.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        self.places.iter().map(|(partition, _)| *partition)
    }

    /// How many logs it knows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Where the entries of a whole file are. Takes no more memory than there are entries.
fn places(bytes: &[u8]) -> Result<Vec<(TopicPartition, Place)>, Doubt> {
    let mut places: Vec<(TopicPartition, Place)> = Vec::new();
    let mut at = HEADER_BYTES;
    while at < bytes.len() {
        let header = bytes.get(at..at + ENTRY_HEADER_BYTES).ok_or(Doubt::Entries)?;
        let partition = TopicPartition {
            topic: TopicId(header[..16].try_into().expect("sixteen bytes")),
            partition: PartitionIndex(int_at(header, 16) as i32),
        };
        let len = int_at(header, 20);
        let from = at + ENTRY_HEADER_BYTES;
        at = from + (len as usize).next_multiple_of(ALIGNMENT);
        let rises = places.last().is_none_or(|(last, _)| *last < partition);
        if at > bytes.len() || !rises {
            return Err(Doubt::Entries);
        }
        let from = u32::try_from(from).map_err(|_| Doubt::Entries)?;
        places.push((partition, Place { from, len }));
    }
    Ok(places)
}

fn int_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Writes the file into the log directory `dir`, durably.
pub fn write_now(dir: &Path, token: Token, entries: Vec<Entry>) -> io::Result<()> {
    fs::write_whole_now(dir.join(FILE), &encode(token, entries))
}

/// What the clean stop of that token left in the log directory `dir`. Where that can't be used it is told, and nothing is.
pub fn read_now(dir: &Path, token: Token) -> CleanStart {
    let path = dir.join(FILE);
    let decoded = match fs::read_whole_now(&path, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return CleanStart::default(),
        Err(error) => Err(error.to_string()),
        Ok(bytes) => CleanStart::decode(&bytes, token).map_err(|doubt| doubt.to_string()),
    };
    decoded.unwrap_or_else(|reason| {
        tracing::warn!("{}: {reason}: the logs are opened without it", path.display());
        CleanStart::default()
    })
}

/// Takes the file away from the log directory `dir`, if it is there. One that stays has no effect: its stop's other file is gone.
pub fn remove_now(dir: &Path) {
    let path = dir.join(FILE);
    match fs::remove_file_now(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("{} can't be removed: {error}", path.display());
        }
        _ => {}
    }
}
