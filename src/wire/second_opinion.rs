//! Our requests and responses against the `kafka-protocol` crate, as far as it knows them (Kafka 4.1): the fast check
//! beside [`oracle`](super::oracle), which needs Java.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestKind, ResponseKind};

use crate::wire::api::APIS;
use crate::wire::subjects::SUBJECTS;

/// Values of each message and version.
const VALUES: u64 = 3;

/// Messages that both know; fewer would mean that the test lost its way.
const MESSAGES_MIN: usize = 150;

/// Versions that its table names and its codec does not have: unstable ones in 4.1.
const NOT_KNOWN: &[(&str, i16)] = &[
    ("InitProducerIdRequest", 6),
    ("OffsetCommitRequest", 10),
    ("OffsetFetchRequest", 10),
];

type Again = fn(ApiKey, &mut Bytes, i16) -> Result<BytesMut, String>;

#[test]
fn another_codec_reads_what_we_write_and_writes_the_same() {
    let mut messages = 0;
    for api in APIS {
        let Ok(key) = ApiKey::try_from(api.key.0) else {
            continue;
        };
        messages += check(key, &format!("{}Request", api.name), request_again);
        messages += check(key, &format!("{}Response", api.name), response_again);
    }
    assert!(messages >= MESSAGES_MIN, "only {messages} messages were compared");
}

/// How many messages were compared: one, or none if no version is known to both.
fn check(key: ApiKey, name: &str, again: Again) -> usize {
    let subject = SUBJECTS
        .iter()
        .find(|subject| subject.name == name)
        .expect("each API has both");
    let theirs = key.valid_versions();
    let is_known =
        |version: i16| (theirs.min..=theirs.max).contains(&version) && !NOT_KNOWN.contains(&(name, version));
    let both = subject.versions.clone().filter(|version| is_known(*version));
    let mut compared = 0;
    for version in both {
        for seed in 0..VALUES {
            let ours = (subject.sample)(seed, version);
            let mut left = Bytes::copy_from_slice(&ours);
            let written = again(key, &mut left, version);
            let written =
                written.unwrap_or_else(|why| panic!("{name} version {version}, seed {seed}: {why}"));
            assert!(
                left.is_empty(),
                "{name} version {version}, seed {seed}: bytes are left"
            );
            assert_eq!(written, ours, "{name} version {version}, seed {seed}");
        }
        compared = 1;
    }
    compared
}

fn request_again(key: ApiKey, bytes: &mut Bytes, version: i16) -> Result<BytesMut, String> {
    let message = RequestKind::decode(key, bytes, version).map_err(|error| format!("{error:#}"))?;
    let mut written = BytesMut::new();
    message
        .encode(&mut written, version)
        .map_err(|error| format!("{error:#}"))?;
    Ok(written)
}

fn response_again(key: ApiKey, bytes: &mut Bytes, version: i16) -> Result<BytesMut, String> {
    let message = ResponseKind::decode(key, bytes, version).map_err(|error| format!("{error:#}"))?;
    let mut written = BytesMut::new();
    message
        .encode(&mut written, version)
        .map_err(|error| format!("{error:#}"))?;
    Ok(written)
}
