//! What the generated messages have in common, and the types of their fields.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use bytes::Bytes;

use crate::wire::api::ApiKey;
use crate::wire::decoder::{DecodeError, Decoder};
use crate::wire::encoder::{EncodeError, Encoder};

/// Text of a message: borrowed from the frame, or our own.
pub type Str<'a> = Cow<'a, str>;

/// Bytes of a message: borrowed from the frame, or our own.
pub type Blob<'a> = Cow<'a, [u8]>;

/// A struct of the protocol that can be read; it borrows from the frame.
pub trait Decode<'a>: Sized {
    /// Reads one as `version` lays it out. What follows it stays in `d`.
    fn decode(d: &mut Decoder<'a>, version: i16) -> Result<Self, DecodeError>;
}

/// A struct of the protocol that can be written.
pub trait Encode {
    /// Writes it as `version` lays it out. A value that the version has no field for is an error, unless the schema
    /// says that it may be dropped (as Kafka's `ignorable`).
    fn encode(&self, e: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

/// A whole message: a request, a response, a header, or what a record holds.
pub trait Message<'a>: Decode<'a> + Encode {
    /// Kafka's name for it.
    const NAME: &'static str;
    /// The versions that its schema has; which of them we serve is the `api` room's table.
    const VERSIONS: RangeInclusive<i16>;
}

/// A request, with its answer.
pub trait Request: Encode {
    /// Which API it calls.
    const KEY: ApiKey;
    /// What comes back.
    type Response<'a>: Message<'a>;
}

/// Record batches in a message.
#[derive(Clone, Debug)]
pub enum Records<'a> {
    /// In the frame.
    Wire(&'a [u8]),
    /// To send, without a copy.
    Segments(Vec<Bytes>),
}

impl Records<'_> {
    /// The bytes of all of them.
    pub fn size_bytes(&self) -> usize {
        match self {
            Records::Wire(bytes) => bytes.len(),
            Records::Segments(segments) => segments.iter().map(Bytes::len).sum(),
        }
    }

    /// Whether there is not a byte.
    pub fn is_empty(&self) -> bool {
        self.size_bytes() == 0
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        let (wire, segments) = match self {
            Records::Wire(bytes) => (*bytes, &[][..]),
            Records::Segments(segments) => (&[][..], segments.as_slice()),
        };
        wire.iter().chain(segments.iter().flatten()).copied()
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Records::Wire(&[])
    }
}

impl PartialEq for Records<'_> {
    /// The same bytes, however they are cut.
    fn eq(&self, other: &Self) -> bool {
        self.size_bytes() == other.size_bytes() && self.bytes().eq(other.bytes())
    }
}
