//! Batches in another codec: nothing of a record is lost, whatever was and is the codec.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::walk::at_once;
use super::super::{
    Arrived, BatchBuilder, Depth, Record, Rules, TimestampType, set_log_append_time, validate,
};
use super::*;
use crate::base::{ProducerEpoch, ProducerId, Timestamp};
use crate::wire::ErrorCode;
use crate::wire::compression::Codec;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
const SIZE_BYTES_MAX: usize = 1 << 20;

/// What a consumer gets of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    offset_delta: i32,
    timestamp: Timestamp,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Own {
    fn of(record: Record<'_>) -> Own {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        Own {
            offset_delta: record.offset_delta,
            timestamp: record.timestamp,
            key: owned(record.key),
            value: owned(record.value),
            headers: record
                .headers
                .map(|(name, value)| (name.into_owned(), owned(value)))
                .collect(),
        }
    }
}

fn records(batch: &BatchView<'_>) -> Vec<Own> {
    let payload = batch.payload(SIZE_BYTES_MAX).expect("unpacks");
    let records = batch.records(&payload);
    records
        .map(|record| Own::of(record.expect("well-formed")))
        .collect()
}

fn recoded(batch: &[u8], effort: Effort, size_bytes_max: usize) -> Result<BytesMut, Unfit> {
    let mut batch = Arrived::from(BytesMut::from(batch));
    let rules = Rules::of_any_topic(Depth::Records);
    at_once(batch.check_in_turns(&rules, async || {})).expect("sound");
    at_once(batch.recode_in_turns(effort, size_bytes_max, async || {}))?;
    Ok(batch.into_records())
}

/// The rest of the header: all but length, checksum and codec.
fn kept(batch: &BatchView<'_>) -> impl PartialEq + std::fmt::Debug {
    (
        (
            batch.base_offset(),
            batch.last_offset_delta(),
            batch.records_count(),
        ),
        (
            batch.base_timestamp(),
            batch.max_timestamp(),
            batch.timestamp_type(),
        ),
        (batch.producer_id(), batch.producer_epoch(), batch.base_sequence()),
        (batch.is_transactional(), batch.is_control(), batch.leader_epoch()),
    )
}

fn check(from: &[u8], effort: Effort) {
    let to = recoded(from, effort, SIZE_BYTES_MAX).expect("small enough");
    let (from, to) = (BatchView::first(from).unwrap(), BatchView::first(&to).unwrap());
    assert_eq!(to.codec(), Ok(effort.codec));
    assert_eq!(kept(&to), kept(&from));
    assert_eq!(records(&to), records(&from));
    let rules = Rules::of_any_topic(Depth::Records);
    assert!(validate(to.bytes(), &rules).is_ok(), "checksum and length");
}

fn some_records(codec: Codec) -> BatchBuilder {
    let mut builder = BatchBuilder::new(codec).producer(ProducerId(4000), ProducerEpoch(3), 17);
    let headers: [(&str, Option<&[u8]>); 3] = [("n", Some(&[0, 1])), ("none", None), ("n", Some(&[]))];
    builder.add(Timestamp(1_700_000_000_000), Some(b"k1"), Some(b"v1"), &headers);
    builder.add(Timestamp(1_700_000_000_005), None, Some(&[7; 3_000]), &[]);
    builder.add(Timestamp(1_699_999_999_999), Some(b""), None, &[]);
    builder
}

#[test]
fn every_codec_becomes_every_other() {
    for from in CODECS {
        for to in CODECS {
            check(&some_records(from).build(), to.into());
            check(&some_records(from).transactional().build(), to.into());
        }
    }
}

#[test]
fn whose_clock_the_times_are_stays() {
    let mut from = some_records(Codec::Gzip).build_mut();
    set_log_append_time(&mut from, Timestamp(1_800_000_000_000));
    check(&from, Codec::Lz4.into());
    let to = recoded(&from, Codec::Lz4.into(), SIZE_BYTES_MAX).unwrap();
    let to = BatchView::first(&to).unwrap();
    assert_eq!(to.timestamp_type(), TimestampType::LogAppendTime);
}

