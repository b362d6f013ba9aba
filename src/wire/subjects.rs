//! Every message without its type, for tests that go through all of them.

use std::fmt::{self, Debug, Write};
use std::ops::RangeInclusive;

use super::messages::*;
use crate::wire::decoder::{DecodeError, Decoder};
use crate::wire::encoder::Encoder;
use crate::wire::message::{Decode, Message};
use crate::wire::sample::{Sample, Source};

/// One message.
pub struct Subject {
    /// Kafka's name for it.
    pub name: &'static str,
    /// The versions of its schema.
    pub versions: RangeInclusive<i16>,
    /// What a made-up value is as bytes.
    pub sample: fn(seed: u64, version: i16) -> Vec<u8>,
    /// Reads bytes and looks at every field, without keeping one; whether they could be read.
    pub walk: fn(bytes: &[u8], version: i16) -> bool,
    /// What is read from bytes.
    pub read: fn(bytes: &[u8], version: i16) -> Result<Read, DecodeError>,
}

impl Subject {
    /// One of its versions.
    pub fn some_version(&self, source: &mut Source) -> i16 {
        self.versions.start() + source.below(self.versions.clone().count() as u64) as i16
    }
}

/// A message that was read.
pub struct Read {
    /// How it is shown.
    pub shown: String,
    /// What it is written as.
    pub again: Vec<u8>,
    /// The bytes behind it.
    pub left: usize,
}

macro_rules! subjects {
    ($($module:ident::$name:ident;)*) => {
        /// All of them.
        pub static SUBJECTS: &[Subject] = &[$(Subject {
            name: stringify!($name),
            versions: <$module::$name as Message<'_>>::VERSIONS,
            sample: |seed, version| bytes_of(&<$module::$name>::sample(&mut Source(seed), version), version),
            walk: |bytes, version| {
                <$module::$name>::decode(&mut Decoder::new(bytes), version).is_ok_and(|message| walk(&message))
            },
            read: |bytes, version| read::<$module::$name>(bytes, version),
        }),*];
    };
}

for_each_message!(subjects);

fn bytes_of<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let mut e = Encoder::new();
    message
        .encode(&mut e, version)
        .unwrap_or_else(|error| panic!("{} version {version}: {error}", M::NAME));
    e.into_bytes().to_vec()
}

fn read<'a, M: Message<'a> + Debug>(bytes: &'a [u8], version: i16) -> Result<Read, DecodeError> {
    let mut d = Decoder::new(bytes);
    let message = M::decode(&mut d, version)?;
    Ok(Read {
        shown: format!("{message:?}"),
        again: bytes_of(&message, version),
        left: d.rest().len(),
    })
}

fn walk(message: &impl Debug) -> bool {
    write!(Nowhere, "{message:?}").is_ok()
}

struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}
