//! What the fuzz targets in `fuzz/` do with any bytes as a file of a data directory, and every test run with those kept in `fuzz/corpus/`.
//! A fault is a panic, or more memory than a file of that size explains.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::{Offset, Timestamp};
use crate::io::OpenOptions;
use crate::io::fs::{self, File};
use crate::log::clean_start::{CleanStart, LogLeft, Token};
use crate::log::index::{Entry, Index, OffsetEntry, Place, TimeEntry};
use crate::log::txn_index::{AbortedTransaction, ENTRY_BYTES};
use crate::log::walk::{Source, Step, Walk, ready, scan_now};
use crate::log::{Log, LogOptions, Resume, checkpoint, clean_start, dir, names, snapshot};
use crate::wire::batch;

/// `bytes` as an offset index, and as a time index.
pub fn indexes(bytes: &[u8]) {
    index::<OffsetEntry>(bytes);
    index::<TimeEntry>(bytes);
}

/// What an index that opens says to every lookup lies in it, and is not above what was looked for where its entries rise.
fn index<E: Entry>(bytes: &[u8]) {
    let folder = Folder::new();
    let place = folder.place();
    folder.write(E::KIND, bytes);
    let Ok(index) = Index::<E>::open_now(&place) else {
        return;
    };
    assert_eq!(index.entry_count() * E::BYTES, bytes.len());
    let keys: Vec<i64> = bytes
        .chunks_exact(E::BYTES)
        .map(|entry| E::decode(entry).key())
        .collect();
    let rises = keys.is_sorted();
    let probes = keys.iter().flat_map(|key| [key.saturating_sub(1), *key]);
    for probe in probes.chain([i64::MIN, 0, i64::MAX]).take(PROBES_MAX) {
        let found = index.floor_now(&place, probe).expect("the file is there");
        assert!(found.is_none_or(|n| n < index.entry_count()));
        if rises {
            let floor = keys.partition_point(|key| *key <= probe).checked_sub(1);
            assert_eq!(found, floor, "the floor of {probe}");
        }
    }
}

/// Lookups for one input.
const PROBES_MAX: usize = 64;

/// `bytes` as a transaction index: what reads is written again as it was.
pub fn txn_indexes(bytes: &[u8]) {
    let (entries, _) = bytes.as_chunks::<ENTRY_BYTES>();
    for entry in entries {
        if let Ok(read) = AbortedTransaction::decode(entry) {
            assert_eq!(read.encode(), *entry);
        }
    }
}

/// `bytes` as a producer snapshot, as they are and with the CRC that they should have: what reads is written so that it reads the same.
pub fn snapshots(bytes: &[u8]) {
    snapshot(bytes);
    let mut mended = bytes.to_vec();
    if let Some((head, rest)) = mended.split_at_mut_checked(snapshot::COUNT_AT) {
        head[..2].copy_from_slice(&1i16.to_be_bytes());
        head[2..].copy_from_slice(&crate::base::crc32c(rest).to_be_bytes());
        snapshot(&mended);
    }
}

fn snapshot(bytes: &[u8]) {
    let Ok(states) = snapshot::decode(bytes) else {
        return;
    };
    let written = snapshot::encode(&states);
    let again = snapshot::decode(&written).expect("what was written reads");
    assert_eq!(snapshot::encode(&again), written);
}

/// `bytes` as each of the text files: what reads is written so that it reads the same.
pub fn texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(offsets) = checkpoint::decode_offsets(text) {
        assert_eq!(
            checkpoint::decode_offsets(&checkpoint::encode_offsets(&offsets)),
            Ok(offsets)
        );
    }
    if let Ok(epochs) = checkpoint::decode_epochs(text) {
        assert_eq!(
            checkpoint::decode_epochs(&checkpoint::encode_epochs(&epochs)),
            Ok(epochs)
        );
    }
    if let Ok(topic) = checkpoint::decode_partition_metadata(text) {
        let written = checkpoint::encode_partition_metadata(topic);
        assert_eq!(checkpoint::decode_partition_metadata(&written), Ok(topic));
    }
    if let Ok(properties) = dir::decode_properties(text) {
        let written = dir::encode_properties(&properties);
        assert_eq!(dir::decode_properties(&written), Ok(properties));
    }
    dir::decode_broker_epoch(text);
}

