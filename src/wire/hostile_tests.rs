//! Whatever arrives, the memory to read it stays in proportion: less than four times its bytes and 64 KiB. Beyond that
//! stands only what a core keeps for all batches, its scratch (see `compression::Stream`).

use proptest::prelude::*;

use crate::base::Timestamp;
use crate::wire::allocations::peak_bytes;
use crate::wire::batch::{self, BatchBuilder, Depth, Rules, layout};
use crate::wire::compression::{self, Codec};
use crate::wire::frame;
use crate::wire::sample::Source;
use crate::wire::subjects::SUBJECTS;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// What reading `bytes` may hold at once.
fn bytes_max(bytes: &[u8]) -> usize {
    4 * bytes.len() + (64 << 10)
}

/// Some bytes of `frame` replaced: by noise, by the largest lengths that there are, or by nothing at all.
fn damage(frame: &mut Vec<u8>, source: &mut Source) {
    const LIES: [&[u8]; 5] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0x7f, 0xff],
        &[0xff, 0xff, 0xff, 0xff, 0x07],
        &[0xfe, 0xff, 0xff, 0xff, 0x0f],
        &[0x80, 0xff, 0xff, 0xff, 0xff],
    ];
    for _ in 0..=source.below(3) {
        if frame.is_empty() {
            return;
        }
        let at = source.below(frame.len() as u64) as usize;
        match source.below(4) {
            0 => frame[at] = source.u64() as u8,
            1 => frame.truncate(at),
            _ => {
                let lie = LIES[source.below(LIES.len() as u64) as usize];
                for (byte, lie) in frame[at..].iter_mut().zip(lie) {
                    *byte = *lie;
                }
            }
        }
    }
}

/// Reads `bytes` as every message in some version, and as a request's frame.
fn read_as_everything(bytes: &[u8], source: &mut Source) {
    let (_, peak) = peak_bytes(|| frame::read_request_start(bytes));
    assert_eq!(peak, 0, "a frame's header");
    for subject in SUBJECTS {
        let version = subject.some_version(source);
        let (_, peak) = peak_bytes(|| (subject.walk)(bytes, version));
        assert!(
            peak <= bytes_max(bytes),
            "{} version {version}: {peak} bytes for {bytes:02x?}",
            subject.name
        );
    }
}

fn validate_within_bounds(bytes: &[u8]) {
    for depth in [Depth::Records, Depth::Header] {
        let rules = Rules::of_any_topic(depth);
        let (_, peak) =
            peak_bytes(|| batch::validate(bytes, &rules).map(|checked| checked.latest_timestamp()));
        assert!(
            peak <= bytes_max(bytes),
            "{peak} bytes for a batch of {}",
            bytes.len()
        );
    }
}

/// A batch of some records, or of one that takes next to nothing compressed.
fn some_batch(source: &mut Source) -> Vec<u8> {
    let mut builder = BatchBuilder::new(CODECS[source.below(5) as usize]);
    for _ in 0..=source.below(5) {
        let value = if source.below(8) == 0 {
            vec![7; 1 << 20]
        } else {
            source.bytes().into_owned()
        };
        builder.add(
            Timestamp(source.u64() as i64),
            Some(&source.bytes()),
            Some(&value),
            &[],
        );
    }
    builder.build().to_vec()
}

