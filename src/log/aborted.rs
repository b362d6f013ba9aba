//! The aborted transactions of a segment, in Kafka's `.txnindex` file (`AbortedTxn`, `TransactionIndex`): 34 bytes for each, in the
//! order of their ABORT markers, in the segment that holds the marker. A file that isn't there has none.
//!
//! The entries are not held in memory: what is kept is how many the file has, the last one, and a few new ones that were not
//! written yet. As with the other indexes, a file may lag behind its log while the segment is active; the upkeep brings it up to
//! date in the background, and recovery rebuilds it.

use std::io;
use std::path::PathBuf;

use crate::base::Offset;
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, in_words};
use crate::log::index::{IndexWrite, IndexWritten, Place};
use crate::log::names;
use crate::log::txn_index::{AbortedTransaction, ENTRY_BYTES};
use crate::log::walk::{Source, ready};

/// So many entries are read at once: 64 KiB.
const BLOCK_ENTRIES: usize = (64 << 10) / ENTRY_BYTES;

/// See the module.
#[derive(Debug)]
pub struct AbortedIndex {
    written: usize,
    last_written: Option<AbortedTransaction>,
    pending: Vec<AbortedTransaction>,
    /// No transaction of it began before.
    first_offset_min: Offset,
}

impl Default for AbortedIndex {
    /// Without entries, and without a file.
    fn default() -> AbortedIndex {
        AbortedIndex {
            written: 0,
            last_written: None,
            pending: Vec::new(),
            first_offset_min: Offset(i64::MAX),
        }
    }
}

impl AbortedIndex {
    /// The file as it is, every entry looked at. `InvalidData` when it can't be the segment's.
    pub fn open_now(place: &Place) -> io::Result<AbortedIndex> {
        let file = match File::open_now(place.path(names::TXN_INDEX), OpenOptions::read_only()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(AbortedIndex::default()),
            opened => opened?,
        };
        let len = file.len_now()?;
        if len % ENTRY_BYTES as u64 != 0 {
            return Err(not_an_index());
        }
        let mut entries = Entries {
            source: Source::blocking(file),
            next: 0,
            end: (len / ENTRY_BYTES as u64) as usize,
            block: Vec::new().into_iter(),
        };
        let mut index = AbortedIndex::default();
        while let Some(entry) = ready(entries.next())? {
            let before = index
                .last_written
                .map_or(place.base.0 - 1, |last| last.last_offset.0);
            if entry.last_offset.0 <= before {
                return Err(not_an_index());
            }
            index.written += 1;
            index.last_written = Some(entry);
            index.first_offset_min = index.first_offset_min.min(entry.first_offset);
        }
        Ok(index)
    }

    /// The file as it was when it was closed: so many entries, the newest of them `last`, none of a transaction that began before
    /// `first_offset_min`.
    pub fn closed(written: usize, last: AbortedTransaction, first_offset_min: Offset) -> AbortedIndex {
        AbortedIndex {
            written,
            last_written: Some(last),
            pending: Vec::new(),
            first_offset_min,
        }
    }

    /// How many entries the file has.
    pub fn written_count(&self) -> usize {
        self.written
    }

    /// No transaction of it began before.
    pub fn first_offset_min(&self) -> Offset {
        self.first_offset_min
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.last().is_none()
    }

    /// The newest entry.
    pub fn last(&self) -> Option<AbortedTransaction> {
        self.pending.last().copied().or(self.last_written)
    }

    /// How many entries the file has not yet.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Adds an entry whose marker lies behind every other's. The file gets it later.
    pub fn append(&mut self, entry: AbortedTransaction) {
        debug_assert!(
            self.last()
                .is_none_or(|last| last.last_offset < entry.last_offset)
        );
        self.pending.push(entry);
        self.first_offset_min = self.first_offset_min.min(entry.first_offset);
    }

    /// The writing of what the file has not yet, which may be nothing: then the file is there to be flushed. None without a file
    /// and without entries. One at a time, to be [finished](Self::finish_write).
    pub fn begin_write(&self, place: &Place) -> io::Result<Option<IndexWrite>> {
        if self.is_empty() {
            return Ok(None);
        }
        Ok(Some(IndexWrite {
            path: place.path(names::TXN_INDEX),
            file: match self.written {
                0 => None,
                _ => Some(self.file_now(place)?),
            },
            at: (self.written * ENTRY_BYTES) as u64,
            entries: self.pending.len(),
            bytes: self.encode_pending().into(),
        }))
    }

