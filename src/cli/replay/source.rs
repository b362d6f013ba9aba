//! What a replay reads: a recording's bytes in, its records out, one at a time.
//!
//! The format is told by content, not by name: a zstd frame is unpacked first; what then begins with `DBN` is
//! Databento's binary encoding, anything else is lines of text. No file is touched here.

use std::fmt;

use zstd::stream::raw::{Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use super::dbn_records::DbnRecords;
use crate::cli::lines::Lines;

/// A zstd frame's first four bytes (RFC 8878).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of every DBN stream, before its version byte.
const DBN_PREFIX: &[u8] = b"DBN";
/// How much is unpacked at a time; zstd's own recommended output size.
const INFLATE_BYTES: usize = 128 * 1024;

/// One record of a recording, borrowed until the next is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its position in the recording, from 0.
    pub position: u64,
    /// Its bytes as they stand in the file: a whole DBN record, or a line without its newline.
    pub payload: &'a [u8],
    /// When the feed had it (`ts_recv`, else `ts_event`), in ns since the Unix epoch.
    pub recorded_ns: Option<u64>,
    /// The instrument, where the format knows it.
    pub instrument_id: Option<u32>,
    /// The order, in a market-by-order recording.
    pub order_id: Option<u64>,
}

/// Why a recording can't be read further. The text says where.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceError(pub String);

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Turns a recording's bytes into records: [`Source::push`] bytes until [`Source::advance`] finds one.
pub struct Source {
    inflate: Option<Inflate>,
    records: Option<Records>,
    /// Bytes that came before there were enough to tell the format.
    undecided: Vec<u8>,
    ended: bool,
}

enum Records {
    Dbn(Box<DbnRecords>),
    Lines(Lines),
}

impl Source {
    /// A source whose file begins with `head`: at least four bytes, fewer only if the file is shorter. `head` is
    /// looked at, not taken: push it too.
    pub fn new(head: &[u8]) -> Result<Source, SourceError> {
        let inflate = if head.starts_with(&ZSTD_MAGIC) {
            Some(Inflate::new()?)
        } else {
            None
        };
        Ok(Source {
            inflate,
            records: None,
            undecided: Vec::new(),
            ended: false,
        })
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        match self.inflate.take() {
            None => self.push_plain(bytes),
            Some(mut inflate) => {
                let result = inflate.run(bytes, |plain| self.push_plain(plain));
                self.inflate = Some(inflate);
                result
            }
        }
    }

    /// Says that the file has ended: a record cut short is an error now, a last line without a newline a line.
    pub fn end(&mut self) -> Result<(), SourceError> {
        if self
            .inflate
            .as_ref()
            .is_some_and(|inflate| !inflate.between_frames)
        {
            return Err(SourceError("the file ends inside a zstd frame".into()));
        }
        self.ended = true;
        self.decide()
    }

    /// Moves to the next whole record; false when more bytes are needed, or after the end when there is none.
    pub fn advance(&mut self) -> Result<bool, SourceError> {
        match &mut self.records {
            None => Ok(false),
            Some(Records::Dbn(records)) => records.advance(self.ended),
            Some(Records::Lines(lines)) => lines.advance(self.ended).map_err(SourceError),
        }
    }

    /// The record that [`Source::advance`] moved to.
    pub fn item(&self) -> Item<'_> {
        match self.records.as_ref().expect("advance found a record") {
            Records::Dbn(records) => records.item(),
            Records::Lines(lines) => Item {
                position: lines.count() - 1,
                payload: lines.line(),
                recorded_ns: None,
                instrument_id: None,
                order_id: None,
            },
        }
    }

    /// Whether the records carry times and identities. Known after the first push of four bytes or the end.
    pub fn is_dbn(&self) -> bool {
        matches!(self.records, Some(Records::Dbn(_)))
    }

    fn push_plain(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        match &mut self.records {
            Some(Records::Dbn(records)) => records.push(bytes),
            Some(Records::Lines(lines)) => {
                lines.push(bytes);
                Ok(())
            }
            None => {
                self.undecided.extend_from_slice(bytes);
                if self.undecided.len() <= DBN_PREFIX.len() {
                    return Ok(());
                }
                self.decide()
            }
        }
    }

    fn decide(&mut self) -> Result<(), SourceError> {
        if self.records.is_some() {
            return Ok(());
        }
        let is_dbn = self.undecided.starts_with(DBN_PREFIX) && self.undecided.len() > DBN_PREFIX.len();
        self.records = Some(match is_dbn {
            true => Records::Dbn(Box::new(DbnRecords::new()?)),
            false => Records::Lines(Lines::default()),
        });
        let head = std::mem::take(&mut self.undecided);
        self.push_plain(&head)
    }
}

