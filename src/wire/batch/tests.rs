//! Batches against Kafka's own bytes, against every way of being wrong, and against noise.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::wire::error::ErrorCode;
use crate::wire::fixtures::fixture;

/// What is wrong with a batch for any topic.
fn validate(bytes: &[u8], depth: Depth) -> Result<Checked<'_>, BatchError> {
    super::validate(bytes, &Rules::of_any_topic(depth)).map_err(|unfit| match unfit {
        Unfit::Batch(error) => error,
        other => panic!("no rule was given: {other}"),
    })
}

/// What breaks these rules.
fn breaches(bytes: &[u8], rules: &Rules) -> Breaches {
    match super::validate(bytes, rules) {
        Ok(_) => Breaches::default(),
        Err(Unfit::Records(breaches)) => *breaches,
        Err(other) => panic!("a sound batch: {other}"),
    }
}

/// Every record is to have a key.
fn keyed(depth: Depth) -> Rules {
    Rules {
        needs_keys: true,
        ..Rules::of_any_topic(depth)
    }
}

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const PAYLOAD_BYTES_MAX: usize = 10_000;

/// The three records of the fixtures.
fn kafkas_records(codec: Codec) -> BatchBuilder {
    let text: Vec<u8> = b"the quick brown fox "
        .iter()
        .copied()
        .cycle()
        .take(300)
        .collect();
    let mut builder = BatchBuilder::new(codec).producer(ProducerId(4000), ProducerEpoch(3), 17);
    let headers: [(&str, Option<&[u8]>); 2] = [("n", Some(&[0, 0, 0, 1])), ("empty", None)];
    builder.add(Timestamp(1_700_000_000_000), Some(b"k1"), Some(b"v1"), &headers);
    builder.add(Timestamp(1_700_000_000_005), None, Some(&text), &[]);
    builder.add(Timestamp(1_699_999_999_999), Some(b"k3"), None, &[]);
    builder
}

fn one_record() -> BytesMut {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.add(Timestamp(5), Some(b"k"), Some(b"v"), &[]);
    builder.build_mut()
}

/// `batch` with `field` written at `at`, its checksum right.
fn changed<const N: usize>(mut batch: BytesMut, at: usize, field: [u8; N]) -> BytesMut {
    edit::put(&mut batch, at, field);
    edit::set_crc(&mut batch);
    batch
}

#[test]
fn an_uncompressed_batch_is_kafkas_to_the_byte() {
    assert_eq!(kafkas_records(Codec::None).build(), fixture("batch none"));
}

#[test]
fn batches_of_kafkas_producer_are_read_whatever_their_codec() {
    let ours = kafkas_records(Codec::None).build();
    for codec in CODECS {
        let bytes = fixture(&format!("batch {codec}"));
        let batch = validate(&bytes, Depth::Records).expect("valid");
        assert_eq!(batch.codec(), Ok(codec));
        assert_eq!(
            (batch.producer_id(), batch.producer_epoch()),
            (ProducerId(4000), ProducerEpoch(3))
        );
        assert_eq!((batch.base_sequence(), batch.last_sequence()), (17, 19));
        assert_eq!((batch.last_offset(), batch.records_count()), (Offset(2), 3));
        assert_eq!(batch.max_timestamp(), Timestamp(1_700_000_000_005));
        assert_eq!(batch.latest_timestamp(), Timestamp(1_700_000_000_005));
        let payload = batch.payload(PAYLOAD_BYTES_MAX).expect("decompresses");
        assert_eq!(*payload, ours[layout::RECORDS..], "{codec}");
    }
}

#[test]
fn what_we_compress_reads_back() {
    for codec in CODECS {
        let bytes = kafkas_records(codec).build();
        let batch = validate(&bytes, Depth::Records).expect("valid");
        let payload = batch.payload(PAYLOAD_BYTES_MAX).expect("decompresses");
        let records: Vec<Record<'_>> = batch
            .records(&payload)
            .collect::<Result<_, _>>()
            .expect("well-formed");
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].key, records[0].value),
            (Some(&b"k1"[..]), Some(&b"v1"[..]))
        );
        let headers: Vec<_> = records[0].headers.clone().collect();
        assert_eq!(
            headers,
            [("n".into(), Some(&[0u8, 0, 0, 1][..])), ("empty".into(), None)]
        );
        assert_eq!((records[1].key, records[1].offset), (None, Offset(1)));
        assert_eq!(
            (records[2].value, records[2].timestamp),
            (None, Timestamp(1_699_999_999_999))
        );
    }
}

