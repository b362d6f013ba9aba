//! The codecs of record batches, in the framing that Kafka's clients write and read.

mod compressor;
mod lz4;
mod snappy;
mod stream;

use std::fmt;

use bytes::BytesMut;

pub use compressor::{Compressor, Effort};
pub use stream::{Stream, ZSTD_WINDOW_LOG_MAX};

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
            CompressionError::Corrupt { codec: Codec::Zstd } => {
                let window_bytes_max = 1 << ZSTD_WINDOW_LOG_MAX;
                write!(
                    f,
                    "zstd data is damaged, or needs a window of more than {window_bytes_max} bytes"
                )
            }
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
/// As [`Stream`]'s; no more than `size_bytes_max` bytes are ever held.
pub fn decompress(codec: Codec, bytes: &[u8], size_bytes_max: usize) -> Result<Vec<u8>, CompressionError> {
    let mut stream = Stream::open(codec, bytes, size_bytes_max)?;
    let mut out = Vec::new();
    while stream.fill()? {
        out.extend_from_slice(stream.piece());
        stream.consume(stream.piece().len());
    }
    Ok(out)
}

/// As [`decompress`], with a `turn` for others after every piece.
///
/// # Errors
/// As [`decompress`].
pub async fn decompress_in_turns(
    codec: Codec,
    bytes: &[u8],
    size_bytes_max: usize,
    turn: impl AsyncFn(),
) -> Result<Vec<u8>, CompressionError> {
    let mut stream = Stream::open(codec, bytes, size_bytes_max)?;
    let mut out = Vec::new();
    while stream.fill()? {
        out.extend_from_slice(stream.piece());
        stream.consume(stream.piece().len());
        turn().await;
    }
    Ok(out)
}

