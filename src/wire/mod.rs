//! Kafka's protocol as bytes: messages, frames, record batches, compression, error codes.
//!
//! Nothing here does I/O or knows the broker. Messages are described in `schema/` in a notation of our own (the
//! generator's `build/parse.rs` explains it) and become Rust at build time. Two rules hold everywhere: decoding
//! borrows from the frame and allocates nothing, and no input makes it panic.

#[cfg(test)]
pub(crate) mod allocations;
pub mod api;
pub mod array;
pub mod batch;
pub mod compression;
#[cfg(test)]
pub(crate) mod corpus;
pub mod decoder;
pub mod encoder;
pub mod error;
#[cfg(test)]
mod fixtures;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(test)]
mod hostile_tests;
pub mod json;
pub mod message;
pub mod messages;
#[cfg(test)]
pub(crate) mod oracle;
pub mod records;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod second_opinion;
#[cfg(test)]
mod subjects;
pub mod varint;

pub use api::ApiKey;
pub use array::Array;
pub use decoder::{DecodeError, Decoder};
pub use encoder::{EncodeError, Encoder};
pub use error::ErrorCode;
pub use message::{Blob, Decode, Encode, Message, Records, Request, Str};
