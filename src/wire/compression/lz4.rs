//! The LZ4 frame format, as far as Kafka reads it (`Lz4BlockInputStream`): one frame of independent blocks. What
//! follows the frame, and its checksum of the whole content, are not looked at.

use bytes::{BufMut, BytesMut};
use lz4::block::CompressionMode;
use twox_hash::XxHash32;

use super::{Codec, CompressionError};

/// The level that stands for the fast compressor. As in Kafka every other one, the lower ones too, is of the compressor that
/// tries harder.
pub const FAST_LEVEL: i32 = 9;

/// What Kafka compresses at a time: the smallest block of the format.
const BLOCK_BYTES: usize = 64 << 10;
/// What says so in the header.
const BLOCK_SIZE: u8 = 0x40;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();

/// The only version of the format, in the top two bits of the flags.
const VERSION: u8 = 0b01 << 6;
const VERSION_MASK: u8 = 0b11 << 6;
/// Blocks that don't need each other, in the flags.
const INDEPENDENT: u8 = 1 << 5;
/// A checksum behind each block, in the flags.
const BLOCK_CHECKSUM: u8 = 1 << 4;
/// Eight bytes of content size in the header, in the flags.
const CONTENT_SIZE: u8 = 1 << 3;
/// What must be zero in the flags; a dictionary, which Kafka doesn't know, among them.
const RESERVED: u8 = 0b11;

/// A block's size has this bit when its bytes are not compressed.
const STORED: u32 = 1 << 31;

/// A byte of a block stands for 255 bytes at the most; a few more come from what starts a sequence.
const GROWTH_MAX: usize = 256;

const CORRUPT: CompressionError = CompressionError::Corrupt { codec: Codec::Lz4 };

/// Writes a frame of blocks that don't need each other, without checksums.
pub struct Format {
    level: i32,
    /// Room for a compressed block.
    room: Vec<u8>,
}

impl Format {
    pub fn new(level: i32) -> Format {
        Format {
            level,
            room: Vec::new(),
        }
    }

    /// `bytes` compressed.
    fn compress(&mut self, bytes: &[u8]) -> &[u8] {
        self.room
            .resize(lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
        let mode = Some(CompressionMode::HIGHCOMPRESSION(self.level));
        let size = match self.level {
            FAST_LEVEL => lz4_flex::block::compress_into(bytes, &mut self.room).ok(),
            _ => lz4::block::compress_to_buffer(bytes, mode, false, &mut self.room).ok(),
        };
        &self.room[..size.expect("there is room for any block")]
    }
}

impl super::compressor::Blocks for Format {
    const BLOCK_BYTES: usize = BLOCK_BYTES;

    fn begin(&mut self, buffer: &mut BytesMut) {
        let descriptor = [VERSION | INDEPENDENT, BLOCK_SIZE];
        buffer.extend_from_slice(&MAGIC);
        buffer.extend_from_slice(&descriptor);
        buffer.put_u8(descriptor_check(&descriptor));
    }

    fn block(&mut self, bytes: &[u8], buffer: &mut BytesMut) {
        let compressed = self.compress(bytes);
        let (size, block) = match compressed.len() < bytes.len() {
            true => (compressed.len() as u32, compressed),
            false => (bytes.len() as u32 | STORED, bytes),
        };
        buffer.put_u32_le(size);
        buffer.extend_from_slice(block);
    }

    fn end(&mut self, buffer: &mut BytesMut) {
        buffer.put_u32_le(0);
    }
}

fn descriptor_check(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

/// The blocks of a frame that are not read yet.
pub struct Blocks<'a> {
    rest: &'a [u8],
    has_checksums: bool,
    block_bytes_max: usize,
}

impl<'a> Blocks<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Blocks<'a>, CompressionError> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(CORRUPT)?;
        let &[flags, sizes, ..] = rest else {
            return Err(CORRUPT);
        };
        if flags & VERSION_MASK != VERSION || flags & INDEPENDENT == 0 || flags & RESERVED != 0 {
            return Err(CORRUPT);
        }
        let block_bytes_max = match sizes {
            0x40 | 0x50 | 0x60 | 0x70 => 1 << (8 + 2 * (sizes >> 4)),
            _ => return Err(CORRUPT),
        };
        let described = if flags & CONTENT_SIZE == 0 { 2 } else { 2 + 8 };
        let (descriptor, behind) = rest.split_at_checked(described).ok_or(CORRUPT)?;
        let (&check, rest) = behind.split_first().ok_or(CORRUPT)?;
        if check != descriptor_check(descriptor) {
            return Err(CORRUPT);
        }
        Ok(Blocks {
            rest,
            has_checksums: flags & BLOCK_CHECKSUM != 0,
            block_bytes_max,
        })
    }

    /// The next block into `out`, which grows to fit it: its size, or none at the end.
    pub fn read(&mut self, out: &mut Vec<u8>) -> Result<Option<usize>, CompressionError> {
        let size = self.u32()?;
        if size == 0 {
            return Ok(None);
        }
        let (block, rest) = self
            .rest
            .split_at_checked((size & !STORED) as usize)
            .filter(|(block, _)| block.len() <= self.block_bytes_max)
            .ok_or(CORRUPT)?;
        self.rest = rest;
        if self.has_checksums && self.u32()? != XxHash32::oneshot(0, block) {
            return Err(CORRUPT);
        }
        let size_max = self.block_bytes_max.min(block.len().saturating_mul(GROWTH_MAX));
        if out.len() < size_max {
            out.resize(size_max, 0);
        }
        if size & STORED != 0 {
            out[..block.len()].copy_from_slice(block);
            return Ok(Some(block.len()));
        }
        lz4_flex::block::decompress_into(block, &mut out[..size_max])
            .map(Some)
            .map_err(|_| CORRUPT)
    }

    fn u32(&mut self) -> Result<u32, CompressionError> {
        let (field, rest) = self.rest.split_first_chunk().ok_or(CORRUPT)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*field))
    }
}
