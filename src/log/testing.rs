//! Batches for tests, made by hand so that they don't share a mistake with the code under test.

use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, crc32c};
use crate::wire::batch::{BatchBuilder, ControlType};
use crate::wire::compression::Codec;

use super::{Log, names};

/// Who produced a test batch.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// An uncompressed batch of records without keys, `(timestamp, value)` each, of leader epoch 0 and no producer.
pub fn batch(base_offset: i64, records: &[(i64, &str)]) -> Vec<u8> {
    batch_of(
        base_offset,
        0,
        Producer {
            id: -1,
            epoch: -1,
            sequence: -1,
        },
        records,
    )
}

/// The same of a leader epoch and a producer.
pub fn batch_of(base_offset: i64, leader_epoch: i32, producer: Producer, records: &[(i64, &str)]) -> Vec<u8> {
    let base_timestamp = records[0].0;
    let max_timestamp = records.iter().map(|record| record.0).max().unwrap();
    let mut body = Vec::new();
    for (delta, (timestamp, value)) in records.iter().enumerate() {
        let mut record = vec![0];
        varint(&mut record, timestamp - base_timestamp);
        varint(&mut record, delta as i64);
        varint(&mut record, -1);
        varint(&mut record, value.len() as i64);
        record.extend(value.as_bytes());
        varint(&mut record, 0);
        varint(&mut body, record.len() as i64);
        body.extend(record);
    }
    let mut bytes = Vec::new();
    bytes.extend(base_offset.to_be_bytes());
    bytes.extend((body.len() as i32 + 49).to_be_bytes());
    bytes.extend(leader_epoch.to_be_bytes());
    bytes.push(2);
    bytes.extend([0; 4]);
    bytes.extend([0; 2]);
    bytes.extend((records.len() as i32 - 1).to_be_bytes());
    bytes.extend(base_timestamp.to_be_bytes());
    bytes.extend(max_timestamp.to_be_bytes());
    bytes.extend(producer.id.to_be_bytes());
    bytes.extend(producer.epoch.to_be_bytes());
    bytes.extend(producer.sequence.to_be_bytes());
    bytes.extend((records.len() as i32).to_be_bytes());
    bytes.extend(body);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A batch of a producer's transaction: a record without a key for each value, all of one time.
pub fn transactional(base_offset: i64, producer: Producer, values: &[&str], at: Timestamp) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None)
        .producer(
            ProducerId(producer.id),
            ProducerEpoch(producer.epoch),
            producer.sequence,
        )
        .transactional()
        .at(Offset(base_offset), LeaderEpoch(0));
    for value in values {
        batch.add(at, None, Some(value.as_bytes()), &[]);
    }
    batch.build().to_vec()
}

/// The marker that ends a producer's transaction; of coordinator epoch 0.
pub fn end_of_transaction(base_offset: i64, producer: Producer, is_abort: bool, at: Timestamp) -> Vec<u8> {
    let mut batch = BatchBuilder::new(Codec::None)
        .producer(ProducerId(producer.id), ProducerEpoch(producer.epoch), -1)
        .transactional()
        .control()
        .at(Offset(base_offset), LeaderEpoch(0));
    let control_type = match is_abort {
        true => ControlType::Abort,
        false => ControlType::Commit,
    };
    batch.add_control(at, control_type, &[0; 6]);
    batch.build().to_vec()
}

fn varint(bytes: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        bytes.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
}

impl Log {
    /// What the upkeep comes to, without a core.
    pub fn settle_now(&mut self) {
        for sealed in self.first_unsettled()..self.segments.len() - 1 {
            let next = self.segments[sealed + 1].base();
            self.segments[sealed].seal_now().unwrap();
            if let Some(snapshot) = self.segments[sealed].snapshot() {
                let path = self.dir.join(names::offset_file(next, names::SNAPSHOT));
                std::fs::write(path, snapshot).unwrap();
            }
            self.segments[sealed].settle();
        }
        self.segments
            .iter_mut()
            .for_each(|segment| segment.name_now().unwrap());
    }
}