#[test]
fn a_transactions_end_is_kafkas() {
    use crate::wire::message::{Encode, Message};
    use crate::wire::messages::EndTxnMarker;
    let mut value = crate::wire::Encoder::new();
    value.put_i16(0);
    let marker = EndTxnMarker { coordinator_epoch: 6 };
    marker
        .encode(&mut value, *EndTxnMarker::VERSIONS.start())
        .expect("encodes");
    let mut builder = BatchBuilder::new(Codec::None)
        .producer(ProducerId(4000), ProducerEpoch(3), -1)
        .transactional()
        .control();
    builder.add_control(
        Timestamp(1_700_000_000_000),
        ControlType::Commit,
        &value.into_bytes(),
    );
    let mut batch = builder.at(Offset(0), LeaderEpoch(-1)).build_mut();
    let kafkas = fixture("batch commit");
    // Kafka leaves the leader's epoch to the log.
    set_leader_epoch(
        &mut batch,
        BatchView::first(&kafkas).expect("a batch").leader_epoch(),
    );
    assert_eq!(batch, kafkas);
    assert_eq!(
        validate(&batch, Depth::Records).expect_err("not a client's"),
        BatchError::Control
    );
    let view = BatchView::first(&batch).expect("a batch");
    let record = view
        .records(view.raw_records())
        .next()
        .expect("one")
        .expect("well-formed");
    assert_eq!(
        ControlType::from_key(record.key.expect("a key")),
        Some(ControlType::Commit)
    );
}

