//! The inputs, by the name that docs/compatibility.md has for each.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use ringlog::wire::ErrorCode;

use super::Outcome::{self, Closed, Error, Served, Waits};
use super::bytes::*;

/// One line of the table.
pub struct Row {
    pub what: &'static str,
    pub input: Vec<u8>,
    /// How many bytes go at once.
    pub piece_bytes: usize,
    pub outcome: Outcome,
}

fn row(what: &'static str, input: Vec<u8>, outcome: Outcome) -> Row {
    Row {
        what,
        input,
        piece_bytes: usize::MAX,
        outcome,
    }
}

/// Every line of the table.
pub fn rows() -> Vec<Row> {
    [
        frames(),
        headers(),
        bodies(),
        other_protocols(),
        produced(),
        batches(),
        fetched(),
        listed(),
        administered(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn frames() -> Vec<Row> {
    let good = api_versions();
    vec![
        row(
            "a frame of a negative size",
            [i32(-1), good.clone()].concat(),
            Closed,
        ),
        row(
            "a frame over `socket.request.max.bytes`",
            [i32(104_857_601), good.clone()].concat(),
            Closed,
        ),
        row("a frame of no bytes", [i32(0), good.clone()].concat(), Closed),
        row(
            "a frame that does not come whole",
            [i32(1_000), vec![0; 10]].concat(),
            Waits,
        ),
        Row {
            piece_bytes: 1,
            ..row("a frame in pieces of one byte", good, Served(Some(4)))
        },
    ]
}

fn headers() -> Vec<Row> {
    let metadata = |client_id: &[u8]| {
        let header = header(3, 1, None);
        framed(&[&header[..8], client_id, &i32(0)])
    };
    vec![
        row(
            "a header that is cut short",
            framed(&[&header(3, 1, None)[..6]]),
            Closed,
        ),
        row(
            "a header without its client id",
            framed(&[&header(3, 1, None)[..8]]),
            Closed,
        ),
        row("a client id of null", metadata(&i16(-1)), Served(None)),
        row(
            "a client id that is not UTF-8",
            metadata(&text(&[0xff, 0xfe, 0x80])),
            Served(None),
        ),
        row("a client id longer than the frame", metadata(&i16(5_000)), Closed),
        row(
            "a header alone, of an API without a body",
            framed(&[&header(18, 0, None)]),
            Served(Some(4)),
        ),
        row(
            "a header alone, of an API with a body",
            framed(&[&header(3, 1, None)]),
            Closed,
        ),
        row(
            "a flexible version's header without its tags",
            framed(&[&header(18, 3, None)]),
            Closed,
        ),
        row("an API key that does not exist", request(9_999, 0, &[]), Closed),
        row(
            "an API of another listener (Vote)",
            request(52, 0, &[0; 20]),
            Closed,
        ),
        row(
            "an API that Kafka no longer has (LeaderAndIsr)",
            request(4, 0, &[0; 20]),
            Closed,
        ),
        row(
            "an API that is not advertised (GetTelemetrySubscriptions)",
            request(71, 0, &[0; 20]),
            Closed,
        ),
        row("a version that is not served", request(3, 99, &[0; 20]), Closed),
        row(
            "a version of ApiVersions that is not served",
            request(18, 99, &[0, 1, 1, 0]),
            Error(ErrorCode::UNSUPPORTED_VERSION, 4),
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let metadata = |version, body: &[Vec<u8>]| request(3, version, &body.concat());
    let software = |name: &[u8], version: &[u8]| {
        let compact = |text: &[u8]| [&[text.len() as u8 + 1][..], text].concat();
        request(
            18,
            3,
            &[&[0][..], &compact(name), &compact(version), &[0]].concat(),
        )
    };
    vec![
        row("a body that is cut short", metadata(4, &[vec![0, 0]]), Closed),
        row(
            "bytes behind the body",
            metadata(1, &[i32(0), b"behind".to_vec()]),
            Served(None),
        ),
        row(
            "an array of more elements than the frame has bytes",
            metadata(1, &[i32(i32::MAX)]),
            Closed,
        ),
        row(
            "an array of fewer elements than it claims",
            metadata(1, &[i32(1_000), text(b"a")]),
            Closed,
        ),
        row(
            "a string longer than the frame",
            metadata(1, &[i32(1), i16(30_000), b"a".to_vec()]),
            Closed,
        ),
        row(
            "null for a string that may not be",
            metadata(1, &[i32(1), i16(-1)]),
            Closed,
        ),
        row(
            "a varint without an end",
            metadata(9, &[vec![0], vec![0xff; 10]]),
            Closed,
        ),
        row(
            "more tags than the frame has bytes",
            request(18, 3, &[0xff, 0xff, 0xff, 0xff, 7]),
            Closed,
        ),
        row(
            "a tag longer than the frame",
            request(18, 3, &[1, 0, 0xff, 0xff, 0xff, 7]),
            Closed,
        ),
        row(
            "a tag that nobody knows",
            request(18, 3, &[1, 9, 2, b'a', b'b', 2, b'x', 2, b'1', 0]),
            Served(Some(4)),
        ),
        row(
            "a software name outside Kafka's pattern",
            software(b"bad name!", b"1"),
            Error(ErrorCode::INVALID_REQUEST, 4),
        ),
        row(
            "a topic name that is not UTF-8",
            metadata(0, &[i32(1), text(&[0xff, 0xfe])]),
            Closed,
        ),
        row(
            "a topic name that is not allowed",
            metadata(0, &[i32(1), text(b"../etc")]),
            Error(ErrorCode::INVALID_TOPIC_EXCEPTION, METADATA_CODE_AT),
        ),
    ]
}

/// Where a Metadata version 0 answer of one broker at 127.0.0.1 has the error code of its first topic.
const METADATA_CODE_AT: usize = 4 + 4 + 4 + 2 + "127.0.0.1".len() + 4 + 4;

fn other_protocols() -> Vec<Row> {
    let hello = [&[0x16, 3, 1, 0, 0xc8, 1, 0, 0, 0xc4, 3, 3][..], &[0x11; 194]].concat();
    vec![
        row("a TLS ClientHello", hello, Closed),
        row(
            "an HTTP request",
            b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec(),
            Closed,
        ),
        row("an SSH greeting", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(), Closed),
        row(
            "a SASL token without a header",
            [i32(12), b"\0user\0secret".to_vec()].concat(),
            Closed,
        ),
        row(
            "SaslHandshake",
            request(17, 1, &text(b"PLAIN")),
            Error(ErrorCode::ILLEGAL_SASL_STATE, 4),
        ),
        row(
            "SaslAuthenticate",
            request(36, 1, &[i32(3), b"abc".to_vec()].concat()),
            Error(ErrorCode::ILLEGAL_SASL_STATE, 4),
        ),
    ]
}

fn produced() -> Vec<Row> {
    let good = Batch::good().bytes();
    let bad = Batch {
        crc_off_by: 1,
        ..Batch::good()
    }
    .bytes();
    let at = PRODUCE_CODE_AT;
    let transactional = Batch {
        attributes: 0x10,
        producer: (5, 0, 0),
        ..Batch::good()
    }
    .bytes();
    vec![
        row(
            "Produce version 2 or older",
            request(0, 2, &[i16(1), i32(1_000), i32(0)].concat()),
            Closed,
        ),
        row(
            "`acks` other than -1, 0 and 1",
            produce(2, &good),
            Error(ErrorCode::INVALID_REQUIRED_ACKS, at),
        ),
        row("a batch that is refused, with `acks=0`", produce(0, &bad), Closed),
        row(
            "Produce with a timeout below 0",
            produce_parts(-1, -5, None, &[part(0, &good)]),
            Served(Some(at)),
        ),
        row(
            "a partition twice in one Produce",
            produce_parts(-1, 1_000, None, &[part(0, &good), part(0, &good)]),
            Served(Some(at)),
        ),
        row(
            "Produce to a partition that is not there",
            produce_parts(-1, 1_000, None, &[part(-1, &good)]),
            Error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, at),
        ),
        row(
            "transactional records without a transactional id",
            produce(-1, &transactional),
            Error(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, at),
        ),
        row(
            "plain records with a transactional id",
            produce_parts(-1, 1_000, Some("t"), &[part(0, &good)]),
            Served(Some(at)),
        ),
        row(
            "Produce of no batch",
            produce(-1, &[]),
            Error(ErrorCode::INVALID_RECORD, at),
        ),
        row(
            "Produce of null",
            produce_parts(-1, 1_000, None, &[[i32(0), i32(-1)].concat()]),
            Error(ErrorCode::INVALID_RECORD, at),
        ),
        row(
            "Produce of several batches",
            produce(-1, &[good.clone(), good.clone()].concat()),
            Error(ErrorCode::INVALID_RECORD, at),
        ),
        row(
            "bytes behind the batch",
            produce(-1, &[&good[..], b"xyz"].concat()),
            Error(ErrorCode::INVALID_RECORD, at),
        ),
        row(
            "a batch that is cut short",
            produce(-1, &good[..good.len() - 3]),
            Error(ErrorCode::INVALID_RECORD, at),
        ),
    ]
}

fn batches() -> Vec<Row> {
    let good = Batch::good();
    let refused =
        |what, batch: Batch, code| row(what, produce(-1, &batch.bytes()), Error(code, PRODUCE_CODE_AT));
    let [zeros, one_record] = bombs();
    vec![
        refused(
            "a batch with a wrong CRC",
            Batch {
                crc_off_by: 1,
                ..good.clone()
            },
            ErrorCode::CORRUPT_MESSAGE,
        ),
        refused(
            "a batch of a format that is not there yet",
            Batch {
                magic: 3,
                ..good.clone()
            },
            ErrorCode::CORRUPT_MESSAGE,
        ),
        refused(
            "a batch of an old format",
            Batch {
                magic: 1,
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a batch of a negative length",
            Batch {
                length: Some(-1),
                ..good.clone()
            },
            ErrorCode::CORRUPT_MESSAGE,
        ),
        refused(
            "a batch longer than the request",
            Batch {
                length: Some(1 << 30),
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a batch of fewer records than it claims",
            Batch {
                count: 5,
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a batch of no records",
            Batch {
                count: 0,
                payload: vec![],
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a batch whose last offset is not its records'",
            Batch {
                last_offset_delta: 7,
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a record longer than its batch",
            Batch {
                payload: [varint(1_000), vec![0; 5]].concat(),
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a codec that does not exist",
            Batch {
                attributes: 7,
                ..good.clone()
            },
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ),
        refused(
            "a compressed batch that is not compressed",
            Batch {
                attributes: 1,
                payload: b"no gzip".to_vec(),
                ..good.clone()
            },
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ),
        refused(
            "a control batch of a client",
            Batch {
                attributes: 0x20,
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "a producer epoch below -1",
            Batch {
                producer: (5, -2, 0),
                ..good.clone()
            },
            ErrorCode::INVALID_PRODUCER_EPOCH,
        ),
        refused(
            "a producer without a sequence",
            Batch {
                producer: (5, 0, -1),
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "128 MiB of zeros in a small gzip",
            Batch {
                attributes: 1,
                payload: zeros.clone(),
                ..good.clone()
            },
            ErrorCode::INVALID_RECORD,
        ),
        refused(
            "one record of 128 MiB in a small gzip",
            Batch {
                attributes: 1,
                payload: one_record.clone(),
                ..good
            },
            ErrorCode::MESSAGE_TOO_LARGE,
        ),
    ]
}

/// Nothing but zeros, and a record of them, of 128 MiB each: more than a batch may unpack to. Made once, since it takes a while.
fn bombs() -> &'static [Vec<u8>; 2] {
    static BOMBS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    BOMBS.get_or_init(|| {
        let zeros = vec![0; 128 << 20];
        [gzip(&zeros), gzip(&record(&zeros))]
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn fetched() -> Vec<Row> {
    let at = FETCH_PARTITION_CODE_AT;
    let fetch = |change: &dyn Fn(&mut Fetch)| {
        let mut fetch = Fetch::good();
        change(&mut fetch);
        fetch.bytes()
    };
    vec![
        row(
            "an isolation level that does not exist, in Fetch",
            fetch(&|fetch| fetch.isolation = 2),
            Error(ErrorCode::UNKNOWN_SERVER_ERROR, FETCH_CODE_AT),
        ),
        row(
            "a fetch session that does not exist",
            fetch(&|fetch| fetch.session = (5, 3)),
            Error(ErrorCode::FETCH_SESSION_ID_NOT_FOUND, FETCH_CODE_AT),
        ),
        row(
            "a partition twice in one Fetch",
            fetch(&|fetch| fetch.partitions = vec![(0, 0, 1 << 20); 2]),
            Served(Some(at)),
        ),
        row(
            "Fetch of a partition that is not there",
            fetch(&|fetch| fetch.partitions = vec![(-1, 0, 1 << 20)]),
            Error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, at),
        ),
        row(
            "Fetch from an offset below 0",
            fetch(&|fetch| fetch.partitions = vec![(0, -1, 1 << 20)]),
            Error(ErrorCode::OFFSET_OUT_OF_RANGE, at),
        ),
        row(
            "Fetch of fewer than 0 bytes",
            fetch(&|fetch| fetch.bytes_max = -1),
            Served(Some(at)),
        ),
        row(
            "Fetch with waits below 0",
            fetch(&|fetch| (fetch.wait_ms, fetch.bytes_min) = (-1, -1)),
            Served(Some(at)),
        ),
        row(
            "Fetch as a replica that is none",
            fetch(&|fetch| fetch.replica = 5),
            Error(ErrorCode::NOT_LEADER_OR_FOLLOWER, at),
        ),
        row(
            "Fetch of more than 262,144 partitions",
            fetch(&|fetch| fetch.partitions = vec![(0, 0, 0); 300_000]),
            Closed,
        ),
    ]
}

fn listed() -> Vec<Row> {
    let at = LIST_OFFSETS_CODE_AT;
    vec![
        row(
            "an isolation level that does not exist, in ListOffsets",
            list_offsets(2, &[(0, -1)]),
            Error(ErrorCode::UNKNOWN_SERVER_ERROR, at),
        ),
        row(
            "a partition twice in one ListOffsets",
            list_offsets(0, &[(0, -1), (0, -2)]),
            Error(ErrorCode::INVALID_REQUEST, at),
        ),
        row(
            "a time that has no meaning",
            list_offsets(0, &[(0, -9)]),
            Error(ErrorCode::UNSUPPORTED_VERSION, at),
        ),
    ]
}

fn administered() -> Vec<Row> {
    let name = "not-there";
    let topic = [text(name.as_bytes()), i32(1), i16(1), i32(0), i32(0)].concat();
    let create = |timeout_ms| request(19, 2, &[one(topic.clone()), i32(timeout_ms), vec![1]].concat());
    let delete = |timeout_ms| request(20, 1, &[one(text(name.as_bytes())), i32(timeout_ms)].concat());
    let find = |key_type: i8| request(10, 1, &[text(b"group"), vec![key_type as u8]].concat());
    let identify = |id: i64, epoch: i16| {
        let body = [vec![0], vec![0], i32(1_000), i64(id), i16(epoch), vec![0]].concat();
        request(22, 3, &body)
    };
    let transact = |timeout_ms| request(22, 1, &[text(b"t"), i32(timeout_ms)].concat());
    let topic_code_at = 4 + 4 + 4 + 2 + name.len();
    vec![
        row(
            "CreateTopics with no time",
            create(0),
            Error(ErrorCode::REQUEST_TIMED_OUT, topic_code_at),
        ),
        row(
            "DeleteTopics with no time",
            delete(0),
            Error(ErrorCode::REQUEST_TIMED_OUT, topic_code_at),
        ),
        row(
            "FindCoordinator for a type of key that does not exist",
            find(5),
            Error(ErrorCode::INVALID_REQUEST, 8),
        ),
        row(
            "InitProducerId with an id and no epoch",
            identify(5, -1),
            Error(ErrorCode::INVALID_REQUEST, 9),
        ),
        row(
            "InitProducerId with an epoch and no id",
            identify(-1, 3),
            Error(ErrorCode::INVALID_REQUEST, 9),
        ),
        row(
            "a transaction of no time",
            transact(0),
            Error(ErrorCode::INVALID_TRANSACTION_TIMEOUT, 8),
        ),
        row(
            "a transaction of more time than is allowed",
            transact(2_000_000_000),
            Error(ErrorCode::INVALID_TRANSACTION_TIMEOUT, 8),
        ),
    ]
}
