//! What the fuzz targets in `fuzz/` do with any bytes, and every test run with those kept in `fuzz/corpus/`. A fault is
//! a panic.

use std::fmt::{self, Write};

use super::messages::*;
use crate::base::Timestamp;
use crate::wire::api::ApiKey;
use crate::wire::batch::{self, BatchView, Depth, MAGIC, Record, Rules, Unfit, layout};
use crate::wire::decoder::Decoder;
use crate::wire::encoder::Encoder;
use crate::wire::frame;
use crate::wire::message::Message;

/// What a batch may decompress to for its records to be compared with what was learnt of them.
const COMPARED_BYTES_MAX: usize = 4 << 20;

/// `bytes` as a request's frame without its size; and what follows the API's key and version as an answer's body.
pub fn frames(bytes: &[u8]) {
    let &[k0, k1, v0, v1, ref answer @ ..] = bytes else {
        return;
    };
    let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
    let Some(api) = ApiKey(key).schema() else {
        assert!(
            frame::read_request_start(bytes).is_err(),
            "an API that does not exist"
        );
        return;
    };
    if let Ok(start) = frame::read_request_start(bytes) {
        assert_eq!((start.key, start.version), (key, version));
        read_as(&format!("{}Request", api.name), &bytes[start.body_at..], version);
    }
    read_as(&format!("{}Response", api.name), answer, version);
}

macro_rules! by_name {
    ($($module:ident::$name:ident;)*) => {
        /// What can be read can be written, and reads back as the same.
        fn read_as(name: &str, bytes: &[u8], version: i16) {
            match name {
                $(stringify!($name) => {
                    if let Some(written) = read_and_write::<$module::$name>(bytes, version) {
                        let again = read_and_write::<$module::$name>(&written, version);
                        assert_eq!(again, Some(written), "{name} version {version}");
                    }
                })*
                _ => panic!("no message is called {name}"),
            }
        }
    };
}

for_each_message!(by_name);

fn read_and_write<'a, M: Message<'a> + fmt::Debug>(bytes: &'a [u8], version: i16) -> Option<Vec<u8>> {
    let message = M::decode(&mut Decoder::of_request(bytes), version).ok()?;
    write!(Nowhere, "{message:?}").expect("every field can be looked at");
    let mut e = Encoder::new();
    match message.encode(&mut e, version) {
        Ok(()) => Some(e.into_bytes().to_vec()),
        Err(error) => panic!(
            "{} version {version} was read and can't be written: {error}",
            M::NAME
        ),
    }
}

struct Nowhere;

impl Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// `bytes` as a producer's batch, as they are and with a header that lets their records be looked at; and as what a
/// consumer receives.
pub fn batches(bytes: &[u8]) {
    validate(bytes);
    let mut mended = bytes.to_vec();
    mend(&mut mended);
    validate(&mended);
    for batch in batch::batches(bytes).flatten() {
        read_records(&batch);
    }
}

/// The one size, format and checksum that these bytes can have.
fn mend(batch: &mut [u8]) {
    if batch.len() < layout::RECORDS {
        return;
    }
    let length = (batch.len() - layout::LENGTH_OVERHEAD) as i32;
    batch[..layout::LENGTH].fill(0);
    batch[layout::LENGTH..layout::LEADER_EPOCH].copy_from_slice(&length.to_be_bytes());
    batch[layout::MAGIC] = MAGIC as u8;
    let crc = crate::base::crc32c(&batch[layout::ATTRIBUTES..]);
    batch[layout::CRC..layout::ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// What the walk says of a batch is what its records say that a consumer reads.
fn validate(bytes: &[u8]) {
    let rules = Rules::of_any_topic;
    let Ok(checked) = batch::validate(bytes, &rules(Depth::Records)) else {
        return;
    };
    assert!(
        batch::validate(bytes, &rules(Depth::Header)).is_ok(),
        "a look at less finds more"
    );
    let Some(seen) = read_records(&checked) else {
        return;
    };
    let count = usize::try_from(checked.records_count()).expect("more than none");
    assert_eq!(seen.count, count);
    assert_eq!(seen.latest, Some(checked.latest_timestamp()));
    let keyed = Rules {
        needs_keys: true,
        ..rules(Depth::Records)
    };
    let first_keyless = match batch::validate(bytes, &keyed) {
        Err(Unfit::Records(breaches)) => breaches.named.first().map(|(index, _)| *index),
        _ => None,
    };
    assert_eq!(seen.first_keyless, first_keyless);
}

#[derive(Default)]
struct Seen {
    count: usize,
    latest: Option<Timestamp>,
    first_keyless: Option<i32>,
}

/// Reads all records; none if they are too many for that, or one can't be read.
fn read_records(batch: &BatchView<'_>) -> Option<Seen> {
    let payload = batch.payload(COMPARED_BYTES_MAX).ok()?;
    let mut seen = Seen::default();
    for record in batch.records(&payload) {
        let Record {
            timestamp,
            key,
            offset_delta,
            headers,
            ..
        } = record.ok()?;
        headers.for_each(drop);
        seen.count += 1;
        seen.latest = seen.latest.max(Some(timestamp.max(Timestamp::NONE)));
        if key.is_none() {
            seen.first_keyless = seen.first_keyless.or(Some(offset_delta));
        }
    }
    Some(seen)
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
