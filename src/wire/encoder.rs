//! Writes Kafka's primitive types into segments: small pieces run together in one buffer, record batches are
//! taken by reference.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::base::TopicId;
use crate::wire::array::{Array, Element};
use crate::wire::message::Records;
use crate::wire::varint;

/// Room for a whole answer without record batches, so that most messages take one allocation.
const BUFFER_BYTES: usize = 256;
/// A segment of records up to this size is copied into the buffer: one more iovec costs the kernel more.
const COPY_BYTES_MAX: usize = 512;

/// Why a message can't be said in a version, or at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The version has no such field, and dropping its value would change the meaning.
    NotInVersion { field: &'static str, version: i16 },
    /// The version can't say null here.
    Null { field: &'static str, version: i16 },
    /// A string of more than 32,767 bytes.
    StringTooLong { len: usize },
    /// More than 2,147,483,646 bytes or elements.
    TooLarge { len: usize },
    /// A version that the schema does not have.
    UnsupportedVersion { version: i16 },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::NotInVersion { field, version } => {
                write!(
                    f,
                    "{field}: not its default, and version {version} does not have it"
                )
            }
            EncodeError::Null { field, version } => write!(f, "{field}: null in version {version}"),
            EncodeError::StringTooLong { len } => write!(f, "a string of {len} bytes, at most 32767 fit"),
            EncodeError::TooLarge { len } => write!(f, "a length of {len}, at most 2147483646 fits"),
            EncodeError::UnsupportedVersion { version } => write!(f, "version {version} does not exist"),
        }
    }
}

impl std::error::Error for EncodeError {}

/// A message being written.
#[derive(Debug)]
pub struct Encoder {
    buffer: BytesMut,
    /// The first buffer, once it is closed; kept writable for the frame's size.
    head: Option<BytesMut>,
    /// Closed segments behind `head`.
    tail: Vec<Bytes>,
    /// The bytes in `head` and `tail`.
    closed_bytes: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::new()
    }
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident($ty:ty);)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self, value: $ty) {
            self.buffer.extend_from_slice(&value.to_be_bytes());
        }
    )*};
}

impl Encoder {
    /// An empty one.
    pub fn new() -> Self {
        Encoder {
            buffer: BytesMut::with_capacity(BUFFER_BYTES),
            head: None,
            tail: Vec::new(),
            closed_bytes: 0,
        }
    }

    /// The bytes written so far.
    pub fn size_bytes(&self) -> usize {
        self.closed_bytes + self.buffer.len()
    }

    /// What was written, in order; never empty segments.
    pub fn into_segments(mut self) -> Vec<Bytes> {
        self.close_buffer();
        let head = self.head.map(BytesMut::freeze);
        let mut segments = Vec::with_capacity(1 + self.tail.len());
        segments.extend(head.filter(|head| !head.is_empty()));
        segments.extend(self.tail);
        segments
    }

    /// What was written, in one piece.
    pub fn into_bytes(self) -> Bytes {
        let size_bytes = self.size_bytes();
        let mut segments = self.into_segments();
        if segments.len() == 1 {
            return segments.remove(0);
        }
        let mut whole = BytesMut::with_capacity(size_bytes);
        segments
            .iter()
            .for_each(|segment| whole.extend_from_slice(segment));
        whole.freeze()
    }

    /// Writes over the first four bytes, which the caller reserved.
    pub(in crate::wire) fn set_first_i32(&mut self, value: i32) {
        let head = self.head.as_mut().unwrap_or(&mut self.buffer);
        head[..4].copy_from_slice(&value.to_be_bytes());
    }

    fixed! {
        /// Kafka's `int8`.
        put_i8(i8);
        /// Kafka's `int16`.
        put_i16(i16);
        /// Kafka's `uint16`.
        put_u16(u16);
        /// Kafka's `int32`.
        put_i32(i32);
        /// Kafka's `uint32`.
        put_u32(u32);
        /// Kafka's `int64`.
        put_i64(i64);
        /// Kafka's `float64`.
        put_f64(f64);
    }

    /// Kafka's `bool`.
    pub fn put_bool(&mut self, value: bool) {
        self.buffer.put_u8(value.into());
    }

    /// Kafka's `uuid`.
    pub fn put_uuid(&mut self, value: TopicId) {
        self.buffer.extend_from_slice(&value.0);
    }

    /// An unsigned varint.
    pub fn put_uvarint(&mut self, value: u32) {
        let (bytes, len) = varint::bytes_of(value.into());
        self.buffer.extend_from_slice(&bytes[..len]);
    }

    /// A zigzag varint.
    pub fn put_varint(&mut self, value: i32) {
        self.put_uvarint(varint::zigzag32(value));
    }

    /// A zigzag varint of up to 64 bits.
    pub fn put_varlong(&mut self, value: i64) {
        let (bytes, len) = varint::bytes_of(varint::zigzag64(value));
        self.buffer.extend_from_slice(&bytes[..len]);
    }

    /// Bytes as they are.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// A string.
    pub fn put_string(&mut self, text: &str, flexible: bool) -> Result<(), EncodeError> {
        let len = i16::try_from(text.len()).map_err(|_| EncodeError::StringTooLong { len: text.len() })?;
        if flexible {
            self.put_uvarint(len as u32 + 1);
        } else {
            self.put_i16(len);
        }
        self.put_slice(text.as_bytes());
        Ok(())
    }

