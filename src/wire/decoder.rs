//! Reads Kafka's primitive types from a frame, borrowing from it and never past its end.
//!
//! Lenience is Kafka's own (`ByteBufferAccessor` and the generated readers): any negative length is null, and an
//! array may claim at most as many elements as bytes are left. What Kafka takes for text it cannot decode is
//! refused here instead of being replaced.

use std::borrow::Cow;
use std::fmt;

use crate::base::TopicId;
use crate::wire::array::{Array, Element};
use crate::wire::message::{Blob, Records, Str};
use crate::wire::varint;

/// What a request may name: elements of all its arrays together, and tagged fields. More than the 200,000 partitions
/// that a cluster of Kafka's is advised to have. It bounds the time that reading one request holds its core: ten
/// million topics without a partition fit into a frame.
pub const ELEMENTS_MAX: usize = 1 << 18;

/// Why bytes are not the message that they were taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field, as `Struct.field`; empty when the fault lies outside of any.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with bytes from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// More bytes were needed than are left.
    Truncated { needed: usize, left: usize },
    /// A varint without an end.
    Varint,
    /// Null where the version has none.
    Null,
    /// A string of more than 32,767 bytes.
    StringTooLong { len: usize },
    /// A string that is not UTF-8.
    NotUtf8,
    /// An array that claims more elements than bytes are left.
    CountTooLarge { count: usize, left: usize },
    /// Elements beyond what one request may name.
    TooManyElements { count: usize },
    /// A tagged field that does not exist in this version.
    TagNotValid { tag: u32 },
    /// A tagged field whose content ends before its size.
    TagSize { tag: u32, left: usize },
    /// A version that the schema does not have.
    UnsupportedVersion { version: i16 },
    /// An API key that Kafka does not have.
    UnknownApi { key: i16 },
    /// A metadata record in a frame of another version.
    UnknownFrame { version: u32 },
    /// A metadata record that Kafka does not have.
    UnknownRecord { id: u32 },
    /// Bytes behind a metadata record.
    TrailingBytes { left: usize },
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        DecodeError { field: "", fault }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        self.fault.fmt(f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Truncated { needed, left } => write!(f, "needs {needed} bytes, {left} are left"),
            Fault::Varint => write!(f, "a varint does not end"),
            Fault::Null => write!(f, "null is not allowed in this version"),
            Fault::StringTooLong { len } => write!(f, "a string of {len} bytes, at most 32767 are allowed"),
            Fault::NotUtf8 => write!(f, "not UTF-8"),
            Fault::CountTooLarge { count, left } => {
                write!(f, "{count} elements claimed, {left} bytes are left")
            }
            Fault::TooManyElements { count } => {
                write!(
                    f,
                    "{count} more elements, a request may name {ELEMENTS_MAX} in all"
                )
            }
            Fault::TagNotValid { tag } => write!(f, "tag {tag} does not exist in this version"),
            Fault::TagSize { tag, left } => write!(f, "tag {tag} leaves {left} of its bytes unread"),
            Fault::UnsupportedVersion { version } => write!(f, "version {version} does not exist"),
            Fault::UnknownApi { key } => write!(f, "API key {key} does not exist"),
            Fault::UnknownFrame { version } => write!(f, "frame version {version} is not known"),
            Fault::UnknownRecord { id } => write!(f, "metadata record {id} is not known"),
            Fault::TrailingBytes { left } => write!(f, "{left} bytes follow the record"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Names the field in an error that does not name one yet.
pub trait At<T> {
    /// `self`, its error put down to `field`.
    fn at(self, field: &'static str) -> Result<T, DecodeError>;
}

impl<T> At<T> for Result<T, DecodeError> {
    fn at(self, field: &'static str) -> Result<T, DecodeError> {
        self.map_err(|error| {
            if error.field.is_empty() {
                DecodeError { field, ..error }
            } else {
                error
            }
        })
    }
}

/// The bytes of a message that are not read yet.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
    /// Elements and tagged fields that may still come.
    elements_left: usize,
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident -> $ty:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&mut self) -> Result<$ty, DecodeError> {
            self.fixed().map(<$ty>::from_be_bytes)
        }
    )*};
}