    /// Takes note of what a write has brought to the file.
    pub fn finish_write(&mut self, written: IndexWritten) {
        self.wrote(written.entries);
    }

    /// Writes to the page cache what the file has not yet, if anything, and makes the file for its first entry; says whether there
    /// was anything to do.
    pub fn write_now(&mut self, place: &Place) -> io::Result<bool> {
        if self.pending.is_empty() {
            return Ok(false);
        }
        let file = self.file_now(place)?;
        file.write_at_now((self.written * ENTRY_BYTES) as u64, &[&self.encode_pending()])?;
        self.wrote(self.pending.len());
        Ok(true)
    }

    /// The file, made anew where nothing was written.
    fn file_now(&self, place: &Place) -> io::Result<File> {
        let options = match self.written {
            0 => OpenOptions::read_write_truncate(),
            _ => OpenOptions::read_write(),
        };
        File::open_now(place.path(names::TXN_INDEX), options)
    }

    fn encode_pending(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.pending.len() * ENTRY_BYTES);
        self.pending.iter().for_each(|entry| bytes.extend(entry.encode()));
        bytes
    }

    fn wrote(&mut self, entries: usize) {
        self.written += entries;
        self.last_written = self.pending.drain(..entries).next_back().or(self.last_written);
    }

    /// Forgets the transactions whose markers lie at or behind `end`, in the file too.
    pub fn truncate_now(&mut self, place: &Place, end: Offset) -> io::Result<()> {
        self.pending.retain(|entry| entry.last_offset < end);
        if self.last_written.is_none_or(|last| last.last_offset < end) {
            return Ok(());
        }
        let file = File::open_now(place.path(names::TXN_INDEX), OpenOptions::read_write())?;
        let source = Source::blocking(file.clone());
        let (mut kept, mut above) = (0, self.written);
        while kept < above {
            let middle = kept + (above - kept) / 2;
            match ready(read_block(&source, middle, 1))?[0].last_offset < end {
                true => kept = middle + 1,
                false => above = middle,
            }
        }
        if kept == 0 {
            // An empty one would never be flushed, and what it had might come back.
            return self.clear_now(place);
        }
        file.set_len_now((kept * ENTRY_BYTES) as u64)?;
        *self = AbortedIndex::open_now(place)?;
        Ok(())
    }

    /// Forgets everything, and removes the file.
    pub fn clear_now(&mut self, place: &Place) -> io::Result<()> {
        match fs::remove_file_now(place.path(names::TXN_INDEX)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
        *self = AbortedIndex::default();
        Ok(())
    }

    /// Whether no transaction that began before `upper` was open behind the newest entry: those of later segments don't
    /// matter to a read that ends at `upper`.
    pub fn is_last_before(&self, upper: Offset) -> bool {
        self.last().is_some_and(|last| last.last_stable_offset >= upper)
    }

    /// Where its transactions are that have records or a marker from `from` on and began before `upper`, if it may have such.
    pub fn piece(&self, place: &Place, from: Offset, upper: Offset) -> Option<AbortedPiece> {
        let ends_behind = |last: AbortedTransaction| last.last_offset >= from;
        if self.first_offset_min >= upper || !self.last().is_some_and(ends_behind) {
            return None;
        }
        Some(AbortedPiece {
            path: place.path(names::TXN_INDEX),
            written: self
                .last_written
                .filter(|last| ends_behind(*last))
                .map_or(0, |_| self.written),
            pending: self.pending.clone(),
        })
    }
}

/// One segment's part of a search, without a borrow of the log.
#[derive(Debug)]
pub struct AbortedPiece {
    path: PathBuf,
    /// Entries to look at in the file; 0 where the file has nothing to say.
    written: usize,
    pending: Vec<AbortedTransaction>,
}