#[test]
fn wrong_batches_are_refused_with_kafkas_codes() {
    use ErrorCode as E;
    let good = one_record;
    let second = [good(), good()].concat();
    let padded = [&good()[..], &[0; 40]].concat();
    let unfinished = [&good()[..], &good()[..40]].concat();
    let producer = changed(good(), layout::PRODUCER_ID, 7i64.to_be_bytes());
    let cases: Vec<(BatchError, ErrorCode, Vec<u8>)> = vec![
        (BatchError::Empty, E::INVALID_RECORD, vec![]),
        (
            BatchError::Incomplete { needed: 17, left: 16 },
            E::INVALID_RECORD,
            good()[..16].to_vec(),
        ),
        (
            BatchError::Incomplete { needed: 70, left: 69 },
            E::INVALID_RECORD,
            good()[..69].to_vec(),
        ),
        (BatchError::MoreThanOne { left: 70 }, E::INVALID_RECORD, second),
        (
            BatchError::MoreThanOne { left: 40 },
            E::INVALID_RECORD,
            unfinished,
        ),
        (
            BatchError::LengthTooSmall { length: 0 },
            E::CORRUPT_MESSAGE,
            padded,
        ),
        (
            BatchError::LengthTooSmall { length: 13 },
            E::CORRUPT_MESSAGE,
            changed(good(), layout::LENGTH, 13i32.to_be_bytes()).to_vec(),
        ),
        (
            BatchError::TooSmall { size: 60 },
            E::CORRUPT_MESSAGE,
            changed(good(), layout::LENGTH, 48i32.to_be_bytes()).to_vec(),
        ),
        (
            BatchError::UnknownMagic { magic: 3 },
            E::CORRUPT_MESSAGE,
            changed(good(), layout::MAGIC, [3]).to_vec(),
        ),
        (
            BatchError::UnsupportedMagic { magic: 1 },
            E::INVALID_RECORD,
            changed(good(), layout::MAGIC, [1]).to_vec(),
        ),
        (
            BatchError::BaseOffset { base_offset: 9 },
            E::INVALID_RECORD,
            changed(good(), layout::BASE_OFFSET, 9i64.to_be_bytes()).to_vec(),
        ),
        (
            BatchError::UnknownCodec { id: 5 },
            E::UNKNOWN_SERVER_ERROR,
            changed(good(), layout::ATTRIBUTES, [0, 5]).to_vec(),
        ),
        (
            BatchError::OffsetRange {
                last_offset_delta: -1,
            },
            E::INVALID_RECORD,
            changed(good(), layout::LAST_OFFSET_DELTA, (-1i32).to_be_bytes()).to_vec(),
        ),
        (
            BatchError::RecordsCount {
                records_count: 0,
                last_offset_delta: 0,
            },
            E::INVALID_RECORD,
            changed(good(), layout::RECORDS_COUNT, [0; 4]).to_vec(),
        ),
        (
            BatchError::RecordsCount {
                records_count: 1,
                last_offset_delta: 1,
            },
            E::INVALID_RECORD,
            changed(good(), layout::LAST_OFFSET_DELTA, 1i32.to_be_bytes()).to_vec(),
        ),
        (
            BatchError::Control,
            E::INVALID_RECORD,
            changed(good(), layout::ATTRIBUTES, layout::CONTROL.to_be_bytes()).to_vec(),
        ),
        (
            BatchError::BaseSequence { base_sequence: -1 },
            E::INVALID_RECORD,
            producer.to_vec(),
        ),
    ];
    for (error, code, bytes) in cases {
        assert_eq!(validate(&bytes, Depth::Records).expect_err("refused"), error);
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn a_flipped_bit_is_found_by_the_checksum() {
    let good = kafkas_records(Codec::None).build();
    for at in layout::CRC..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 0x10;
        let error = validate(&bad, Depth::Records).expect_err("damaged");
        assert!(matches!(error, BatchError::Crc { .. }), "byte {at}: {error}");
        assert_eq!(error.code(), ErrorCode::CORRUPT_MESSAGE);
    }
}

#[test]
fn malformed_records_are_refused() {
    let at = layout::RECORDS;
    // size 8 (zigzag 16), attributes, timestamp 0, offset 0, key of 1, 'k', value of 1, 'v', no headers
    assert_eq!(one_record()[at..], [16, 0, 0, 0, 2, b'k', 2, b'v', 0][..]);
    let cases: [(usize, u8, RecordFault); 7] = [
        (at, 14, RecordFault::Structure),
        (at, 18, RecordFault::Size),
        (at, 1, RecordFault::Structure),
        (at + 3, 2, RecordFault::OffsetDelta { offset_delta: 1 }),
        (at + 4, 20, RecordFault::Structure),
        (at + 4, 0, RecordFault::Structure),
        (at + 8, 1, RecordFault::HeaderCount),
    ];
    for (at, byte, fault) in cases {
        let error = validate(&changed(one_record(), at, [byte]), Depth::Records).expect_err("malformed");
        assert_eq!(
            error,
            BatchError::Record { index: 0, fault },
            "byte {at} = {byte}"
        );
    }
    let mut longer = one_record();
    longer.extend_from_slice(&[0, 0]);
    let length = (longer.len() - layout::LENGTH_OVERHEAD) as i32;
    let longer = changed(longer, layout::LENGTH, length.to_be_bytes());
    let fault = RecordFault::TrailingBytes { left: 2 };
    assert_eq!(
        validate(&longer, Depth::Records).expect_err("more"),
        BatchError::Record { index: 0, fault }
    );
}

/// `batch`, which is not compressed, with its records compressed by `codec` after `change` was made to them.
fn compressed(batch: BytesMut, codec: Codec, change: impl FnOnce(&mut Vec<u8>)) -> BytesMut {
    let mut records = batch[layout::RECORDS..].to_vec();
    change(&mut records);
    with_records(batch, codec, &crate::wire::compression::compress(codec, &records))
}

/// `batch` with these compressed bytes for its records.
fn with_records(mut batch: BytesMut, codec: Codec, compressed: &[u8]) -> BytesMut {
    batch.truncate(layout::RECORDS);
    batch.extend_from_slice(compressed);
    let length = (batch.len() - layout::LENGTH_OVERHEAD) as i32;
    edit::put(&mut batch, layout::LENGTH, length.to_be_bytes());
    changed(batch, layout::ATTRIBUTES, i16::from(codec.id()).to_be_bytes())
}

#[test]
fn compressed_records_are_held_to_the_same_rules() {
    for codec in CODECS {
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let batch = compressed(one_record(), codec, |records| change(records));
            assert!(
                validate(&batch, Depth::Header).is_ok() || codec == Codec::None,
                "{codec}"
            );
            match validate(&batch, Depth::Records).expect_err("refused") {
                BatchError::Record { index: 0, fault } => fault,
                error => panic!("{codec}: {error}"),
            }
        };
        let offset_delta = RecordFault::OffsetDelta { offset_delta: 1 };
        assert_eq!(refused(&|records| records[3] = 2), offset_delta, "{codec}");
        assert_eq!(
            refused(&|records| records.truncate(8)),
            RecordFault::Structure,
            "{codec}"
        );
        assert_eq!(refused(&|records| records[0] = 18), RecordFault::Size, "{codec}");
        let two_more = RecordFault::TrailingBytes { left: 2 };
        assert_eq!(refused(&|records| records.extend([0, 0])), two_more, "{codec}");
    }
}