struct Inflate {
    decoder: ZstdDecoder<'static>,
    plain: Vec<u8>,
    /// Whether the last frame seen is whole: only then may the file end.
    between_frames: bool,
}

impl Inflate {
    fn new() -> Result<Inflate, SourceError> {
        let decoder = ZstdDecoder::new().map_err(|e| SourceError(format!("zstd: {e}")))?;
        Ok(Inflate {
            decoder,
            plain: vec![0; INFLATE_BYTES],
            between_frames: true,
        })
    }

    fn run(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut packed = InBuffer::around(bytes);
        loop {
            let mut plain = OutBuffer::around(&mut self.plain[..]);
            let hint = self
                .decoder
                .run(&mut packed, &mut plain)
                .map_err(|e| SourceError(format!("not a whole zstd file: {e}")))?;
            let filled = plain.pos() == plain.capacity();
            let unpacked = plain.pos();
            self.between_frames = hint == 0;
            take(&self.plain[..unpacked])?;
            // A full output buffer may hide more that needs no further input.
            if packed.pos() == bytes.len() && !filled {
                return Ok(());
            }
            if packed.pos() == bytes.len() && self.between_frames {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(file: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, SourceError> {
        let mut source = Source::new(&file[..file.len().min(4)])?;
        let mut payloads = Vec::new();
        for bytes in file.chunks(piece.max(1)) {
            source.push(bytes)?;
            while source.advance()? {
                payloads.push(source.item().payload.to_vec());
            }
        }
        source.end()?;
        while source.advance()? {
            payloads.push(source.item().payload.to_vec());
        }
        Ok(payloads)
    }

    #[test]
    fn lines_are_read_the_same_in_any_pieces() {
        let text = b"one\n\ntwo with spaces\r\nlast without newline";
        for piece in [1, 2, 3, 7, 100] {
            let lines = read_all(text, piece).unwrap();
            assert_eq!(
                lines,
                [&b"one"[..], b"", b"two with spaces\r", b"last without newline"],
                "{piece}"
            );
        }
    }

    #[test]
    fn packed_text_is_unpacked_frame_after_frame() {
        let mut file = zstd::encode_all(&b"a\nb\n"[..], 1).unwrap();
        file.extend(zstd::encode_all(&b"c\nd"[..], 1).unwrap());
        for piece in [1, 5, 1000] {
            assert_eq!(read_all(&file, piece).unwrap(), [b"a", b"b", b"c", b"d"]);
        }
    }

    #[test]
    fn a_much_larger_unpacked_text_comes_whole() {
        let text = b"0123456789\n".repeat(100_000);
        let file = zstd::encode_all(&text[..], 1).unwrap();
        assert_eq!(read_all(&file, 4096).unwrap().len(), 100_000);
    }

    #[test]
    fn a_zstd_file_cut_short_is_an_error() {
        let file = zstd::encode_all(&b"a\nb\n".repeat(1000)[..], 1).unwrap();
        let error = read_all(&file[..file.len() - 3], 4096).unwrap_err();
        assert_eq!(error.0, "the file ends inside a zstd frame");
    }

    #[test]
    fn tiny_and_empty_files_are_text() {
        assert_eq!(read_all(b"", 1).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(read_all(b"DBN", 1).unwrap(), [b"DBN"]);
        assert_eq!(read_all(b"x", 1).unwrap(), [b"x"]);
    }

    #[test]
    fn a_broken_dbn_header_is_an_error() {
        assert!(read_all(b"DBN\x09garbage and more of it", 100).is_err());
        assert!(read_all(b"DBN\x01\x10\x00\x00\x00shorter than said", 100).is_err());
    }
}
