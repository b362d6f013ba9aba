//! The framing of snappy-java ("xerial"): a header, then blocks behind their sizes.

use bytes::{BufMut, BytesMut};

use super::{Codec, CompressionError};

const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// The version and the oldest version that can read it.
const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// What snappy-java compresses at a time.
const BLOCK_BYTES: usize = 32 * 1024;

/// A copy of 64 bytes takes three, so no block grows by more.
const GROWTH_MAX: usize = 22;

const CORRUPT: CompressionError = CompressionError::Corrupt { codec: Codec::Snappy };

/// Writes the framing.
pub struct Format(Box<snap::raw::Encoder>);

impl Format {
    pub fn new() -> Format {
        Format(Box::new(snap::raw::Encoder::new()))
    }
}

impl super::compressor::Blocks for Format {
    const BLOCK_BYTES: usize = BLOCK_BYTES;

    fn begin(&mut self, buffer: &mut BytesMut) {
        buffer.extend_from_slice(MAGIC);
        buffer.extend_from_slice(&VERSIONS);
    }

    fn block(&mut self, bytes: &[u8], buffer: &mut BytesMut) {
        let compressed = self.0.compress_vec(bytes).expect("a block of 32 KiB compresses");
        buffer.put_u32(compressed.len() as u32);
        buffer.extend_from_slice(&compressed);
    }

    fn end(&mut self, _: &mut BytesMut) {}
}

/// The blocks of a stream that are not read yet. Also takes a bare snappy block, which some clients send.
pub enum Blocks<'a> {
    Framed(&'a [u8]),
    Bare(&'a [u8]),
}

impl<'a> Blocks<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Blocks<'a>, CompressionError> {
        match bytes.strip_prefix(MAGIC) {
            Some(rest) => Ok(Blocks::Framed(rest.get(VERSIONS.len()..).ok_or(CORRUPT)?)),
            None => Ok(Blocks::Bare(bytes)),
        }
    }

    /// The next block into `out`, which grows to fit it: its size, or none at the end.
    pub fn read(
        &mut self,
        out: &mut Vec<u8>,
        size_bytes_max: usize,
    ) -> Result<Option<usize>, CompressionError> {
        let Some(block) = self.next()? else {
            return Ok(None);
        };
        let size = snap::raw::decompress_len(block).map_err(|_| CORRUPT)?;
        if size > block.len().saturating_mul(GROWTH_MAX) {
            return Err(CORRUPT);
        }
        if size > size_bytes_max {
            return Err(CompressionError::TooLarge {
                codec: Codec::Snappy,
                size_bytes_max,
            });
        }
        if out.len() < size {
            out.resize(size, 0);
        }
        let written = snap::raw::Decoder::new()
            .decompress(block, &mut out[..size])
            .map_err(|_| CORRUPT)?;
        if written == size {
            Ok(Some(size))
        } else {
            Err(CORRUPT)
        }
    }

    fn next(&mut self) -> Result<Option<&'a [u8]>, CompressionError> {
        match self {
            Blocks::Bare(block) => {
                let block = *block;
                *self = Blocks::Framed(&[]);
                Ok(Some(block))
            }
            Blocks::Framed(rest) => next_framed(rest),
        }
    }
}

fn next_framed<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, CompressionError> {
    // Streams may have been joined, so a header may stand where a block's size would.
    while let Some(joined) = rest.strip_prefix(MAGIC) {
        *rest = joined.get(VERSIONS.len()..).ok_or(CORRUPT)?;
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let (size, behind) = rest.split_first_chunk().ok_or(CORRUPT)?;
    let size = u32::from_be_bytes(*size) as usize;
    let (block, behind) = behind.split_at_checked(size).ok_or(CORRUPT)?;
    *rest = behind;
    Ok(Some(block))
}