/// The header made right again, so that what is wrong behind it is looked at.
fn mend(batch: &mut [u8]) {
    if batch.len() > layout::RECORDS {
        let length = (batch.len() - layout::LENGTH_OVERHEAD) as i32;
        batch[layout::LENGTH..][..4].copy_from_slice(&length.to_be_bytes());
        let crc = crate::base::crc32c(&batch[layout::ATTRIBUTES..]);
        batch[layout::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Lets the core's scratch grow to what it may keep, so that it is not counted against the input.
fn warm_the_scratch() {
    let zeros = vec![0; 4 << 20];
    let bare_snappy = snap::raw::Encoder::new()
        .compress_vec(&zeros)
        .expect("compresses");
    compression::decompress(Codec::Snappy, &bare_snappy, zeros.len()).expect("reads back");
    for codec in CODECS {
        compression::decompress(codec, &compression::compress(codec, &zeros), zeros.len())
            .expect("reads back");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_frame_takes_more_memory_than_its_bytes_allow(seed: u64) {
        let mut source = Source(seed);
        for subject in SUBJECTS {
            let version = subject.some_version(&mut source);
            let mut bytes = (subject.sample)(source.u64(), version);
            damage(&mut bytes, &mut source);
            let (_, peak) = peak_bytes(|| (subject.walk)(&bytes, version));
            prop_assert!(peak <= bytes_max(&bytes), "{} version {version}: {peak} bytes for {bytes:02x?}", subject.name);
        }
    }

    #[test]
    fn no_noise_takes_more_memory_than_its_bytes_allow(
        seed: u64,
        noise in proptest::collection::vec(any::<u8>(), 0..2_000),
    ) {
        read_as_everything(&noise, &mut Source(seed));
    }

    #[test]
    fn no_batch_takes_more_memory_than_its_bytes_allow(seed: u64) {
        warm_the_scratch();
        let mut source = Source(seed);
        for _ in 0..20 {
            let mut batch = some_batch(&mut source);
            validate_within_bounds(&batch);
            damage(&mut batch, &mut source);
            validate_within_bounds(&batch);
            mend(&mut batch);
            validate_within_bounds(&batch);
        }
    }
}

#[test]
fn a_batch_behind_a_very_large_block_does_not_pay_for_it() {
    warm_the_scratch();
    // A bare snappy block may be larger than any that is kept room for.
    let large = snap::raw::Encoder::new().compress_vec(&vec![0; 6 << 20]).unwrap();
    compression::decompress(Codec::Snappy, &large, 8 << 20).expect("reads back");
    let small = compression::compress(Codec::Gzip, &[0; 100]);
    let (_, peak) = peak_bytes(|| compression::decompress(Codec::Gzip, &small, 100));
    assert!(peak <= bytes_max(&small), "{peak} bytes");
}

#[test]
fn the_measure_sees_what_is_held_at_once() {
    let (_, peak) = peak_bytes(|| {
        drop(vec![0u8; 1_000]);
        let grown: Vec<u8> = (0..100).collect();
        vec![grown, vec![0; 2_000]].len()
    });
    assert!((2_100..2_400).contains(&peak), "{peak}");
}

#[test]
fn a_request_that_names_too_much_is_refused_before_it_is_walked() {
    use crate::wire::decoder::{Decoder, ELEMENTS_MAX, Fault};
    use crate::wire::message::Decode;
    use crate::wire::messages::{MetadataRequest, ProduceRequest};

    // Topics without a name: two bytes each.
    let topics = |count: usize| [&(count as i32).to_be_bytes()[..], &vec![0; 2 * count]].concat();
    let decode = |bytes: &[u8]| MetadataRequest::decode(&mut Decoder::of_request(bytes), 1).map(|_| ());
    assert_eq!(decode(&topics(ELEMENTS_MAX)), Ok(()));
    let too_many = Fault::TooManyElements {
        count: ELEMENTS_MAX + 1,
    };
    assert_eq!(
        decode(&topics(ELEMENTS_MAX + 1)).expect_err("one more").fault,
        too_many
    );

    // Arrays inside arrays count together, and so do tags that nobody knows.
    let half = ELEMENTS_MAX / 2;
    // A topic without a name, its partitions eight bytes each.
    let topic = [&[0, 0][..], &(half as i32).to_be_bytes(), &vec![0; 8 * half]].concat();
    let produce = [&[0xff, 0xff, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2][..], &topic, &topic].concat();
    let error = ProduceRequest::decode(&mut Decoder::of_request(&produce), 3).expect_err("too many");
    assert!(
        matches!(
            error.fault,
            Fault::TooManyElements { .. } | Fault::CountTooLarge { .. }
        ),
        "{error}"
    );
    let count = [0x81, 0x80, 0x10];
    let tags = [&[0, 0, 0][..], &count, &[99, 0].repeat(ELEMENTS_MAX + 1)].concat();
    let error = MetadataRequest::decode(&mut Decoder::of_request(&tags), 12).expect_err("too many");
    assert!(matches!(error.fault, Fault::TooManyElements { .. }), "{error}");
}