#[test]
fn what_is_too_large_in_the_new_codec_is_refused() {
    let from = some_records(Codec::Zstd).build();
    let size_bytes = recoded(&from, Codec::None.into(), SIZE_BYTES_MAX).unwrap().len();
    assert!(from.len() < 1_000 && size_bytes > 3_000);
    assert!(recoded(&from, Codec::None.into(), size_bytes).is_ok());
    let size_bytes_max = size_bytes - 1;
    let refused = recoded(&from, Codec::None.into(), size_bytes_max).expect_err("one byte too many");
    assert_eq!(refused, Unfit::TooLargeRecoded { size_bytes_max });
    assert_eq!(refused.code(), ErrorCode::MESSAGE_TOO_LARGE);
}

/// Records of 20 MiB, in next to nothing.
fn bomb(codec: Codec) -> bytes::Bytes {
    let mut builder = BatchBuilder::new(codec);
    for _ in 0..20 {
        builder.add(Timestamp(5), None, Some(&vec![0; 1 << 20]), &[]);
    }
    builder.build()
}

#[test]
fn a_bomb_is_not_unpacked_beyond_what_the_topic_takes() {
    let turns = Cell::new(0);
    let mut batch = Arrived::from(BytesMut::from(&bomb(Codec::Zstd)[..]));
    at_once(batch.check_in_turns(&Rules::of_any_topic(Depth::Records), async || {})).unwrap();
    let refused = at_once(
        batch.recode_in_turns(Codec::None.into(), SIZE_BYTES_MAX, async || {
            turns.set(turns.get() + 1);
        }),
    );
    let expected = Unfit::TooLargeRecoded {
        size_bytes_max: SIZE_BYTES_MAX,
    };
    assert_eq!(refused, Err(expected));
    assert!(
        turns.get() <= SIZE_BYTES_MAX / TURN_BYTES,
        "{} turns",
        turns.get()
    );
}

#[test]
fn a_large_batch_lets_others_in_between_whatever_its_codec() {
    for codec in CODECS {
        let turns = Cell::new(0);
        let mut batch = Arrived::from(BytesMut::from(&bomb(codec)[..]));
        let nothing = async || {};
        at_once(batch.check_in_turns(&Rules::of_any_topic(Depth::Records), nothing)).unwrap();
        assert!(batch.is_large());
        let to = match codec {
            Codec::Lz4 => Codec::Snappy,
            _ => Codec::Lz4,
        };
        let recoded = at_once(batch.recode_in_turns(to.into(), usize::MAX, async || {
            turns.set(turns.get() + 1);
        }));
        assert_eq!(recoded, Ok(()));
        assert!(
            turns.get() >= (20 << 20) / TURN_BYTES,
            "{codec}: {} turns",
            turns.get()
        );
    }
}

fn some_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))
}

type AnyRecord = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(String, Option<Vec<u8>>)>,
);

fn any_record() -> impl Strategy<Value = AnyRecord> {
    let headers = proptest::collection::vec((".{0,5}", some_bytes()), 0..4);
    (-1..i64::MAX, some_bytes(), some_bytes(), headers)
}

proptest! {
    #[test]
    fn no_record_is_lost(
        records in proptest::collection::vec(any_record(), 1..30),
        from in 0u8..5,
        to in 0u8..5,
        sequence in 0..i32::MAX,
    ) {
        let codec = |id| Codec::from_id(id).expect("one of five");
        let mut builder = BatchBuilder::new(codec(from)).producer(ProducerId(7), ProducerEpoch(2), sequence);
        for (timestamp, key, value, headers) in &records {
            let headers: Vec<(&str, Option<&[u8]>)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_deref()))
                .collect();
            builder.add(Timestamp(*timestamp), key.as_deref(), value.as_deref(), &headers);
        }
        check(&builder.build(), codec(to).into());
    }
}