#[test]
fn a_compressed_batch_with_fewer_records_than_it_claims_is_refused() {
    for codec in CODECS {
        let batch = compressed(one_record(), codec, |_| {});
        let batch = changed(batch, layout::RECORDS_COUNT, 2i32.to_be_bytes());
        let batch = changed(batch, layout::LAST_OFFSET_DELTA, 1i32.to_be_bytes());
        let missing = BatchError::Record {
            index: 1,
            fault: RecordFault::Structure,
        };
        assert_eq!(
            validate(&batch, Depth::Records).expect_err("lies"),
            missing,
            "{codec}"
        );
        assert_eq!(missing.code(), ErrorCode::INVALID_RECORD);
    }
}

#[test]
fn compressed_data_that_cannot_be_read_is_kafkas_unexpected_exception() {
    for codec in CODECS.into_iter().skip(1) {
        let good = crate::wire::compression::compress(codec, &one_record()[layout::RECORDS..]);
        for bad in [&good[..good.len() - 6], &b"not compressed at all"[..], &[]] {
            let batch = with_records(one_record(), codec, bad);
            let error = validate(&batch, Depth::Records).expect_err("unreadable");
            // Nothing at all is zstd, of no records.
            let code = match (codec, bad.len()) {
                (Codec::Zstd, 0) => ErrorCode::INVALID_RECORD,
                _ => ErrorCode::UNKNOWN_SERVER_ERROR,
            };
            assert_eq!(error.code(), code, "{codec}, {} bytes: {error}", bad.len());
            assert!(validate(&batch, Depth::Header).is_ok(), "{codec}");
        }
    }
}

#[test]
fn a_batch_that_decompresses_to_more_than_a_request_could_carry_is_too_large() {
    let value = vec![0; DECOMPRESSED_BYTES_MAX];
    let mut builder = BatchBuilder::new(Codec::None);
    builder.add(Timestamp(5), Some(b"k"), Some(&value), &[]);
    let bomb = builder.build_mut();
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let batch = compressed(bomb.clone(), codec, |_| {});
        let error = validate(&batch, Depth::Records).expect_err("a bomb");
        assert_eq!(error.code(), ErrorCode::MESSAGE_TOO_LARGE, "{codec}: {error}");
    }
}

#[test]
fn records_are_walked_across_the_pieces_that_they_decompress_to() {
    let noise: Vec<u8> = (0u32..300_000)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for codec in CODECS {
        let mut builder = BatchBuilder::new(codec);
        for (index, len) in (0..).zip([5usize, 70_000, 65_521, 0, 33_000, 131_072, 9]) {
            builder.add(
                Timestamp(100 - index),
                None,
                Some(&noise[..len]),
                &[("h", Some(&noise[..len / 2]))],
            );
        }
        let bytes = builder.build();
        let batch = validate(&bytes, Depth::Records).expect("valid");
        assert_eq!(batch.latest_timestamp(), Timestamp(100), "{codec}");
        assert_eq!(breaches(&bytes, &keyed(Depth::Records)).count, 7, "{codec}");
    }
}

#[test]
fn keyless_records_and_times_are_told_whatever_the_codec() {
    let (earliest, latest) = (Timestamp(1_700_000_000_000), Timestamp(1_700_000_000_004));
    let within = |depth| Rules {
        times: Times::Kept { earliest, latest },
        ..Rules::of_any_topic(depth)
    };
    let outside = |timestamp| Breach::Time {
        timestamp: Timestamp(timestamp),
        earliest,
        latest,
    };
    for codec in CODECS {
        let bytes = kafkas_records(codec).build();
        let bytes = changed(
            BytesMut::from(&bytes[..]),
            layout::MAX_TIMESTAMP,
            77i64.to_be_bytes(),
        );
        let batch = validate(&bytes, Depth::Records).expect("valid");
        assert_eq!(batch.latest_timestamp(), Timestamp(1_700_000_000_005), "{codec}");
        let keyless = breaches(&bytes, &keyed(Depth::Records));
        assert_eq!(keyless.named, [(1, Breach::Keyless)], "{codec}");
        assert_eq!(keyless.code(), ErrorCode::INVALID_RECORD);
        let late = breaches(&bytes, &within(Depth::Records));
        let expected = [(1, outside(1_700_000_000_005)), (2, outside(1_699_999_999_999))];
        assert_eq!(late.named, expected, "{codec}");
        assert_eq!((late.count, late.code()), (2, ErrorCode::INVALID_TIMESTAMP));
        if codec != Codec::None {
            let batch = validate(&bytes, Depth::Header).expect("valid");
            assert_eq!(batch.latest_timestamp(), Timestamp(77), "{codec}");
            assert_eq!(breaches(&bytes, &keyed(Depth::Header)).count, 0, "{codec}");
            let unnamed = breaches(&bytes, &within(Depth::Header));
            assert_eq!(unnamed.code(), ErrorCode::INVALID_TIMESTAMP, "{codec}");
            assert!(unnamed.named.is_empty());
        }
    }
}

