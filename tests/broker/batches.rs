//! What a producer's batch must be, seen from the socket.

use ringlog::base::{self, Timestamp};
use ringlog::wire::ErrorCode;
use ringlog::wire::batch::{BatchBuilder, layout};
use ringlog::wire::compression::Codec;

use crate::harness::Broker;
use crate::raw::{Connection, create_topic, produce_request};

const TOPIC: &str = "batches";

/// Before topic ids.
const PRODUCE: i16 = 12;

fn batch(codec: Codec) -> Vec<u8> {
    let mut batch = BatchBuilder::new(codec);
    batch.add(Timestamp(1_703_462_400_000), Some(b"k"), Some(b"tick"), &[]);
    batch.build().to_vec()
}

/// A batch of one record, whose header says that there are two.
fn lying_batch(codec: Codec) -> Vec<u8> {
    let mut batch = batch(codec);
    batch[layout::RECORDS_COUNT..][..4].copy_from_slice(&2i32.to_be_bytes());
    batch[layout::LAST_OFFSET_DELTA..][..4].copy_from_slice(&1i32.to_be_bytes());
    let crc = base::crc32c(&batch[layout::ATTRIBUTES..]);
    batch[layout::CRC..][..4].copy_from_slice(&crc.to_be_bytes());
    batch
}

/// What the broker says to `records` in a request of `version`.
fn answer(connection: &mut Connection, version: i16, records: &[u8]) -> ErrorCode {
    let answer = connection.call(version, &produce_request(TOPIC, &[0], records));
    let topic = answer.responses.iter().next().expect("the topic's answer");
    let partition = topic.partition_responses.iter().next().expect("the partition's");
    ErrorCode(partition.error_code)
}

#[test]
fn zstd_needs_a_produce_version_that_knows_it() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create_topic(&mut connection, TOPIC, 1);
    for version in [3, 6] {
        let refused = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
        assert_eq!(answer(&mut connection, version, &batch(Codec::Zstd)), refused);
        assert_eq!(
            answer(&mut connection, version, &batch(Codec::Lz4)),
            ErrorCode::NONE
        );
    }
    assert_eq!(answer(&mut connection, 7, &batch(Codec::Zstd)), ErrorCode::NONE);
}

#[test]
fn compressed_batches_that_lie_are_refused_unless_the_topic_trusts_headers() {
    for (setting, code) in [
        ("ringlog.validate=full", ErrorCode::INVALID_RECORD),
        ("ringlog.validate=header", ErrorCode::NONE),
    ] {
        let broker = Broker::start_with(&[setting]);
        let mut connection = Connection::open(&broker);
        create_topic(&mut connection, TOPIC, 1);
        assert_eq!(answer(&mut connection, PRODUCE, &lying_batch(Codec::Zstd)), code);
    }
}