/// `bytes` as what a clean stop left, as they are and with the magic, the version and the CRC that they should have: what reads is a log
/// that can be, or is refused.
pub fn clean_starts(bytes: &[u8]) {
    clean_start(bytes);
    let mut mended = bytes.to_vec();
    if let Some((head, rest)) = mended.split_at_mut_checked(clean_start::TOKEN_AT) {
        let (crc_at, magic) = (clean_start::CRC_AT, clean_start::MAGIC);
        head[..magic.len()].copy_from_slice(&magic);
        head[magic.len()..crc_at].copy_from_slice(&clean_start::VERSION.to_le_bytes());
        head[crc_at..].copy_from_slice(&crate::base::crc32c(rest).to_le_bytes());
        clean_start(&mended);
    }
}

fn clean_start(bytes: &[u8]) {
    let token = bytes.get(clean_start::TOKEN_AT..clean_start::HEADER_BYTES);
    let Some(token) = token.and_then(|token| token.try_into().ok()).map(Token) else {
        assert!(CleanStart::decode(bytes, Token([0; 16])).is_err());
        return;
    };
    let Ok(read) = CleanStart::decode(bytes, token) else {
        return;
    };
    let folder = Folder::new();
    for left in read.partitions().filter_map(|partition| read.log(partition)) {
        folder.reopen(left);
    }
}

/// `bytes` as a segment: the walk over the headers and the scan of whole batches agree on how far it is good.
pub fn segments(bytes: &[u8]) {
    let folder = Folder::new();
    let file = folder.write(crate::log::names::LOG, bytes);
    let len = bytes.len() as u64;
    let scanned = scan_now(&file, len, Offset(0), |_, _, _| {}).expect("the file is there");
    let mut walk = Walk::new(Source::blocking(file), 0, len);
    let mut walked = 0;
    while let Step::Batch { position, header } = ready(walk.next()).expect("the file is there") {
        assert_eq!(position, walked);
        walked += header.size_bytes as u64;
    }
    assert!(scanned.valid_bytes <= walked && walked <= len);
    assert_eq!(scanned.problem.is_none(), scanned.valid_bytes == len);
    for batch in batch::batches(&bytes[..scanned.valid_bytes as usize]) {
        assert!(
            batch.is_ok_and(|batch| batch.crc_is_valid()),
            "a batch that was called valid"
        );
    }
}

/// A directory of its own for one input; gone with this.
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "it makes a directory")]
    pub fn new() -> Folder {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringlog-fuzz-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all_now(&path).expect("a temporary directory");
        Folder(path)
    }

    /// Where its segment at offset 0 lives.
    pub fn place(&self) -> Place {
        Place {
            dir: self.0.as_path().into(),
            base: Offset(0),
        }
    }

    /// Opens a log here as if it had been left so.
    fn reopen(&self, mut left: LogLeft) {
        let status = |path: &Path| fs::status_now(path).expect("it is there");
        if let Some(active) = left.segments.last().filter(|active| active.base >= 0) {
            let path = self.0.join(names::offset_file(Offset(active.base), names::LOG));
            let file = File::open_now(&path, OpenOptions::read_write_create()).expect("a temporary file");
            file.set_len_now(active.size_bytes.into())
                .expect("a hole takes no room");
            left.active_changed = status(&path).changed;
        }
        left.dir_changed = status(&self.0).changed;
        let (options, now) = (LogOptions::default(), Timestamp(0));
        let Some(log) = Log::reopen_now(self.0.as_path().into(), options, &left, Resume::default(), now)
        else {
            return;
        };
        assert!(log.start_offset() <= log.end_offset() && log.recovery_point() <= log.end_offset());
        assert!(log.size_bytes() >= u64::from(left.segments[0].size_bytes));
    }

    /// Makes a file of that segment.
    pub fn write(&self, kind: &str, bytes: &[u8]) -> File {
        let file = File::open_now(self.place().path(kind), OpenOptions::read_write_create_new());
        let file = file.expect("a temporary file");
        file.write_at_now(0, &[bytes]).expect("room for it");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to clear away.
        let _ = fs::remove_dir_all_now(&self.0);
    }
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
