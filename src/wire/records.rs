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
