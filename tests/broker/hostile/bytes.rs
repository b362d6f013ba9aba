//! Requests as bytes, with nothing that keeps them right: the codec under test takes no part in making them.

use ringlog::wire::messages::api_versions_request::ApiVersionsRequest;

use crate::connections::TOPIC;
use crate::harness::Broker;
use crate::raw::Connection;

/// Of every request here.
pub const CORRELATION_ID: i32 = 77;

/// Which APIs the broker serves, in which versions.
pub fn fetch_versions_of(broker: &Broker) -> Vec<(i16, i16, i16)> {
    let answer = Connection::open(broker).call(0, &ApiVersionsRequest::default());
    let apis = answer.api_keys.iter();
    apis.map(|api| (api.api_key, api.min_version, api.max_version))
        .collect()
}

/// A frame of these parts, its size right.
pub fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as i32).to_be_bytes()[..], &body].concat()
}

/// A request header of the older form; the newer one has a byte of tags behind it.
pub fn header(key: i16, version: i16, client_id: Option<&str>) -> Vec<u8> {
    let mut header = [key.to_be_bytes(), version.to_be_bytes()].concat();
    header.extend(CORRELATION_ID.to_be_bytes());
    match client_id {
        Some(client_id) => header.extend(text(client_id.as_bytes())),
        None => header.extend((-1i16).to_be_bytes()),
    }
    header
}

/// A whole request.
pub fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    framed(&[&header(key, version, Some("hostile")), body])
}

/// ApiVersions version 0, which has no body.
pub fn api_versions() -> Vec<u8> {
    request(18, 0, &[])
}

pub fn i16(value: i16) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub fn i32(value: i32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub fn i64(value: i64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

/// A string with its length.
pub fn text(value: &[u8]) -> Vec<u8> {
    [&(value.len() as i16).to_be_bytes()[..], value].concat()
}

/// An array of one.
pub fn one(element: Vec<u8>) -> Vec<u8> {
    [i32(1), element].concat()
}

/// Where a Produce version 3 answer has the error code of its first partition.
pub const PRODUCE_CODE_AT: usize = 4 + 4 + 2 + TOPIC.len() + 4 + 4;

/// Produce version 3 of these partitions' parts.
pub fn produce_parts(
    acks: i16,
    timeout_ms: i32,
    transactional_id: Option<&str>,
    parts: &[Vec<u8>],
) -> Vec<u8> {
    let id = transactional_id.map_or_else(|| i16(-1), |id| text(id.as_bytes()));
    let topic = [text(TOPIC.as_bytes()), i32(parts.len() as i32), parts.concat()].concat();
    request(0, 3, &[id, i16(acks), i32(timeout_ms), one(topic)].concat())
}

/// One partition's part of a Produce request.
pub fn part(partition: i32, records: &[u8]) -> Vec<u8> {
    [i32(partition), i32(records.len() as i32), records.to_vec()].concat()
}

/// Produce of `records` to partition 0, with `acks`.
pub fn produce(acks: i16, records: &[u8]) -> Vec<u8> {
    produce_parts(acks, 1_000, None, &[part(0, records)])
}

/// A batch whose every field may be wrong.
#[derive(Clone)]
pub struct Batch {
    pub length: Option<i32>,
    pub magic: i8,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub producer: (i64, i16, i32),
    pub count: i32,
    pub payload: Vec<u8>,
    pub crc_off_by: u32,
}

impl Batch {
    /// A good one of one record.
    pub fn good() -> Batch {
        Batch {
            length: None,
            magic: 2,
            attributes: 0,
            last_offset_delta: 0,
            producer: (-1, -1, -1),
            count: 1,
            payload: record(b"tick"),
            crc_off_by: 0,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let at = 1_703_462_400_000;
        let (producer_id, epoch, sequence) = self.producer;
        let covered = [
            i16(self.attributes),
            i32(self.last_offset_delta),
            i64(at),
            i64(at),
            i64(producer_id),
            i16(epoch),
            i32(sequence),
            i32(self.count),
            self.payload.clone(),
        ]
        .concat();
        let crc = crc32c::crc32c(&covered).wrapping_add(self.crc_off_by);
        let length = self.length.unwrap_or(covered.len() as i32 + 9);
        let head = [i64(0), i32(length), i32(-1)].concat();
        [&head[..], &[self.magic as u8], &crc.to_be_bytes(), &covered].concat()
    }
}

/// A record with this value, and no key.
pub fn record(value: &[u8]) -> Vec<u8> {
    let body = [
        &[0][..],
        &varint(0),
        &varint(0),
        &varint(-1),
        &varint(value.len() as i64),
        value,
        &varint(0),
    ]
    .concat();
    [varint(body.len() as i64), body].concat()
}

/// Kafka's zigzag varint.
pub fn varint(value: i64) -> Vec<u8> {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// Where a Fetch version 11 answer has its own error code, and that of its first partition.
pub const FETCH_CODE_AT: usize = 8;
pub const FETCH_PARTITION_CODE_AT: usize = 8 + 2 + 4 + 4 + 2 + TOPIC.len() + 4 + 4;

/// What a Fetch version 11 asks.
pub struct Fetch {
    pub replica: i32,
    pub wait_ms: i32,
    pub bytes_min: i32,
    pub bytes_max: i32,
    pub isolation: i8,
    pub session: (i32, i32),
    /// Partition, offset, and its most bytes.
    pub partitions: Vec<(i32, i64, i32)>,
}

impl Fetch {
    /// A good one of partition 0.
    pub fn good() -> Fetch {
        Fetch {
            replica: -1,
            wait_ms: 0,
            bytes_min: 1,
            bytes_max: 1 << 20,
            isolation: 0,
            session: (0, -1),
            partitions: vec![(0, 0, 1 << 20)],
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let partition = |(index, offset, bytes_max): &(i32, i64, i32)| {
            [i32(*index), i32(-1), i64(*offset), i64(-1), i32(*bytes_max)].concat()
        };
        let partitions: Vec<u8> = self.partitions.iter().flat_map(partition).collect();
        let topic = [
            text(TOPIC.as_bytes()),
            i32(self.partitions.len() as i32),
            partitions,
        ]
        .concat();
        let body = [
            i32(self.replica),
            i32(self.wait_ms),
            i32(self.bytes_min),
            i32(self.bytes_max),
            vec![self.isolation as u8],
            i32(self.session.0),
            i32(self.session.1),
            one(topic),
            i32(0),
            text(b""),
        ];
        request(1, 11, &body.concat())
    }
}

/// Where a ListOffsets version 2 answer has the error code of its first partition.
pub const LIST_OFFSETS_CODE_AT: usize = 4 + 4 + 4 + 2 + TOPIC.len() + 4 + 4;

/// ListOffsets version 2 of these partitions and times.
pub fn list_offsets(isolation: i8, asked: &[(i32, i64)]) -> Vec<u8> {
    let partition = |(index, time): &(i32, i64)| [i32(*index), i64(*time)].concat();
    let partitions: Vec<u8> = asked.iter().flat_map(partition).collect();
    let topic = [text(TOPIC.as_bytes()), i32(asked.len() as i32), partitions].concat();
    request(2, 2, &[i32(-1), vec![isolation as u8], one(topic)].concat())
}
