//! The codecs of record batches, in the framing that Kafka's clients write and read.

use std::fmt;
use std::io::{self, Read, Write};

use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

/// How the records of a batch are compressed (Kafka's `CompressionType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the stream framing of snappy-java ("xerial").
    Snappy,
    /// The LZ4 frame format with independent blocks.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

/// Why compressed bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionError {
    /// They are not what the codec writes.
    Corrupt { codec: Codec },
    /// They decompress to more than is allowed.
    TooLarge { codec: Codec, size_bytes_max: usize },
}

impl Codec {
    /// The number that stands for it in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The codec of a number in a batch's attributes.
    pub fn from_id(id: u8) -> Option<Codec> {
        const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        CODECS.get(usize::from(id)).copied()
    }

    /// Kafka's name for it, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompressionError::Corrupt { codec } => write!(f, "{codec} data is damaged"),
            CompressionError::TooLarge {
                codec,
                size_bytes_max,
            } => {
                write!(f, "{codec} data decompresses to more than {size_bytes_max} bytes")
            }
        }
    }
}

impl std::error::Error for CompressionError {}

/// What `bytes` decompress to.
///
/// # Errors
/// Damaged data, or more than `size_bytes_max` bytes; no more than that is ever held.
pub fn decompress(codec: Codec, bytes: &[u8], size_bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Codec::None if bytes.len() > size_bytes_max => Err(CompressionError::TooLarge {
            codec,
            size_bytes_max,
        }),
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => read_all(codec, MultiGzDecoder::new(bytes), size_bytes_max),
        Codec::Snappy => xerial::decompress(bytes, size_bytes_max),
        Codec::Lz4 => read_all(codec, FrameDecoder::new(bytes), size_bytes_max),
        Codec::Zstd => match zstd::stream::read::Decoder::with_buffer(bytes) {
            Ok(decoder) => read_all(codec, decoder, size_bytes_max),
            Err(_) => Err(CompressionError::Corrupt { codec }),
        },
    }
}

fn read_all(codec: Codec, reader: impl Read, size_bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut out = Vec::new();
    let one_too_many = u64::try_from(size_bytes_max)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    match reader.take(one_too_many).read_to_end(&mut out) {
        Ok(_) if out.len() > size_bytes_max => Err(CompressionError::TooLarge {
            codec,
            size_bytes_max,
        }),
        Ok(_) => Ok(out),
        Err(_) => Err(CompressionError::Corrupt { codec }),
    }
}

