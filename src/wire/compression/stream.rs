//! Decompression piece by piece, whose memory does not depend on what comes out.

use std::cell::Cell;
use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Operation};

use super::{Codec, CompressionError, lz4, snappy};

/// The largest zstd window that is read, as a power of two: the 8 MiB that RFC 8878 asks of every decoder. All
/// levels of zstd up to 19 stay within it.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What gzip and zstd are asked for at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The largest block of LZ4's frame format. A bare snappy block may be larger; the room for it is given back.
const KEPT_BYTES_MAX: usize = 4 << 20;

thread_local! {
    /// Each core's one scratch: a batch must not pay for a decoder of its own.
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { out: Vec::new(), zstd: None }) };
}

/// At most [`KEPT_BYTES_MAX`] between two streams, and a zstd decoder with the last window that it needed.
#[derive(Default)]
struct Scratch {
    out: Vec<u8>,
    zstd: Option<zstd::stream::raw::Decoder<'static>>,
}

/// Compressed bytes, decompressed into pieces one after the other.
///
/// The memory for it is the core's scratch: 64 KiB for gzip (and 43 KiB of its own) and zstd (and a window of at most
/// 2^[`ZSTD_WINDOW_LOG_MAX`]), for lz4 and snappy what one block comes to.
///
/// # Errors
/// Damaged data, or more than the cap that it was opened with.
pub struct Stream<'a> {
    source: Source<'a>,
    codec: Codec,
    scratch: Scratch,
    /// What is not consumed yet of the last piece, which lies in the scratch or, not compressed, in the source.
    at: usize,
    end: usize,
    /// What may still come.
    left: usize,
    size_bytes_max: usize,
}

enum Source<'a> {
    Plain(&'a [u8]),
    Gzip(MultiGzDecoder<&'a [u8]>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Blocks<'a>),
    Zstd { rest: &'a [u8], inside_frame: bool },
}

impl<'a> Stream<'a> {
    /// What `bytes` decompress to, at most `size_bytes_max` of it.
    pub fn open(
        codec: Codec,
        bytes: &'a [u8],
        size_bytes_max: usize,
    ) -> Result<Stream<'a>, CompressionError> {
        let mut stream = Stream {
            source: Source::Plain(bytes),
            codec,
            scratch: SCRATCH.take(),
            at: 0,
            end: 0,
            left: size_bytes_max,
            size_bytes_max,
        };
        stream.source = match codec {
            Codec::None => Source::Plain(bytes),
            Codec::Gzip => Source::Gzip(MultiGzDecoder::new(bytes)),
            Codec::Snappy => Source::Snappy(snappy::Blocks::open(bytes)?),
            Codec::Lz4 => Source::Lz4(lz4::Blocks::open(bytes)?),
            Codec::Zstd => {
                stream.scratch.begin_zstd()?;
                Source::Zstd {
                    rest: bytes,
                    inside_frame: false,
                }
            }
        };
        Ok(stream)
    }

    /// What is at hand and not consumed; empty before the first [`Stream::fill`].
    pub fn piece(&self) -> &[u8] {
        let bytes = match &self.source {
            Source::Plain(bytes) => bytes,
            _ => &self.scratch.out[..],
        };
        &bytes[self.at..self.end]
    }

    /// Marks the first `len` bytes of the piece as consumed.
    pub fn consume(&mut self, len: usize) {
        self.at += len;
        assert!(self.at <= self.end, "consumed what is not there");
    }

    /// Gets the next piece if all of this one is consumed; false at the end.
    pub fn fill(&mut self) -> Result<bool, CompressionError> {
        while self.at == self.end {
            let Some(size) = self.next()? else {
                return Ok(false);
            };
            self.left = self.left.checked_sub(size).ok_or(CompressionError::TooLarge {
                codec: self.codec,
                size_bytes_max: self.size_bytes_max,
            })?;
        }
        Ok(true)
    }

    /// All that was filled so far.
    pub fn filled_bytes(&self) -> usize {
        self.size_bytes_max - self.left
    }

    /// Replaces the piece: the new one's size, which may be 0, or none at the end.
    fn next(&mut self) -> Result<Option<usize>, CompressionError> {
        if let Source::Plain(bytes) = self.source {
            let size = bytes.len() - self.end;
            self.end = bytes.len();
            return Ok((size > 0).then_some(size));
        }
        (self.at, self.end) = (0, 0);
        let corrupt = CompressionError::Corrupt { codec: self.codec };
        let out = &mut self.scratch.out;
        let size = match &mut self.source {
            Source::Plain(_) => unreachable!("returned above"),
            Source::Gzip(decoder) => {
                let read = decoder.read(room(out)).map_err(|_| corrupt)?;
                (read > 0).then_some(read)
            }
            Source::Snappy(blocks) => match blocks.read(out, self.left) {
                // Of the whole stream's cap, not of what is left of it.
                Err(CompressionError::TooLarge { codec, .. }) => {
                    let size_bytes_max = self.size_bytes_max;
                    return Err(CompressionError::TooLarge {
                        codec,
                        size_bytes_max,
                    });
                }
                read => read?,
            },
            Source::Lz4(blocks) => blocks.read(out)?,
            Source::Zstd { rest, inside_frame } => self.scratch.next_zstd(rest, inside_frame)?,
        };
        self.end = size.unwrap_or(0);
        Ok(size)
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        if scratch.out.capacity() > KEPT_BYTES_MAX {
            scratch.out.truncate(KEPT_BYTES_MAX);
            scratch.out.shrink_to(KEPT_BYTES_MAX);
        }
        // A thread that is ending has no scratch any more.
        let _ = SCRATCH.try_with(|kept| kept.set(scratch));
    }
}

impl Scratch {
    fn begin_zstd(&mut self) -> Result<(), CompressionError> {
        let decoder = match self.zstd.take() {
            Some(mut decoder) => decoder.reinit().map(|()| decoder),
            None => new_zstd_decoder(),
        };
        self.zstd = Some(decoder.map_err(|_| ZSTD_CORRUPT)?);
        Ok(())
    }

    fn next_zstd(
        &mut self,
        rest: &mut &[u8],
        inside_frame: &mut bool,
    ) -> Result<Option<usize>, CompressionError> {
        let decoder = self.zstd.as_mut().expect("begun");
        if rest.is_empty() && !*inside_frame {
            return Ok(None);
        }
        let status = decoder
            .run_on_buffers(rest, room(&mut self.out))
            .map_err(|_| ZSTD_CORRUPT)?;
        *inside_frame = status.remaining != 0;
        *rest = &rest[status.bytes_read..];
        match (status.bytes_read, status.bytes_written) {
            (0, 0) if *inside_frame => Err(ZSTD_CORRUPT),
            (_, written) => Ok(Some(written)),
        }
    }
}

const ZSTD_CORRUPT: CompressionError = CompressionError::Corrupt { codec: Codec::Zstd };

fn new_zstd_decoder() -> std::io::Result<zstd::stream::raw::Decoder<'static>> {
    let mut decoder = zstd::stream::raw::Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    Ok(decoder)
}

/// Room for one piece.
fn room(out: &mut Vec<u8>) -> &mut [u8] {
    if out.len() < PIECE_BYTES {
        out.resize(PIECE_BYTES, 0);
    }
    &mut out[..PIECE_BYTES]
}