impl AbortedPiece {
    /// Shows `visit` the entries whose markers lie at or behind `from`, until it says that it has seen enough; whether it did. Every error
    /// names the file.
    pub async fn visit(
        self,
        from: Offset,
        source: &impl Fn(File) -> Source,
        mut visit: impl FnMut(AbortedTransaction) -> bool,
    ) -> io::Result<bool> {
        let is_enough = self.visit_written(from, source, &mut visit).await;
        if is_enough.map_err(|error| in_words(error, self.path.display()))? {
            return Ok(true);
        }
        let mut pending = self.pending.into_iter();
        Ok(pending.any(|entry| entry.last_offset >= from && visit(entry)))
    }

    async fn visit_written(
        &self,
        from: Offset,
        source: &impl Fn(File) -> Source,
        visit: &mut impl FnMut(AbortedTransaction) -> bool,
    ) -> io::Result<bool> {
        if self.written == 0 {
            return Ok(false);
        }
        let file = File::open_now(&self.path, OpenOptions::read_only())?;
        let mut entries = Entries::from_marker(source(file), self.written, from).await?;
        while let Some(entry) = entries.next().await? {
            if entry.last_offset >= from && visit(entry) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Goes over the entries of a file, a block at a time.
struct Entries {
    source: Source,
    next: usize,
    end: usize,
    block: std::vec::IntoIter<AbortedTransaction>,
}

impl Entries {
    /// The first `end` entries of a file, from somewhat before the first whose marker lies at or behind `from`.
    async fn from_marker(source: Source, end: usize, from: Offset) -> io::Result<Entries> {
        // Invariant: every marker before `next` lies before `from`, none from `above` on does.
        let (mut next, mut above) = (0, end);
        while above - next > BLOCK_ENTRIES {
            let middle = next + (above - next) / 2;
            if read_block(&source, middle, 1).await?[0].last_offset < from {
                next = middle + 1;
            } else {
                above = middle;
            }
        }
        Ok(Entries {
            source,
            next,
            end,
            block: Vec::new().into_iter(),
        })
    }

    async fn next(&mut self) -> io::Result<Option<AbortedTransaction>> {
        if self.block.len() == 0 && self.next < self.end {
            let count = BLOCK_ENTRIES.min(self.end - self.next);
            self.block = read_block(&self.source, self.next, count).await?.into_iter();
            self.next += count;
        }
        Ok(self.block.next())
    }
}

async fn read_block(source: &Source, from: usize, count: usize) -> io::Result<Vec<AbortedTransaction>> {
    let bytes = source
        .read_at((from * ENTRY_BYTES) as u64, count * ENTRY_BYTES)
        .await?;
    if bytes.len() < count * ENTRY_BYTES {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let entries = bytes.as_chunks().0.iter().map(|entry| {
        let entry = AbortedTransaction::decode(entry).ok();
        entry.filter(AbortedTransaction::is_sane)
    });
    entries.collect::<Option<_>>().ok_or_else(not_an_index)
}

fn not_an_index() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "not an index of the segment's aborted transactions",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ProducerId;
    use std::path::Path;

    const KAFKAS: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/kafka-transactions/data/txn-0"
    );

    fn place(dir: &Path, base: i64) -> Place {
        Place {
            dir: dir.into(),
            base: Offset(base),
        }
    }

    fn found(index: &AbortedIndex, place: &Place, from: i64, upper: i64) -> Vec<AbortedTransaction> {
        let mut found = Vec::new();
        if let Some(piece) = index.piece(place, Offset(from), Offset(upper)) {
            let visit = |entry| {
                found.push(entry);
                false
            };
            ready(piece.visit(Offset(from), &Source::blocking, visit)).unwrap();
        }
        found
    }

    fn entry(producer: i64, first: i64, last: i64, last_stable: i64) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: ProducerId(producer),
            first_offset: Offset(first),
            last_offset: Offset(last),
            last_stable_offset: Offset(last_stable),
        }
    }

    #[test]
    fn kafkas_file_reads_and_is_written_again_byte_for_byte() {
        let kafkas = place(Path::new(KAFKAS), 129);
        let index = AbortedIndex::open_now(&kafkas).unwrap();
        let entries = found(&index, &kafkas, 0, i64::MAX);
        let expected = [
            entry(0, 68, 143, 98),
            entry(2, 98, 156, 126),
            entry(3, 172, 174, 126),
            entry(0, 170, 200, 159),
        ];
        assert_eq!(entries, expected);
        let dir = tempfile::tempdir().unwrap();
        let ours = place(dir.path(), 129);
        let mut index = AbortedIndex::default();
        entries.iter().for_each(|entry| index.append(*entry));
        assert!(index.write_now(&ours).unwrap());
        assert!(!index.write_now(&ours).unwrap());
        let bytes = |place: &Place| std::fs::read(place.path(names::TXN_INDEX)).unwrap();
        assert_eq!(bytes(&ours), bytes(&kafkas));
    }

