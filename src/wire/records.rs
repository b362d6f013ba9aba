//! How the metadata log frames its records (Kafka's `MetadataRecordSerde`): a frame version, the record's number, its
//! version, then its body; the first three as unsigned varints.

use bytes::Bytes;

use crate::wire::decoder::{DecodeError, Decoder, Fault};
use crate::wire::encoder::{EncodeError, Encoder};
use crate::wire::message::Encode;

pub use crate::wire::messages::MetadataRecord;

/// The only frame version so far.
const FRAME_VERSION: u32 = 1;

/// `record` as the value of a record in the metadata log.
pub fn encode_record(record: &MetadataRecord<'_>, version: i16) -> Result<Bytes, EncodeError> {
    let shown = u32::try_from(version).map_err(|_| EncodeError::UnsupportedVersion { version })?;
    let mut e = Encoder::new();
    e.put_uvarint(FRAME_VERSION);
    e.put_uvarint(record.id().unsigned_abs().into());
    e.put_uvarint(shown);
    record.encode(&mut e, version)?;
    Ok(e.into_bytes())
}

/// The record in a value of the metadata log, and its version.
///
/// # Errors
/// An unknown frame version or kind of record, a body that does not decode, or bytes behind it.
pub fn decode_record(value: &[u8]) -> Result<(MetadataRecord<'_>, i16), DecodeError> {
    let mut d = Decoder::new(value);
    let frame_version = d.uvarint()?;
    if frame_version != FRAME_VERSION {
        return Err(Fault::UnknownFrame {
            version: frame_version,
        }
        .into());
    }
    let id = d.uvarint()?;
    let version = i16::try_from(d.uvarint()?).map_err(|_| Fault::UnknownRecord { id })?;
    let record = MetadataRecord::decode(id, &mut d, version).ok_or(Fault::UnknownRecord { id })??;
    if !d.is_empty() {
        return Err(Fault::TrailingBytes { left: d.rest().len() }.into());
    }
    Ok((record, version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TopicId;
    use crate::wire::fixtures::fixture;
    use crate::wire::messages::{FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, TopicRecord};

    const ID: TopicId = TopicId([
        0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x00,
    ]);

    #[test]
    fn framed_records_are_kafkas() {
        let partition = PartitionRecord {
            partition_id: 1,
            topic_id: ID,
            replicas: vec![1, 2].into(),
            isr: vec![1].into(),
            leader: 1,
            leader_epoch: 3,
            partition_epoch: 4,
            directories: vec![ID, ID].into(),
            ..Default::default()
        };
        let change = PartitionChangeRecord {
            partition_id: 1,
            topic_id: ID,
            leader: -1,
            isr: Some(vec![2].into()),
            ..Default::default()
        };
        let feature = FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 30,
        };
        let framed: [(&str, MetadataRecord<'_>, i16); 4] = [
            (
                "TopicRecord 0",
                TopicRecord {
                    name: "orders".into(),
                    topic_id: ID,
                }
                .into(),
                0,
            ),
            ("PartitionRecord 1", partition.into(), 1),
            ("PartitionChangeRecord 0", change.into(), 0),
            ("FeatureLevelRecord 0", feature.into(), 0),
        ];
        for (name, record, version) in framed {
            let bytes = fixture(&format!("record {name}"));
            assert_eq!(encode_record(&record, version).expect("encodes"), bytes, "{name}");
            assert_eq!(decode_record(&bytes), Ok((record, version)), "{name}");
        }
    }

    #[test]
    fn unknown_frames_records_versions_and_trailing_bytes_are_refused() {
        let fault = |bytes: &[u8]| decode_record(bytes).expect_err("malformed").fault;
        assert_eq!(fault(&[0, 12, 0]), Fault::UnknownFrame { version: 0 });
        assert_eq!(fault(&[2, 12, 0]), Fault::UnknownFrame { version: 2 });
        assert_eq!(fault(&[1, 99, 0]), Fault::UnknownRecord { id: 99 });
        assert_eq!(fault(&[1, 20, 1]), Fault::UnsupportedVersion { version: 1 });
        assert_eq!(fault(&[1, 20, 0, 0, 7]), Fault::TrailingBytes { left: 1 });
        assert!(decode_record(&[1, 20, 0, 0]).is_ok(), "a NoOpRecord");
    }
}