impl<'a> Decoder<'a> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Decoder {
            rest: bytes,
            elements_left: usize::MAX,
        }
    }

    /// Reads a request that anyone may have sent: at most [`ELEMENTS_MAX`] elements of it.
    pub fn of_request(bytes: &'a [u8]) -> Self {
        Decoder {
            rest: bytes,
            elements_left: ELEMENTS_MAX,
        }
    }

    /// How many elements and tagged fields were read, of a request.
    pub fn elements_read(&self) -> usize {
        ELEMENTS_MAX.saturating_sub(self.elements_left)
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all is read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(len) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Fault::Truncated {
                needed: len,
                left: self.rest.len(),
            }
            .into()),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Fault::Truncated {
                needed: N,
                left: self.rest.len(),
            }
            .into()),
        }
    }

    fixed! {
        /// A byte.
        u8 -> u8;
        /// Kafka's `int8`.
        i8 -> i8;
        /// Kafka's `int16`.
        i16 -> i16;
        /// Kafka's `uint16`.
        u16 -> u16;
        /// Kafka's `int32`.
        i32 -> i32;
        /// Kafka's `uint32`.
        u32 -> u32;
        /// Kafka's `int64`.
        i64 -> i64;
        /// Kafka's `float64`.
        f64 -> f64;
    }

    /// Kafka's `bool`: any byte but 0 is true.
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        self.u8().map(|byte| byte != 0)
    }

    /// Kafka's `uuid`: 16 bytes, all zero for none.
    pub fn uuid(&mut self) -> Result<TopicId, DecodeError> {
        self.fixed().map(TopicId)
    }

    /// An unsigned varint of at most five bytes.
    pub fn uvarint(&mut self) -> Result<u32, DecodeError> {
        let (value, len) = varint::read_u32(self.rest)?;
        self.rest = &self.rest[len..];
        Ok(value)
    }

    /// A zigzag varint of at most five bytes.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        self.uvarint().map(varint::unzigzag32)
    }

    /// A zigzag varint of at most ten bytes.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let (value, len) = varint::read_u64(self.rest)?;
        self.rest = &self.rest[len..];
        Ok(varint::unzigzag64(value))
    }

    /// A string; null is an error.
    pub fn string(&mut self, flexible: bool) -> Result<Str<'a>, DecodeError> {
        self.string_or_null(flexible)?.ok_or(Fault::Null.into())
    }

    /// A string, or null.
    pub fn string_or_null(&mut self, flexible: bool) -> Result<Option<Str<'a>>, DecodeError> {
        let len = if flexible {
            self.compact_len()?
        } else {
            non_negative(self.i16()?.into())
        };
        let Some(len) = len else { return Ok(None) };
        if len > i16::MAX as usize {
            return Err(Fault::StringTooLong { len }.into());
        }
        match std::str::from_utf8(self.take(len)?) {
            Ok(text) => Ok(Some(Cow::Borrowed(text))),
            Err(_) => Err(Fault::NotUtf8.into()),
        }
    }

    /// Bytes; null is an error.
    pub fn bytes(&mut self, flexible: bool) -> Result<Blob<'a>, DecodeError> {
        self.bytes_or_null(flexible)?.ok_or(Fault::Null.into())
    }

    /// Bytes, or null.
    pub fn bytes_or_null(&mut self, flexible: bool) -> Result<Option<Blob<'a>>, DecodeError> {
        Ok(self.slice_or_null(flexible)?.map(Cow::Borrowed))
    }

    /// Record batches; null is an error.
    pub fn records(&mut self, flexible: bool) -> Result<Records<'a>, DecodeError> {
        self.records_or_null(flexible)?.ok_or(Fault::Null.into())
    }

    /// Record batches, or null.
    pub fn records_or_null(&mut self, flexible: bool) -> Result<Option<Records<'a>>, DecodeError> {
        Ok(self.slice_or_null(flexible)?.map(Records::Wire))
    }

    fn slice_or_null(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        match self.long_len(flexible)? {
            Some(len) => self.take(len).map(Some),
            None => Ok(None),
        }
    }

    /// An array; null is an error.
    pub fn array<T: Element<'a>>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Array<'a, T>, DecodeError> {
        self.array_or_null(version, flexible)?.ok_or(Fault::Null.into())
    }

    /// An array, or null. Its elements are checked now and read again when it is walked.
    pub fn array_or_null<T: Element<'a>>(
        &mut self,
        version: i16,
        flexible: bool,
    ) -> Result<Option<Array<'a, T>>, DecodeError> {
        let Some(count) = self.long_len(flexible)? else {
            return Ok(None);
        };
        // Every element takes a byte at least: the generator refuses schemas where one might not.
        if count > self.rest.len() {
            return Err(Fault::CountTooLarge {
                count,
                left: self.rest.len(),
            }
            .into());
        }
        self.count(count)?;
        let start = self.rest;
        match T::FIXED_SIZE {
            Some(size) => {
                self.take(count.saturating_mul(size))?;
            }
            None => {
                for _ in 0..count {
                    T::decode_element(self, version, flexible)?;
                }
            }
        }
        let bytes = &start[..start.len() - self.rest.len()];
        Ok(Some(Array::checked(bytes, count, version, flexible)))
    }

    /// A struct behind a byte that says whether there is one.
    pub fn struct_or_null<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.i8()? < 0 {
            Ok(None)
        } else {
            decode(self).map(Some)
        }
    }

    /// A struct in a tagged field, behind a varint that says whether there is one.
    pub fn tagged_struct_or_null<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.uvarint()? as i32 <= 0 {
            Ok(None)
        } else {
            decode(self).map(Some)
        }
    }

    /// The tagged fields at a struct's end (KIP-482). `known` reads one and says true, or says false for a tag
    /// that it doesn't know, which is skipped.
    pub fn tagged_fields(
        &mut self,
        mut known: impl FnMut(u32, &mut Decoder<'a>) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        for _ in 0..self.uvarint()? {
            self.count(1)?;
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let mut content = Decoder {
                rest: self.take(size)?,
                elements_left: self.elements_left,
            };
            let is_known = known(tag, &mut content)?;
            self.elements_left = content.elements_left;
            if is_known && !content.is_empty() {
                return Err(Fault::TagSize {
                    tag,
                    left: content.rest.len(),
                }
                .into());
            }
        }
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<(), DecodeError> {
        let left = self.elements_left.checked_sub(count);
        self.elements_left = left.ok_or(Fault::TooManyElements { count })?;
        Ok(())
    }

    /// A 32-bit length, or in flexible versions a compact one; `None` for null.
    fn long_len(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible {
            self.compact_len()
        } else {
            Ok(non_negative(self.i32()?))
        }
    }

    /// A length plus one as an unsigned varint, 0 for null; as in Kafka, beyond `i32` also means null.
    fn compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(non_negative((self.uvarint()? as i32).wrapping_sub(1)))
    }
}

fn non_negative(len: i32) -> Option<usize> {
    usize::try_from(len).ok()
}

/// Refuses a version outside `versions`.
pub fn check_version(version: i16, versions: &std::ops::RangeInclusive<i16>) -> Result<(), DecodeError> {
    if versions.contains(&version) {
        Ok(())
    } else {
        Err(Fault::UnsupportedVersion { version }.into())
    }
}