/// `bytes` compressed, at the level that Kafka's producer uses by default.
pub fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let compressed = match codec {
        Codec::None => Ok(bytes.to_vec()),
        Codec::Gzip => gzip(bytes),
        Codec::Snappy => Ok(xerial::compress(bytes)),
        Codec::Lz4 => lz4(bytes),
        Codec::Zstd => zstd::stream::encode_all(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
    };
    compressed.expect("writing to memory does not fail")
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Kafka's reader refuses blocks that depend on each other.
fn lz4(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let frame = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// The framing of snappy-java: a header, then blocks behind their sizes.
mod xerial {
    use super::{Codec, CompressionError};

    const MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
    /// The version and the oldest version that can read it.
    const VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
    /// What snappy-java compresses at a time.
    const BLOCK_BYTES: usize = 32 * 1024;

    /// A copy of 64 bytes takes three, so no block grows by more.
    const GROWTH_MAX: usize = 22;

    const CORRUPT: CompressionError = CompressionError::Corrupt { codec: Codec::Snappy };

    pub fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(MAGIC.len() + VERSIONS.len() + bytes.len() / 2);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSIONS);
        let mut encoder = snap::raw::Encoder::new();
        for block in bytes.chunks(BLOCK_BYTES) {
            let compressed = encoder.compress_vec(block).expect("a block of 32 KiB compresses");
            out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
            out.extend_from_slice(&compressed);
        }
        out
    }

    /// Also takes a bare snappy block, which some clients send.
    pub fn decompress(bytes: &[u8], size_bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
            append(bytes, size_bytes_max, &mut out)?;
            return Ok(out);
        };
        rest = rest.get(VERSIONS.len()..).ok_or(CORRUPT)?;
        while !rest.is_empty() {
            // Streams may have been joined, so a header may stand where a block's size would.
            if let Some(joined) = rest.strip_prefix(MAGIC) {
                rest = joined.get(VERSIONS.len()..).ok_or(CORRUPT)?;
                continue;
            }
            let (size, behind) = rest.split_first_chunk().ok_or(CORRUPT)?;
            let size = u32::from_be_bytes(*size) as usize;
            let (block, behind) = behind.split_at_checked(size).ok_or(CORRUPT)?;
            append(block, size_bytes_max, &mut out)?;
            rest = behind;
        }
        Ok(out)
    }

    fn append(block: &[u8], size_bytes_max: usize, out: &mut Vec<u8>) -> Result<(), CompressionError> {
        let size = snap::raw::decompress_len(block).map_err(|_| CORRUPT)?;
        if size > block.len().saturating_mul(GROWTH_MAX) {
            return Err(CORRUPT);
        }
        if size > size_bytes_max - out.len() {
            return Err(CompressionError::TooLarge {
                codec: Codec::Snappy,
                size_bytes_max,
            });
        }
        let start = out.len();
        out.resize(start + size, 0);
        let written = snap::raw::Decoder::new()
            .decompress(block, &mut out[start..])
            .map_err(|_| CORRUPT)?;
        if written == size { Ok(()) } else { Err(CORRUPT) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn codecs_have_kafkas_numbers() {
        for (id, codec) in (0..).zip(CODECS) {
            assert_eq!(codec.id(), id);
            assert_eq!(Codec::from_id(id), Some(codec));
        }
        assert_eq!(Codec::from_id(5), None);
    }

    #[test]
    fn more_than_the_cap_is_refused() {
        let zeros = vec![0; 1_000_000];
        for codec in CODECS {
            let bytes = compress(codec, &zeros);
            assert_eq!(
                decompress(codec, &bytes, 1_000_000).as_deref(),
                Ok(&zeros[..]),
                "{codec}"
            );
            let refused = Err(CompressionError::TooLarge {
                codec,
                size_bytes_max: 999_999,
            });
            assert_eq!(decompress(codec, &bytes, 999_999), refused, "{codec}");
        }
    }

    #[test]
    fn a_bare_snappy_block_is_taken() {
        let bare = snap::raw::Encoder::new()
            .compress_vec(b"hello")
            .expect("compresses");
        assert_eq!(
            decompress(Codec::Snappy, &bare, 100).as_deref(),
            Ok(&b"hello"[..])
        );
    }

    #[test]
    fn a_snappy_block_cannot_claim_more_than_it_could_hold() {
        let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        assert_eq!(
            decompress(Codec::Snappy, &lie, usize::MAX),
            Err(CompressionError::Corrupt { codec: Codec::Snappy })
        );
    }

    #[test]
    fn truncated_data_is_refused() {
        for codec in CODECS.into_iter().skip(1) {
            let bytes = compress(codec, b"the quick brown fox jumps over the lazy dog");
            let cut = decompress(codec, &bytes[..bytes.len() - 7], 1_000);
            assert_eq!(cut, Err(CompressionError::Corrupt { codec }), "{codec}");
        }
    }

    proptest! {
        #[test]
        fn everything_reads_back(bytes in proptest::collection::vec(0u8..4, 0..100_000), codec in 0u8..5) {
            let codec = Codec::from_id(codec).expect("one of five");
            let compressed = compress(codec, &bytes);
            prop_assert_eq!(decompress(codec, &compressed, bytes.len()), Ok(bytes));
        }

        #[test]
        fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), codec in 0u8..5) {
            let _ = decompress(Codec::from_id(codec).expect("one of five"), &bytes, 10_000);
        }
    }
}