    #[test]
    fn a_file_that_is_not_there_has_none_and_none_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), 0);
        let mut index = AbortedIndex::open_now(&place).unwrap();
        assert!(index.is_empty());
        assert!(!index.write_now(&place).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(index.begin_write(&place).unwrap().is_none());
        index.append(entry(1, 0, 1, 2));
        index.write_now(&place).unwrap();
        let flushed = index.begin_write(&place).unwrap().unwrap();
        assert_eq!(
            flushed.entries, 0,
            "what was written is to be flushed all the same"
        );
        index.clear_now(&place).unwrap();
        index.clear_now(&place).unwrap();
        assert!(index.is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_is_not_the_segments_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), 10);
        let bytes = |entries: &[AbortedTransaction]| {
            let mut bytes = Vec::new();
            entries.iter().for_each(|entry| bytes.extend(entry.encode()));
            bytes
        };
        let good = bytes(&[entry(1, 3, 10, 11), entry(2, 5, 12, 13)]);
        let mut newer = good.clone();
        newer[1] = 1;
        for (bad, why) in [
            (good[..good.len() - 1].to_vec(), "torn"),
            (newer, "another version"),
            (bytes(&[entry(1, 3, 9, 11)]), "a marker before the segment"),
            (
                bytes(&[entry(1, 3, 12, 13), entry(2, 5, 12, 13)]),
                "markers that do not rise",
            ),
            (bytes(&[entry(1, 12, 12, 13)]), "a marker before its transaction"),
            (bytes(&[entry(1, -1, 12, 13)]), "an offset that none is"),
        ] {
            std::fs::write(place.path(names::TXN_INDEX), bad).unwrap();
            let refused = AbortedIndex::open_now(&place).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{why}");
        }
        std::fs::write(place.path(names::TXN_INDEX), good).unwrap();
        assert_eq!(
            AbortedIndex::open_now(&place).unwrap().last(),
            Some(entry(2, 5, 12, 13))
        );
    }

    /// More than two blocks of them, so that a search has something to halve.
    #[test]
    fn entries_are_found_wherever_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), 0);
        let count = 2 * BLOCK_ENTRIES as i64 + 500;
        let entries: Vec<_> = (0..count)
            .map(|n| entry(n % 7, (3 * n - 20).max(0), 3 * n + 2, (3 * n - 15).max(0)))
            .collect();
        let mut index = AbortedIndex::default();
        for (n, entry) in entries.iter().enumerate() {
            index.append(*entry);
            if n % 64 == 0 {
                index.write_now(&place).unwrap();
            }
        }
        assert!(!index.pending.is_empty() && index.written > 0);
        let check = |index: &AbortedIndex| {
            let last_in_file = index.last_written.unwrap().last_offset.0;
            let near_block = 3 * BLOCK_ENTRIES as i64;
            for from in (0..3 * count)
                .step_by(997)
                .chain([near_block, last_in_file, last_in_file + 1])
            {
                let expected = entries.iter().filter(|entry| entry.last_offset.0 >= from);
                let expected: Vec<_> = expected.copied().collect();
                assert_eq!(found(index, &place, from, i64::MAX), expected, "from {from}");
            }
            assert!(index.piece(&place, Offset(3 * count), Offset(i64::MAX)).is_none());
            assert!(index.piece(&place, Offset(0), Offset(0)).is_none());
        };
        check(&index);
        let piece = index.piece(
            &place,
            Offset(index.last_written.unwrap().last_offset.0 + 1),
            Offset(i64::MAX),
        );
        assert_eq!(piece.unwrap().written, 0, "the file has nothing to say");
        index.write_now(&place).unwrap();
        check(&index);
        check(&AbortedIndex::open_now(&place).unwrap());
    }
}