#[test]
fn a_record_without_a_key_is_told_of_that_alone() {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.add(Timestamp(5), None, None, &[]);
    builder.add(Timestamp(5), Some(b"k"), None, &[]);
    builder.add(Timestamp::NONE, Some(b"k"), None, &[]);
    let (earliest, latest) = (Timestamp(10), Timestamp(20));
    let rules = Rules {
        times: Times::Kept { earliest, latest },
        ..keyed(Depth::Records)
    };
    let timestamp = Timestamp(5);
    let time = Breach::Time {
        timestamp,
        earliest,
        latest,
    };
    let found = breaches(&builder.build(), &rules);
    assert_eq!(found.named, [(0, Breach::Keyless), (1, time)]);
    assert_eq!(found.code(), ErrorCode::INVALID_TIMESTAMP);
}

#[test]
fn a_producer_may_not_say_that_the_broker_set_the_times() {
    for codec in CODECS {
        let mut bytes = BytesMut::from(&kafkas_records(codec).build()[..]);
        set_log_append_time(&mut bytes, Timestamp(1_700_000_000_005));
        for depth in [Depth::Records, Depth::Header] {
            let replaced = Rules {
                times: Times::Replaced,
                ..Rules::of_any_topic(depth)
            };
            let found = breaches(&bytes, &replaced);
            assert_eq!(found.code(), ErrorCode::INVALID_TIMESTAMP, "{codec} {depth:?}");
            if depth == Depth::Records {
                assert_eq!(found.named, [0, 1, 2].map(|index| (index, Breach::AppendTime)));
            }
            // Where the producer's times are kept, Kafka looks at nothing but the time.
            let kept = breaches(&bytes, &Rules::of_any_topic(depth));
            assert_eq!(kept, Breaches::default(), "{codec} {depth:?}");
        }
    }
}

#[test]
fn of_very_many_records_that_break_a_rule_some_are_named() {
    let mut builder = BatchBuilder::new(Codec::Zstd);
    for _ in 0..BREACHES_NAMED_MAX + 100 {
        builder.add(Timestamp(5), None, None, &[]);
    }
    let found = breaches(&builder.build(), &keyed(Depth::Records));
    assert_eq!(found.count, BREACHES_NAMED_MAX + 100);
    assert_eq!(found.named.len(), BREACHES_NAMED_MAX);
}

#[test]
fn a_batch_above_the_topics_size_is_refused_before_it_is_looked_at() {
    let mut bytes = one_record();
    let size_bytes = bytes.len();
    let rules = |size_bytes_max| Rules {
        size_bytes_max,
        ..Rules::of_any_topic(Depth::Records)
    };
    assert!(super::validate(&bytes, &rules(size_bytes)).is_ok());
    // As Kafka: damage counts only of what is not too large.
    bytes[layout::CRC] ^= 1;
    let size_bytes_max = size_bytes - 1;
    let refused = super::validate(&bytes, &rules(size_bytes_max)).expect_err("one byte too many");
    let expected = Unfit::TooLarge {
        size_bytes,
        size_bytes_max,
    };
    assert_eq!(refused, expected);
    assert_eq!(refused.code(), ErrorCode::MESSAGE_TOO_LARGE);
}

#[test]
fn place_and_epoch_are_written_beside_the_checksum() {
    let mut bytes = one_record();
    let crc = BatchView::first(&bytes).expect("a batch").crc();
    set_base_offset(&mut bytes, Offset(1_000));
    set_leader_epoch(&mut bytes, LeaderEpoch(4));
    let batch = BatchView::first(&bytes).expect("a batch");
    assert_eq!(
        (batch.base_offset(), batch.leader_epoch()),
        (Offset(1_000), LeaderEpoch(4))
    );
    assert_eq!((batch.next_offset(), batch.crc()), (Offset(1_001), crc));
    assert!(batch.crc_is_valid());
}

