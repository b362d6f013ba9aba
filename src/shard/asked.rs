//! A request that goes to another core whole: its frame, to be read again there.

use bytes::BytesMut;

use crate::wire::{DecodeError, Decoder, Message};

/// A request's frame, whose body was read once already.
pub struct AskedFrame {
    /// The whole frame, without its size.
    pub frame: BytesMut,
    /// Where its body starts.
    pub body_at: usize,
    /// Its version.
    pub version: i16,
}

impl AskedFrame {
    /// The body as message `M`.
    pub(super) fn body<'a, M: Message<'a>>(&'a self) -> Result<M, DecodeError> {
        M::decode(
            &mut Decoder::of_request(&self.frame[self.body_at..]),
            self.version,
        )
    }
}