    /// A string, or null.
    pub fn put_string_or_null(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        match text {
            Some(text) => return self.put_string(text, flexible),
            None if flexible => self.put_uvarint(0),
            None => self.put_i16(-1),
        }
        Ok(())
    }

    /// Bytes behind their length.
    pub fn put_bytes(&mut self, bytes: &[u8], flexible: bool) -> Result<(), EncodeError> {
        self.put_len(bytes.len(), flexible)?;
        self.put_slice(bytes);
        Ok(())
    }

    /// Bytes behind their length, or null.
    pub fn put_bytes_or_null(&mut self, bytes: Option<&[u8]>, flexible: bool) -> Result<(), EncodeError> {
        match bytes {
            Some(bytes) => self.put_bytes(bytes, flexible),
            None => self.put_null(flexible),
        }
    }

    /// Record batches behind their length; owned segments are not copied unless they are small.
    pub fn put_records(&mut self, records: &Records<'_>, flexible: bool) -> Result<(), EncodeError> {
        self.put_len(records.size_bytes(), flexible)?;
        match records {
            Records::Wire(bytes) => self.put_slice(bytes),
            Records::Segments(segments) => segments.iter().for_each(|segment| self.put_segment(segment)),
        }
        Ok(())
    }

    /// Record batches behind their length, or null.
    pub fn put_records_or_null(
        &mut self,
        records: Option<&Records<'_>>,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match records {
            Some(records) => self.put_records(records, flexible),
            None => self.put_null(flexible),
        }
    }

    /// An array.
    pub fn put_array<'a, T: Element<'a>>(
        &mut self,
        array: &Array<'a, T>,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        self.put_len(array.len(), flexible)?;
        array.encode_elements(self, version, flexible)
    }

    /// An array, or null.
    pub fn put_array_or_null<'a, T: Element<'a>>(
        &mut self,
        array: Option<&Array<'a, T>>,
        version: i16,
        flexible: bool,
    ) -> Result<(), EncodeError> {
        match array {
            Some(array) => self.put_array(array, version, flexible),
            None => self.put_null(flexible),
        }
    }

    /// One tagged field: its tag, its size, and what `content` writes, which must not be record batches.
    pub fn put_tagged(
        &mut self,
        tag: u32,
        content: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        self.put_uvarint(tag);
        let start = self.buffer.len();
        content(self)?;
        let size = self.buffer.len() - start;
        let size_field = u32::try_from(size).map_err(|_| EncodeError::TooLarge { len: size })?;
        self.put_uvarint(size_field);
        self.buffer[start..].rotate_left(size);
        Ok(())
    }

    /// A length: 32 bits, or in flexible versions plus one as a varint.
    fn put_len(&mut self, len: usize, flexible: bool) -> Result<(), EncodeError> {
        let short = i32::try_from(len).ok().filter(|&len| len < i32::MAX);
        let short = short.ok_or(EncodeError::TooLarge { len })?;
        if flexible {
            self.put_uvarint(short as u32 + 1);
        } else {
            self.put_i32(short);
        }
        Ok(())
    }

    fn put_null(&mut self, flexible: bool) -> Result<(), EncodeError> {
        if flexible {
            self.put_uvarint(0);
        } else {
            self.put_i32(-1);
        }
        Ok(())
    }

    fn put_segment(&mut self, segment: &Bytes) {
        if segment.len() <= COPY_BYTES_MAX {
            return self.put_slice(segment);
        }
        self.close_buffer();
        self.closed_bytes += segment.len();
        self.tail.push(segment.clone());
    }

    fn close_buffer(&mut self) {
        self.closed_bytes += self.buffer.len();
        let closed = self.buffer.split();
        if self.head.is_none() {
            self.head = Some(closed);
        } else if !closed.is_empty() {
            self.tail.push(closed.freeze());
        }
    }
}

/// Refuses a version outside `versions`.
pub fn check_version(version: i16, versions: &std::ops::RangeInclusive<i16>) -> Result<(), EncodeError> {
    if versions.contains(&version) {
        Ok(())
    } else {
        Err(EncodeError::UnsupportedVersion { version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_segments_of_records_are_passed_on_and_small_ones_run_together() {
        let large = Bytes::from(vec![1u8; COPY_BYTES_MAX + 1]);
        let small = Bytes::from_static(&[2; 10]);
        let records = Records::Segments(vec![small.clone(), large.clone(), small.clone(), small]);
        let mut e = Encoder::new();
        e.put_i32(0);
        e.put_records(&records, false).expect("fits");
        e.put_i16(7);
        e.set_first_i32(42);
        let size = e.size_bytes();
        let segments = e.into_segments();
        assert_eq!(
            segments.iter().map(Bytes::len).collect::<Vec<_>>(),
            [4 + 4 + 10, 513, 10 + 10 + 2]
        );
        assert_eq!(segments[1].as_ptr(), large.as_ptr(), "by reference");
        assert_eq!(segments[0][..8], [0, 0, 0, 42, 0, 0, 2, 31]);
        assert_eq!(size, segments.iter().map(Bytes::len).sum::<usize>());
    }

    #[test]
    fn strings_beyond_their_length_field_are_refused() {
        let long = "x".repeat(32_768);
        for flexible in [false, true] {
            let refused = Encoder::new().put_string(&long, flexible);
            assert_eq!(refused, Err(EncodeError::StringTooLong { len: 32_768 }));
            assert_eq!(Encoder::new().put_string(&long[1..], flexible), Ok(()));
        }
    }
}
