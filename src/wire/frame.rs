//! Frames: a size of four bytes, a header, a body.

use bytes::{Bytes, BytesMut};

use crate::wire::api::{self, ApiKey};
use crate::wire::decoder::{At, DecodeError, Decoder, Fault};
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

/// Reads the header of a request frame (its size already gone). Of the client's id only the length is looked at.
pub fn read_request_start(frame: &[u8]) -> Result<RequestStart, DecodeError> {
    read_header(frame).map(|(start, _)| start)
}

/// Reads the header of a request frame (its size already gone), with the client's id. What is not UTF-8 in it is
/// replaced: it is for people to read.
pub fn read_request_header(frame: &[u8]) -> Result<(RequestStart, Option<Str<'_>>), DecodeError> {
    let (start, client_id) = read_header(frame)?;
    Ok((start, client_id.map(String::from_utf8_lossy)))
}

fn read_header(frame: &[u8]) -> Result<(RequestStart, Option<&[u8]>), DecodeError> {
    let mut d = Decoder::of_request(frame);
    let (key, version, correlation_id) = (d.i16()?, d.i16()?, d.i32()?);
    let header_version = api::request_header_version(key, version).ok_or(Fault::UnknownApi { key })?;
    // Null, or as long as 16 bits say, in flexible versions too.
    let client_id = match usize::try_from(d.i16()?) {
        Ok(len) => Some(d.take(len).at("RequestHeader.client_id")?),
        Err(_) => None,
    };
    if header_version >= 2 {
        d.tagged_fields(|_, _| Ok(false))?;
    }
    let start = RequestStart {
        key,
        version,
        correlation_id,
        body_at: frame.len() - d.rest().len(),
    };
    Ok((start, client_id))
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

/// Cuts `ranges` (rising, not overlapping) out of a frame, each writable in place. A part that is most of the frame comes without
/// a copy. A smaller one is copied: it may be kept for long, and must not keep alive an allocation that is mostly not its own.
pub fn carve(mut frame: BytesMut, ranges: &[std::ops::Range<usize>]) -> Vec<BytesMut> {
    let half = frame.len() / 2;
    let mut gone = 0;
    ranges
        .iter()
        .map(|range| {
            let _between = frame.split_to(range.start - gone);
            gone = range.end;
            let part = frame.split_to(range.len());
            if range.len() >= half {
                part
            } else {
                BytesMut::from(&part[..])
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::fixture;
    use crate::wire::messages::{
        ApiVersionsResponse, DeleteTopicsRequest, MetadataRequest, MetadataResponse,
    };

    #[test]
    fn request_headers_of_both_versions_are_kafkas() {
        let v2 = fixture("request_header 2");
        let start = RequestStart {
            key: 1,
            version: 12,
            correlation_id: 99,
            body_at: v2.len(),
        };
        assert_eq!(read_request_header(&v2), Ok((start, Some("me".into()))));
        let v1 = fixture("request_header 1");
        let start = RequestStart {
            key: 1,
            version: 4,
            correlation_id: 99,
            body_at: v1.len(),
        };
        assert_eq!(read_request_header(&v1), Ok((start, None)));
    }

    #[test]
    fn the_header_of_a_version_that_does_not_exist_yet_is_read() {
        let frame = [&[0, 18, 0, 77, 0, 0, 0, 5, 0, 1, b'c', 0][..], b"whatever"].concat();
        let start = read_request_start(&frame).expect("a header");
        assert_eq!((start.version, start.correlation_id, start.body_at), (77, 5, 12));
    }

    #[test]
    fn a_client_id_that_is_null_or_no_text_is_taken() {
        let header = |client_id: &[u8]| [&[0, 3, 0, 1, 0, 0, 0, 5][..], client_id].concat();
        let null = header(&[0xff, 0xff]);
        let (start, client_id) = read_request_header(&null).expect("a header");
        assert_eq!((start.body_at, client_id), (10, None));
        let no_text = header(&[0, 3, b'a', 0xff, b'b', 9]);
        let (start, client_id) = read_request_header(&no_text).expect("a header");
        assert_eq!((start.body_at, client_id.as_deref()), (13, Some("a\u{fffd}b")));
        let longer = header(&[0, 4, b'a']);
        let error = read_request_start(&longer).expect_err("longer than the frame");
        assert_eq!(error.field, "RequestHeader.client_id");
    }

    #[test]
    fn unknown_apis_and_short_headers_are_refused() {
        let unknown = read_request_start(&[0x7f, 0, 0, 0, 0, 0, 0, 5, 0xff, 0xff]);
        assert_eq!(
            unknown.expect_err("no such API").fault,
            Fault::UnknownApi { key: 0x7f00 }
        );
        let v2 = fixture("request_header 2");
        for len in 0..v2.len() {
            assert!(read_request_start(&v2[..len]).is_err());
        }
    }

    #[test]
    fn a_request_reads_back_from_its_frame() {
        let request = MetadataRequest {
            topics: None,
            ..Default::default()
        };
        let frame = encode_request(ApiKey::METADATA, 12, 7, Some("me"), &request)
            .expect("encodes")
            .concat();
        assert_eq!(frame[..4], (frame.len() as i32 - 4).to_be_bytes());
        let start = read_request_start(&frame[4..]).expect("a header");
        assert_eq!((start.key, start.version, start.correlation_id), (3, 12, 7));
        let body = MetadataRequest::decode(&mut Decoder::new(&frame[4 + start.body_at..]), 12);
        assert_eq!(body, Ok(request));
    }

    #[test]
    fn a_response_reads_back_and_api_versions_keeps_the_oldest_header() {
        let response = MetadataResponse {
            controller_id: 3,
            ..Default::default()
        };
        let frame = encode_response(ApiKey::METADATA, 12, 7, &response)
            .expect("encodes")
            .concat();
        assert_eq!(read_correlation_id(&frame[4..]), Ok(7));
        assert_eq!(
            decode_response(ApiKey::METADATA, 12, &frame[4..]),
            Ok((7, response))
        );
        let response = ApiVersionsResponse::default();
        let frame = encode_response(ApiKey::API_VERSIONS, 4, 7, &response)
            .expect("encodes")
            .concat();
        assert_eq!(
            frame[4..10],
            [0, 0, 0, 7, 0, 0],
            "the error code follows the correlation id at once"
        );
        let request = DeleteTopicsRequest::default();
        let old = encode_request(ApiKey::DELETE_TOPICS, 1, 7, None, &request)
            .expect("encodes")
            .concat();
        assert_eq!(old[4..14], [0, 20, 0, 1, 0, 0, 0, 7, 0xff, 0xff]);
    }

    #[test]
    fn the_largest_part_is_carved_without_a_copy_and_a_small_one_keeps_no_frame_alive() {
        let frame = BytesMut::from(&b"abcdefghij"[..]);
        let at = frame.as_ptr() as usize;
        let range = range_in(&frame, &frame[1..3]);
        assert_eq!(range, 1..3);
        let mut parts = carve(frame, &[range, 4..4, 5..10]);
        assert_eq!(parts, [&b"bc"[..], b"", b"fghij"]);
        assert_eq!(parts[2].as_ptr() as usize, at + 5);
        assert!(!(at..at + 10).contains(&(parts[0].as_ptr() as usize)));
        parts[0][0] = b'B';
        assert_eq!(parts[0], &b"Bc"[..]);
    }
}
