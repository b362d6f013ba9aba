//! Compression piece by piece, behind what a buffer holds already.

use std::io::{self, Write};

use bytes::buf::Writer;
use bytes::{BufMut, BytesMut};
use flate2::write::GzEncoder;

use super::{Codec, ZSTD_WINDOW_LOG_MAX, lz4, snappy};

/// zstd's levels beyond this one ask for larger windows than [`ZSTD_WINDOW_LOG_MAX`].
const ZSTD_LEVEL_WITHIN_WINDOW_MAX: i32 = 19;

/// A codec and how hard it tries (KIP-390).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// What it compresses with.
    pub codec: Codec,
    /// Of gzip 1 to 9 or −1 for its own choice, of lz4 1 to 17, of zstd −131,072 to 22. Not looked at for the others.
    pub level: i32,
}

impl From<Codec> for Effort {
    /// At the level that Kafka's producer and broker have by default.
    fn from(codec: Codec) -> Effort {
        let level = match codec {
            Codec::None | Codec::Snappy => 0,
            Codec::Gzip => -1,
            Codec::Lz4 => lz4::FAST_LEVEL,
            Codec::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
        };
        Effort { codec, level }
    }
}

/// Compresses what it is given into a buffer, as it comes.
///
/// Beside the buffer it holds at most one block of lz4 or snappy, some 300 KiB of gzip, and of zstd what the level needs
/// for `size_bytes`: about a megabyte at the default level, up to 150 at the highest ones and many megabytes of data.
pub struct Compressor(Sink);

enum Sink {
    Plain(BytesMut),
    Gzip(GzEncoder<Writer<BytesMut>>),
    Snappy(InBlocks<snappy::Format>),
    Lz4(InBlocks<lz4::Format>),
    Zstd(zstd::stream::write::Encoder<'static, Writer<BytesMut>>),
}

impl Compressor {
    /// Writes behind what `buffer` holds. Exactly `size_bytes` are to come.
    pub fn new(effort: Effort, size_bytes: usize, buffer: BytesMut) -> Compressor {
        Compressor(match effort.codec {
            Codec::None => Sink::Plain(buffer),
            Codec::Gzip => Sink::Gzip(GzEncoder::new(buffer.writer(), gzip_level(effort.level))),
            Codec::Snappy => Sink::Snappy(InBlocks::new(snappy::Format::new(), buffer)),
            Codec::Lz4 => Sink::Lz4(InBlocks::new(lz4::Format::new(effort.level), buffer)),
            Codec::Zstd => Sink::Zstd(
                zstd_encoder(effort.level, size_bytes, buffer).expect("every level in range has an encoder"),
            ),
        })
    }

    /// Takes more.
    pub fn write(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Sink::Plain(buffer) => buffer.extend_from_slice(bytes),
            Sink::Gzip(encoder) => in_memory(encoder.write_all(bytes)),
            Sink::Snappy(blocks) => blocks.write(bytes),
            Sink::Lz4(blocks) => blocks.write(bytes),
            Sink::Zstd(encoder) => in_memory(encoder.write_all(bytes)),
        }
    }

    /// What the buffer holds so far. What was taken and is still in the making doesn't count.
    pub fn buffered_bytes(&self) -> usize {
        match &self.0 {
            Sink::Plain(buffer) => buffer.len(),
            Sink::Gzip(encoder) => encoder.get_ref().get_ref().len(),
            Sink::Snappy(blocks) => blocks.buffer.len(),
            Sink::Lz4(blocks) => blocks.buffer.len(),
            Sink::Zstd(encoder) => encoder.get_ref().get_ref().len(),
        }
    }

    /// The buffer with all of it.
    pub fn finish(self) -> BytesMut {
        match self.0 {
            Sink::Plain(buffer) => buffer,
            Sink::Gzip(encoder) => in_memory(encoder.finish()).into_inner(),
            Sink::Snappy(blocks) => blocks.finish(),
            Sink::Lz4(blocks) => blocks.finish(),
            Sink::Zstd(encoder) => in_memory(encoder.finish()).into_inner(),
        }
    }
}

fn in_memory<T>(written: io::Result<T>) -> T {
    written.expect("writing to memory does not fail")
}

fn gzip_level(level: i32) -> flate2::Compression {
    u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new)
}

/// With the size pledged, which spares a window beyond it; a window that [any reader](ZSTD_WINDOW_LOG_MAX) has.
fn zstd_encoder(
    level: i32,
    size_bytes: usize,
    buffer: BytesMut,
) -> io::Result<zstd::stream::write::Encoder<'static, Writer<BytesMut>>> {
    let mut encoder = zstd::stream::write::Encoder::new(buffer.writer(), level)?;
    if level > ZSTD_LEVEL_WITHIN_WINDOW_MAX {
        encoder.window_log(ZSTD_WINDOW_LOG_MAX)?;
    }
    encoder.set_pledged_src_size(Some(size_bytes as u64))?;
    Ok(encoder)
}

/// A framing of blocks that are compressed one by one.
pub(super) trait Blocks {
    /// What goes into a block.
    const BLOCK_BYTES: usize;

    /// Writes what stands before all blocks.
    fn begin(&mut self, buffer: &mut BytesMut);

    /// Writes a block, which isn't empty.
    fn block(&mut self, bytes: &[u8], buffer: &mut BytesMut);

    /// Writes what stands behind all blocks.
    fn end(&mut self, buffer: &mut BytesMut);
}

/// Gathers what comes into blocks.
struct InBlocks<B> {
    format: B,
    /// Less than a block.
    gathered: Vec<u8>,
    buffer: BytesMut,
}

impl<B: Blocks> InBlocks<B> {
    fn new(mut format: B, mut buffer: BytesMut) -> InBlocks<B> {
        format.begin(&mut buffer);
        InBlocks {
            format,
            gathered: Vec::new(),
            buffer,
        }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while self.gathered.len() + bytes.len() >= B::BLOCK_BYTES {
            let (here, rest) = bytes.split_at(B::BLOCK_BYTES - self.gathered.len());
            bytes = rest;
            if self.gathered.is_empty() {
                self.format.block(here, &mut self.buffer);
                continue;
            }
            self.gathered.extend_from_slice(here);
            self.format.block(&self.gathered, &mut self.buffer);
            self.gathered.clear();
        }
        self.gathered.extend_from_slice(bytes);
    }

    fn finish(mut self) -> BytesMut {
        if !self.gathered.is_empty() {
            self.format.block(&self.gathered, &mut self.buffer);
        }
        self.format.end(&mut self.buffer);
        self.buffer
    }
}
