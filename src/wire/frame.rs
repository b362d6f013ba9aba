//! Frames: a size of four bytes, a header, a body.

use bytes::{Bytes, BytesMut};

use crate::wire::api::{self, ApiKey};
use crate::wire::decoder::{DecodeError, Decoder, Fault};
use crate::wire::encoder::{EncodeError, Encoder};
use crate::wire::message::{Decode, Encode, Message, Str};
use crate::wire::messages::{RequestHeader, ResponseHeader};

/// The bytes of a frame's size, which does not count itself.
pub const SIZE_BYTES: usize = 4;

/// What every request opens with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    /// The API's number.
    pub key: i16,
    /// The version asked for; it need not be one that exists.
    pub version: i16,
    /// Comes back in the answer.
    pub correlation_id: i32,
    /// Where the body starts in the frame.
    pub body_at: usize,
}

/// Reads the header of a request frame (its size already gone).
pub fn read_request_start(frame: &[u8]) -> Result<RequestStart, DecodeError> {
    read_request_header(frame).map(|(start, _)| start)
}

/// Reads the header of a request frame (its size already gone), with the client's id.
pub fn read_request_header(frame: &[u8]) -> Result<(RequestStart, Option<Str<'_>>), DecodeError> {
    let mut peek = Decoder::new(frame);
    let (key, version) = (peek.i16()?, peek.i16()?);
    let header_version = api::request_header_version(key, version).ok_or(Fault::UnknownApi { key })?;
    let mut d = Decoder::new(frame);
    let header = RequestHeader::decode(&mut d, header_version)?;
    let body_at = frame.len() - d.rest().len();
    Ok((
        RequestStart {
            key,
            version,
            correlation_id: header.correlation_id,
            body_at,
        },
        header.client_id,
    ))
}

/// A request as segments, its size included.
///
/// # Panics
/// If `key` is not one of Kafka's.
pub fn encode_request(
    key: impl Into<ApiKey>,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body: &impl Encode,
) -> Result<Vec<Bytes>, EncodeError> {
    let key = key.into();
    let header = RequestHeader {
        request_api_key: key.0,
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(Str::Borrowed),
    };
    let header_version = api::request_header_version(key, version).expect("one of Kafka's APIs");
    encode(&header, header_version, body, version)
}

/// A response as segments, its size included.
///
/// # Panics
/// If `key` is not one of Kafka's.
pub fn encode_response(
    key: impl Into<ApiKey>,
    version: i16,
    correlation_id: i32,
    body: &impl Encode,
) -> Result<Vec<Bytes>, EncodeError> {
    let header_version = api::response_header_version(key, version).expect("one of Kafka's APIs");
    encode(&ResponseHeader { correlation_id }, header_version, body, version)
}

fn encode(
    header: &impl Encode,
    header_version: i16,
    body: &impl Encode,
    version: i16,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut e = Encoder::new();
    e.put_i32(0);
    header.encode(&mut e, header_version)?;
    body.encode(&mut e, version)?;
    let len = e.size_bytes() - SIZE_BYTES;
    let size = i32::try_from(len).map_err(|_| EncodeError::TooLarge { len })?;
    e.set_first_i32(size);
    Ok(e.into_segments())
}

/// The correlation id of a response frame (its size already gone), which every header version opens with.
pub fn read_correlation_id(frame: &[u8]) -> Result<i32, DecodeError> {
    Decoder::new(frame).i32()
}

/// Reads a response frame (its size already gone): the correlation id and the body.
pub fn decode_response<'a, M: Message<'a>>(
    key: impl Into<ApiKey>,
    version: i16,
    frame: &'a [u8],
) -> Result<(i32, M), DecodeError> {
    let key = key.into();
    let header_version =
        api::response_header_version(key, version).ok_or(Fault::UnknownApi { key: key.0 })?;
    let mut d = Decoder::new(frame);
    let header = ResponseHeader::decode(&mut d, header_version)?;
    Ok((header.correlation_id, M::decode(&mut d, version)?))
}

/// Where `part` lies in `frame`, of which it must be a slice.
pub fn range_in(frame: &[u8], part: &[u8]) -> std::ops::Range<usize> {
    let start = (part.as_ptr() as usize).wrapping_sub(frame.as_ptr() as usize);
    let end = start.checked_add(part.len()).expect("a slice of the frame");
    assert!(end <= frame.len(), "not a slice of the frame");
    start..end
}

/// Cuts `ranges` (rising, not overlapping) out of a frame, each writable in place and without a copy.
pub fn carve(mut frame: BytesMut, ranges: &[std::ops::Range<usize>]) -> Vec<BytesMut> {
    let mut gone = 0;
    ranges
        .iter()
        .map(|range| {
            let _between = frame.split_to(range.start - gone);
            gone = range.end;
            frame.split_to(range.len())
        })
        .collect()
}