/// `bytes` compressed, at the level that Kafka's producer uses by default.
pub fn compress(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(codec.into(), bytes.len(), BytesMut::new());
    compressor.write(bytes);
    compressor.finish().into()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
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

    /// The levels at both ends, the default, and where something else begins.
    fn efforts() -> Vec<Effort> {
        let levels: [(Codec, &[i32]); 5] = [
            (Codec::None, &[0]),
            (Codec::Gzip, &[-1, 1, 6, 9]),
            (Codec::Snappy, &[0]),
            (Codec::Lz4, &[1, 8, 9, 10, 12, 17]),
            (Codec::Zstd, &[-131_072, -1, 0, 1, 3, 19, 20, 22]),
        ];
        let efforts = |(codec, levels): (Codec, &[i32])| {
            let effort = |&level| Effort { codec, level };
            levels.iter().map(effort).collect::<Vec<_>>()
        };
        levels.into_iter().flat_map(efforts).collect()
    }

    #[test]
    fn every_level_reads_back_whatever_the_pieces() {
        let mut bytes = noise(150_000);
        bytes.extend(vec![7; 150_000]);
        for effort in efforts() {
            for piece_bytes in [1_000, 65_536, 300_000] {
                let mut compressor = Compressor::new(effort, bytes.len(), BytesMut::from(&b"head"[..]));
                bytes
                    .chunks(piece_bytes)
                    .for_each(|piece| compressor.write(piece));
                let whole = compressor.finish();
                let (head, compressed) = whole.split_at(4);
                assert_eq!(head, b"head");
                let read = decompress(effort.codec, compressed, bytes.len());
                assert!(read.as_ref() == Ok(&bytes), "{effort:?} by {piece_bytes}");
            }
        }
    }

    #[test]
    fn what_tries_harder_takes_less() {
        // Words in changing order, which reward a longer look.
        let mut source = crate::wire::sample::Source(1);
        let text: Vec<u8> = (0..60_000)
            .flat_map(|_| format!("{:03} ", source.u64() % 97 * 9).into_bytes())
            .collect();
        let size = |codec, level| {
            let mut compressor = Compressor::new(Effort { codec, level }, text.len(), BytesMut::new());
            compressor.write(&text);
            compressor.finish().len()
        };
        for (codec, less, more) in [
            (Codec::Gzip, 1, 9),
            (Codec::Lz4, lz4::FAST_LEVEL, 12),
            (Codec::Zstd, 1, 19),
        ] {
            assert!(size(codec, less) > size(codec, more), "{codec}");
        }
    }

    #[test]
    fn the_highest_levels_keep_to_the_window_that_every_reader_has() {
        let bytes = vec![7; 9 << 20];
        let effort = Effort {
            codec: Codec::Zstd,
            level: 22,
        };
        let mut compressor = Compressor::new(effort, bytes.len(), BytesMut::new());
        compressor.write(&bytes);
        let compressed = compressor.finish();
        assert!(decompress(Codec::Zstd, &compressed, bytes.len()) == Ok(bytes));
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

    /// Bytes that don't compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut source = crate::wire::sample::Source(1);
        (0..len).map(|_| source.u64() as u8).collect()
    }

    #[test]
    fn lz4_frames_of_every_block_size_and_with_every_checksum_are_read() {
        let bytes = noise(9_000_000);
        for size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            let frame = FrameInfo::new()
                .block_size(size)
                .block_mode(BlockMode::Independent)
                .block_checksums(true)
                .content_checksum(true)
                .content_size(Some(bytes.len() as u64));
            let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(&bytes).expect("compresses");
            let mut compressed = encoder.finish().expect("compresses");
            assert!(decompress(Codec::Lz4, &compressed, bytes.len()) == Ok(bytes.clone()));
            compressed[1_000] ^= 1;
            let damaged = Err(CompressionError::Corrupt { codec: Codec::Lz4 });
            assert!(decompress(Codec::Lz4, &compressed, bytes.len()) == damaged);
        }
    }

    #[test]
    fn lz4_blocks_that_need_each_other_are_refused_as_kafka_does() {
        let frame = FrameInfo::new().block_mode(BlockMode::Linked);
        let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
        encoder.write_all(b"hello").expect("compresses");
        let linked = encoder.finish().expect("compresses");
        let refused = Err(CompressionError::Corrupt { codec: Codec::Lz4 });
        assert_eq!(decompress(Codec::Lz4, &linked, 100), refused);
    }

    #[test]
    fn an_lz4_block_gets_room_for_what_it_could_hold_and_no_more() {
        let few = compress(Codec::Lz4, b"hello");
        // A header that announces blocks of 4 MiB.
        let mut claims = few.clone();
        claims[5] = 0x70;
        claims[6] = (twox_hash::XxHash32::oneshot(0, &claims[4..6]) >> 8) as u8;
        let mut out = Vec::new();
        let size = lz4::Blocks::open(&claims).and_then(|mut blocks| blocks.read(&mut out));
        assert_eq!(size, Ok(Some(5)));
        assert!(out.len() < 2_000);
    }

    #[test]
    fn a_zstd_window_beyond_the_limit_is_refused() {
        let bytes = noise(100_000);
        for (log, is_read) in [(ZSTD_WINDOW_LOG_MAX, true), (ZSTD_WINDOW_LOG_MAX + 1, false)] {
            let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).expect("an encoder");
            encoder.window_log(log).expect("a window");
            encoder.write_all(&bytes).expect("compresses");
            let compressed = encoder.finish().expect("compresses");
            assert_eq!(
                decompress(Codec::Zstd, &compressed, 1 << 20).is_ok(),
                is_read,
                "2^{log}"
            );
        }
    }

    #[test]
    fn a_decoder_forgets_what_it_was_in_the_middle_of() {
        let bytes = noise(200_000);
        for codec in CODECS {
            let compressed = compress(codec, &bytes);
            let _ = decompress(codec, &compressed[..100_000], bytes.len());
            let mut other = Stream::open(codec, &compressed, bytes.len()).expect("opens");
            assert_eq!(other.fill(), Ok(true));
            // One within the other: each has a scratch of its own.
            assert_eq!(
                decompress(codec, &compressed, bytes.len()).as_ref(),
                Ok(&bytes),
                "{codec}"
            );
        }
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
