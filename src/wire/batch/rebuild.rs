//! Takes records out of a batch (Kafka's `MemoryRecords.filterTo`): those that stay keep their offsets, and the batch its codec, its
//! producer and its last offset, hence its last sequence.

use std::cmp::max;

use bytes::BytesMut;

use super::edit::{put, set_crc};
use super::recode::TURN_BYTES;
use super::record::Record;
use super::{BatchView, TimestampType, layout};
use crate::base::Timestamp;
use crate::wire::compression::{Codec, Compressor};
use crate::wire::varint;

/// What stays of a batch.
pub struct Rebuilt<'a> {
    of: BatchView<'a>,
    /// Room for the header, then the records that stay, not compressed.
    bytes: Vec<u8>,
    /// From when on tombstones and markers of it may go, if it says so (KIP-534); its records' times count from here then.
    delete_horizon: Option<Timestamp>,
    base_timestamp: Option<Timestamp>,
    max_timestamp: Timestamp,
    count: i32,
}

impl<'a> Rebuilt<'a> {
    /// Nothing of `of` yet.
    pub fn new(of: BatchView<'a>, delete_horizon: Option<Timestamp>) -> Rebuilt<'a> {
        Rebuilt {
            of,
            bytes: vec![0; layout::RECORDS],
            delete_horizon,
            base_timestamp: delete_horizon,
            max_timestamp: Timestamp::NONE,
            count: 0,
        }
    }

    /// Keeps a record of the batch, behind those that were kept before.
    pub fn keep(&mut self, record: &Record<'_>) {
        let base_timestamp = *self.base_timestamp.get_or_insert(record.timestamp);
        let timestamp_delta = varint::zigzag64(record.timestamp.0.wrapping_sub(base_timestamp.0));
        let offset_delta = varint::zigzag64(record.offset_delta.into());
        let size = 1 + varint::len_of(timestamp_delta) + varint::len_of(offset_delta) + record.body.len();
        self.put(varint::zigzag64(size as i64));
        self.bytes.push(0);
        self.put(timestamp_delta);
        self.put(offset_delta);
        self.bytes.extend_from_slice(record.body);
        self.max_timestamp = max(self.max_timestamp, record.timestamp);
        self.count += 1;
    }

    /// The batch of what was kept, with a `turn` for others after every [`TURN_BYTES`] that are compressed.
    ///
    /// # Panics
    /// When the batch it is made of has a codec that does not exist, or this one comes to 2 GiB.
    pub async fn finish(mut self, turn: impl AsyncFn()) -> Vec<u8> {
        let codec = self.of.codec().expect("its records were read");
        if codec != Codec::None {
            let (head, records) = self.bytes.split_at(layout::RECORDS);
            let mut compressor = Compressor::new(codec.into(), records.len(), BytesMut::from(head));
            for piece in records.chunks(TURN_BYTES) {
                compressor.write(piece);
                turn().await;
            }
            self.bytes = compressor.finish().into();
        }
        let max_timestamp = match self.of.timestamp_type() {
            TimestampType::CreateTime => self.max_timestamp,
            TimestampType::LogAppendTime => self.of.max_timestamp(),
        };
        let horizon = match self.delete_horizon {
            Some(_) => layout::DELETE_HORIZON,
            None => 0,
        };
        let header = Header {
            attributes: self.of.attributes() & !layout::DELETE_HORIZON | horizon,
            base_timestamp: self.base_timestamp.unwrap_or(Timestamp::NONE),
            max_timestamp,
            count: self.count,
        };
        header.write(&self.of, &mut self.bytes);
        self.bytes
    }

    fn put(&mut self, value: u64) {
        let (bytes, len) = varint::bytes_of(value);
        self.bytes.extend_from_slice(&bytes[..len]);
    }
}

/// What stays of a batch that is kept for its last offset and sequence alone: its header (`DefaultRecordBatch.writeEmptyHeader`).
pub fn emptied(of: &BatchView<'_>) -> Vec<u8> {
    let mut bytes = vec![0; layout::RECORDS];
    let header = Header {
        attributes: of.attributes() & !(layout::CODEC_MASK | layout::DELETE_HORIZON),
        base_timestamp: Timestamp::NONE,
        max_timestamp: of.max_timestamp(),
        count: 0,
    };
    header.write(of, &mut bytes);
    bytes
}

/// What of a header is not as it was.
struct Header {
    attributes: i16,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    count: i32,
}

impl Header {
    /// Writes it in front of the records that `batch` has.
    fn write(&self, of: &BatchView<'_>, batch: &mut [u8]) {
        let length = i32::try_from(batch.len() - layout::LENGTH_OVERHEAD).expect("a batch below 2 GiB");
        batch[..layout::RECORDS].copy_from_slice(&of.bytes()[..layout::RECORDS]);
        put(batch, layout::LENGTH, length.to_be_bytes());
        put(batch, layout::ATTRIBUTES, self.attributes.to_be_bytes());
        put(batch, layout::BASE_TIMESTAMP, self.base_timestamp.0.to_be_bytes());
        put(batch, layout::MAX_TIMESTAMP, self.max_timestamp.0.to_be_bytes());
        put(batch, layout::RECORDS_COUNT, self.count.to_be_bytes());
        set_crc(batch);
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::at_once;
    use super::*;
    use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
    use crate::wire::batch::BatchBuilder;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// Four records from offset 100 on, the second of them a tombstone, the third the latest.
    fn four(codec: Codec) -> bytes::Bytes {
        let mut batch = BatchBuilder::new(codec)
            .producer(ProducerId(7), ProducerEpoch(2), 40)
            .transactional()
            .at(Offset(100), LeaderEpoch(3));
        batch.add(
            Timestamp(1000),
            Some(b"a"),
            Some(b"1"),
            &[("h", Some(b"x")), ("n", None)],
        );
        batch.add(Timestamp(1001), Some(b"b"), None, &[]);
        batch.add(Timestamp(1500), Some(b"c"), Some(&[7; 300]), &[]);
        batch.add(Timestamp(999), Some(b"d"), Some(b""), &[]);
        batch.build()
    }

    fn kept(batch: &[u8], horizon: Option<Timestamp>, wanted: impl Fn(&Record<'_>) -> bool) -> Vec<u8> {
        let view = BatchView::first(batch).unwrap();
        let payload = view.payload(1 << 20).unwrap();
        let mut rebuilt = Rebuilt::new(view, horizon);
        for record in view.records(&payload).map(Result::unwrap).filter(|r| wanted(r)) {
            rebuilt.keep(&record);
        }
        at_once(rebuilt.finish(async || {}))
    }

    /// Offset, time, key, value and headers of every record.
    fn shown(batch: &[u8]) -> Vec<String> {
        let view = BatchView::first(batch).unwrap();
        assert!(view.crc_is_valid());
        let payload = view.payload(1 << 20).unwrap();
        let records = view.records(&payload).map(Result::unwrap);
        let show = |r: Record<'_>| {
            let headers: Vec<_> = r.headers.clone().collect();
            format!(
                "{} {} {:?} {:?} {headers:?}",
                r.offset, r.timestamp.0, r.key, r.value
            )
        };
        records.map(show).collect()
    }

    #[test]
    fn what_stays_is_as_it_was_in_every_codec() {
        for codec in CODECS {
            let before = four(codec);
            let after = kept(&before, None, |record| record.offset_delta % 2 == 1);
            let (was, is) = (shown(&before), shown(&after));
            assert_eq!(is, [was[1].clone(), was[3].clone()], "{codec}");
            let (was, is) = (
                BatchView::first(&before).unwrap(),
                BatchView::first(&after).unwrap(),
            );
            assert_eq!(
                (is.base_offset(), is.last_offset()),
                (was.base_offset(), was.last_offset())
            );
            assert_eq!(is.last_sequence(), was.last_sequence());
            assert_eq!(is.producer_id(), was.producer_id());
            assert_eq!(is.attributes(), was.attributes());
            assert_eq!(is.leader_epoch(), was.leader_epoch());
            assert_eq!(
                (is.base_timestamp(), is.max_timestamp()),
                (Timestamp(1001), Timestamp(1001))
            );
        }
    }

    #[test]
    fn a_batch_of_which_everything_stays_is_the_same_bytes() {
        let before = four(Codec::None);
        assert_eq!(kept(&before, None, |_| true), before);
    }

    #[test]
    fn a_delete_horizon_stands_where_the_times_count_from_and_changes_none() {
        let before = four(Codec::Lz4);
        let after = kept(&before, Some(Timestamp(5_000_000)), |_| true);
        assert_eq!(shown(&after), shown(&before));
        let view = BatchView::first(&after).unwrap();
        assert_eq!(view.delete_horizon(), Some(Timestamp(5_000_000)));
        assert_eq!(view.max_timestamp(), Timestamp(1500));
        let again = kept(&after, None, |_| true);
        assert_eq!(again, kept(&before, None, |_| true));
    }

    #[test]
    fn the_brokers_time_stays_whatever_goes() {
        let mut before = four(Codec::None).to_vec();
        super::super::set_log_append_time(&mut before, Timestamp(9000));
        let after = kept(&before, None, |record| record.offset_delta == 0);
        assert_eq!(shown(&after), shown(&before)[..1]);
        assert_eq!(BatchView::first(&after).unwrap().max_timestamp(), Timestamp(9000));
    }

    #[test]
    fn an_emptied_batch_is_a_header_that_keeps_offsets_sequence_and_time() {
        for codec in CODECS {
            let before = four(codec);
            let was = BatchView::first(&before).unwrap();
            let after = emptied(&was);
            let is = BatchView::first(&after).unwrap();
            assert_eq!((after.len(), is.records_count()), (layout::RECORDS, 0));
            assert!(is.crc_is_valid() && is.is_transactional() && !is.is_compressed());
            assert_eq!(
                (is.last_offset(), is.last_sequence()),
                (was.last_offset(), was.last_sequence())
            );
            assert_eq!(is.max_timestamp(), was.max_timestamp());
            assert_eq!(emptied(&is), after, "once more");
        }
    }
}