#[test]
fn append_time_becomes_every_records_time() {
    let mut bytes = kafkas_records(Codec::None).build_mut();
    set_log_append_time(&mut bytes, Timestamp(42));
    let batch = validate(&bytes, Depth::Records).expect("the checksum is mended");
    assert_eq!(batch.timestamp_type(), TimestampType::LogAppendTime);
    assert!(
        batch
            .records(batch.raw_records())
            .all(|r| r.is_ok_and(|r| r.timestamp == Timestamp(42)))
    );
    set_create_time(&mut bytes, Timestamp(1_700_000_000_005));
    assert_eq!(bytes, kafkas_records(Codec::None).build());
}

#[test]
fn sequences_wrap_to_zero() {
    let mut builder = BatchBuilder::new(Codec::None).producer(ProducerId(1), ProducerEpoch(0), i32::MAX);
    builder.add(Timestamp(0), None, None, &[]);
    builder.add(Timestamp(0), None, None, &[]);
    assert_eq!(
        validate(&builder.build(), Depth::Records)
            .expect("valid")
            .last_sequence(),
        0
    );
}

#[test]
fn batches_follow_each_other_and_a_cut_one_ends_them() {
    let one = one_record();
    let bytes = [&one[..], &one, &one[..30]].concat();
    let mut found = batches(&bytes);
    assert_eq!(
        found.next().expect("first").expect("whole").size_bytes(),
        one.len()
    );
    assert!(found.next().expect("second").is_ok());
    let cut = BatchError::Incomplete {
        needed: one.len(),
        left: 30,
    };
    assert_eq!(found.next().expect("third").expect_err("cut"), cut);
    assert!(found.next().is_none());
    assert!(batches(&[]).next().is_none());
}

proptest! {
    #[test]
    fn noise_never_panics(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..200),
        records_count in 1i32..4,
    ) {
        if bytes.len() >= SIZE_BYTES_MIN {
            // Past the checks of the header, into the records.
            let length = (bytes.len() - layout::LENGTH_OVERHEAD) as i32;
            edit::put(&mut bytes, layout::BASE_OFFSET, [0; 8]);
            edit::put(&mut bytes, layout::LENGTH, length.to_be_bytes());
            edit::put(&mut bytes, layout::MAGIC, [2, 0, 0, 0, 0, 0, 0]);
            edit::put(&mut bytes, layout::LAST_OFFSET_DELTA, (records_count - 1).to_be_bytes());
            edit::put(&mut bytes, layout::BASE_SEQUENCE, [0; 4]);
            edit::put(&mut bytes, layout::RECORDS_COUNT, records_count.to_be_bytes());
            edit::set_crc(&mut bytes);
            let reached = validate(&bytes, Depth::Records).err().is_none_or(|e| matches!(e, BatchError::Record { .. }));
            prop_assert!(reached);
        }
        for batch in batches(&bytes).flatten() {
            for record in batch.records(batch.raw_records()).flatten() {
                record.headers.for_each(drop);
            }
        }
    }

    #[test]
    fn records_read_back(
        records in proptest::collection::vec(
            (any::<i64>(), proptest::option::of(any::<[u8; 3]>()), proptest::option::of(any::<[u8; 40]>()), "[a-z]{0,4}"),
            1..20,
        ),
    ) {
        let mut builder = BatchBuilder::new(Codec::None);
        for (time, key, value, name) in &records {
            let (key, value) = (key.as_ref().map(|k| &k[..]), value.as_ref().map(|v| &v[..]));
            builder.add(Timestamp(*time), key, value, &[(name, value), (name, key)]);
        }
        let bytes = builder.build();
        let batch = validate(&bytes, Depth::Records).expect("valid");
        for (record, (time, key, value, name)) in batch.records(batch.raw_records()).zip(&records) {
            let record = record.expect("well-formed");
            let (key, value) = (key.as_ref().map(|k| &k[..]), value.as_ref().map(|v| &v[..]));
            prop_assert_eq!((record.timestamp, record.key, record.value), (Timestamp(*time), key, value));
            let headers: Vec<_> = record.headers.collect();
            prop_assert_eq!(headers, [(name.into(), value), (name.into(), key)]);
        }
    }
}
