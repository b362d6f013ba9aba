//! The kept inputs, and where they come from: `UPDATE=1 cargo test --lib wire::fuzz` writes those made here anew. What a
//! fuzzer found is kept beside them.

use proptest::prelude::*;

use super::*;
use crate::wire::batch::BatchBuilder;
use crate::wire::compression::{self, Codec};
use crate::wire::corpus::{Input, changed, run_all};
use crate::wire::message::Encode;
use crate::wire::subjects::SUBJECTS;

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn kept_frames_are_read_or_refused() {
    run_all("frames", &made_frames(), frames);
}

#[test]
fn kept_batches_are_read_or_refused() {
    run_all("batches", &made_batches(), batches);
}

/// A request and an answer of every API in its newest version, and what has been wrong with frames before.
fn made_frames() -> Vec<Input> {
    let mut made = Vec::new();
    for api in crate::wire::api::APIS {
        let version = *api.versions.end();
        let sample = |name: &str| {
            let subject = SUBJECTS
                .iter()
                .find(|subject| subject.name == name)
                .expect("each API has both");
            (subject.sample)(api.key.0 as u64, version)
        };
        let header = RequestHeader {
            request_api_key: api.key.0,
            request_api_version: version,
            correlation_id: 7,
            client_id: Some("fuzz".into()),
        };
        let mut e = Encoder::new();
        let header_version = crate::wire::api::request_header_version(api.key, version).expect("known");
        header.encode(&mut e, header_version).expect("encodes");
        let request = [&e.into_bytes()[..], &sample(&format!("{}Request", api.name))].concat();
        let key = [api.key.0.to_be_bytes(), version.to_be_bytes()].concat();
        let answer = [key, sample(&format!("{}Response", api.name))].concat();
        made.push((format!("request-{:02}", api.key.0), request));
        made.push((format!("answer-{:02}", api.key.0), answer));
    }
    let nasty: [(&str, &[u8]); 9] = [
        ("nothing", &[]),
        ("unknown-api", &[0x7f, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
        ("header-only", &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff]),
        (
            "null-client-id",
            &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "client-id-longer-than-the-frame",
            &[0, 18, 0, 4, 0, 0, 0, 1, 0x7f, 0xff, b'x'],
        ),
        ("client-id-not-utf8", &[0, 18, 0, 0, 0, 0, 0, 1, 0, 2, 0xff, 0xfe]),
        (
            "two-billion-topics",
            &[0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff],
        ),
        (
            "four-billion-tags",
            &[
                0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0,
            ],
        ),
        (
            "endless-varint",
            &[
                0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
            ],
        ),
    ];
    made.extend(nasty.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
    made
}

fn batch_of(codec: Codec, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None);
    builder.add(
        Timestamp(1_700_000_000_000),
        Some(b"k"),
        Some(b"v"),
        &[("n", Some(b"1")), ("e", None)],
    );
    builder.add(Timestamp(1_700_000_000_009), None, Some(&[b'x'; 300]), &[]);
    builder.add(Timestamp(1_699_999_999_999), Some(b""), None, &[]);
    let batch = builder.build_mut();
    let mut records = batch[layout::RECORDS..].to_vec();
    change(&mut records);
    with_records(&batch, codec, &compression::compress(codec, &records))
}

fn with_records(header: &[u8], codec: Codec, records: &[u8]) -> Vec<u8> {
    let mut batch = [&header[..layout::RECORDS], records].concat();
    batch[layout::ATTRIBUTES + 1] = codec.id();
    mend(&mut batch);
    batch
}

/// A batch in every codec, well and badly made.
fn made_batches() -> Vec<Input> {
    let mut made = vec![("nothing".to_owned(), Vec::new())];
    for codec in CODECS {
        made.push((format!("{codec}"), batch_of(codec, |_| {})));
        made.push((
            format!("{codec}-cut-record"),
            batch_of(codec, |records| records.truncate(40)),
        ));
        made.push((
            format!("{codec}-more-behind"),
            batch_of(codec, |records| records.push(0)),
        ));
        made.push((
            format!("{codec}-endless-length"),
            batch_of(codec, |records| records[..5].fill(0xff)),
        ));
        let whole = batch_of(codec, |_| {});
        let cut = &whole[layout::RECORDS..whole.len() - 5];
        made.push((format!("{codec}-cut-data"), with_records(&whole, codec, cut)));
        made.push((format!("{codec}-no-data"), with_records(&whole, codec, &[])));
    }
    for codec in [Codec::Gzip, Codec::Zstd] {
        let bomb = batch_of(codec, |records| records.resize(4 << 20, 0));
        made.push((format!("{codec}-bomb"), bomb));
    }
    let header = batch_of(Codec::None, |_| {});
    let lies: [(&str, Codec, &[u8]); 4] = [
        (
            "snappy-lies",
            Codec::Snappy,
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0],
        ),
        (
            "snappy-block-lies",
            Codec::Snappy,
            b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xffabc",
        ),
        (
            "lz4-block-lies",
            Codec::Lz4,
            &[0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73, 0xff, 0xff, 0x3f, 0, 1],
        ),
        (
            "zstd-window-of-2-gib",
            Codec::Zstd,
            &[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00],
        ),
    ];
    made.extend(lies.map(|(name, codec, data)| (name.to_owned(), with_records(&header, codec, data))));
    made
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_frames_are_read_or_refused(seed: u64) {
        frames(&changed("frames", seed));
    }

    #[test]
    fn changed_batches_are_read_or_refused(seed: u64) {
        batches(&changed("batches", seed));
    }
}
