//! The market feed through the broker by `ringlog replay`: nothing lost, repeated, reordered or changed, with and
//! without kills in the middle.
//!
//! The recorded feed lies beside the checkout or where `RINGLOG_FEED` says; without it a generated one of the same
//! shape takes its place.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use dbn::encode::DbnMetadataEncoder;
use dbn::{Metadata, SType, Schema};
use rskafka::record::RecordAndOffset;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::client::{create_topic, read_all};
use crate::harness::{Broker, Running, binary, repetitions};
use crate::producers::wait_for_end_offset;

const RECORD_BYTES: usize = 56;
const GENERATED_RECORDS: usize = 20_000;
/// The file's place beside a checkout.
const BESIDE: &str = "../shared/data/esh4-mbo-20231225.dbn.zst";

/// The kills need a replay that lasts some seconds: the recorded feed takes about seven at this speed, and about 68 at
/// its own, the long mode's.
fn killed_speed() -> String {
    (10 / repetitions(1).min(10)).to_string()
}

#[tokio::test]
async fn one_partition_holds_the_feeds_bytes_in_order() {
    let broker = Broker::start();
    let feed = Feed::load();
    replay_to_the_end(&broker, &feed, "1", "none");
    expect_whole_feed(&broker, &feed).await;
}

#[tokio::test]
async fn eight_partitions_hold_each_record_once_and_rising() {
    let broker = Broker::start();
    let feed = Feed::load();
    replay_to_the_end(&broker, &feed, "8", "order");
    expect_each_once_and_rising(&broker, &feed).await;
}

#[tokio::test]
async fn one_partition_holds_the_feeds_bytes_in_order_over_kills() {
    let mut broker = Broker::start();
    let feed = Feed::load();
    replay_over_kills(&mut broker, &feed, "1", "none").await;
    expect_whole_feed(&broker, &feed).await;
}

#[tokio::test]
async fn eight_partitions_hold_each_record_once_and_rising_over_kills() {
    let mut broker = Broker::start();
    let feed = Feed::load();
    replay_over_kills(&mut broker, &feed, "8", "order").await;
    expect_each_once_and_rising(&broker, &feed).await;
}

fn replay_to_the_end(broker: &Broker, feed: &Feed, partitions: &str, key: &str) {
    let ended = Running::spawn(&mut replay(broker, feed, partitions, key, "max")).wait();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
}

/// Kills the broker twice while the replay's own idempotent producer is at work, and starts it again each time.
async fn replay_over_kills(broker: &mut Broker, feed: &Feed, partitions: &str, key: &str) {
    // Before anyone asks for its offsets: Metadata creates a topic that it is asked for, with one partition.
    create_topic(broker, "feed", partitions.parse().unwrap()).await;
    let mut replay = Running::spawn(&mut replay(broker, feed, partitions, key, &killed_speed()));
    let share = feed.records.len() as i64 / partitions.parse::<i64>().unwrap();
    for thirds in 1..=2 {
        // Orders spread unevenly; half of a partition's fair share has come early enough.
        wait_for_end_offset(broker, "feed", share * thirds / 6, &mut replay).await;
        broker.kill();
        tokio::time::sleep(Duration::from_millis(200)).await;
        broker.start_again();
    }
    let ended = replay.wait();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
}

fn replay(broker: &Broker, feed: &Feed, partitions: &str, key: &str, speed: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .arg("replay")
        .arg(&feed.path)
        .args(["--topic", "feed", "--partitions", partitions, "--key", key])
        .args([
            "--speed",
            speed,
            "--gap-max",
            "5ms",
            "--bootstrap",
            &broker.bootstrap(),
        ]);
    command
}

async fn expect_whole_feed(broker: &Broker, feed: &Feed) {
    let records = read_all(broker, "feed", 0).await;
    let mut payloads = Sha256::new();
    for (position, record) in records.iter().enumerate() {
        assert_eq!(
            number_header(record),
            position as u64,
            "header n at offset {position}"
        );
        payloads.update(record.record.value.as_ref().expect("a payload"));
    }
    assert_eq!(records.len(), feed.records.len(), "records");
    let mut file = Sha256::new();
    feed.records.iter().for_each(|record| file.update(record));
    assert_eq!(
        payloads.finalize(),
        file.finalize(),
        "SHA-256 over the payloads in offset order and over the file"
    );
}

async fn expect_each_once_and_rising(broker: &Broker, feed: &Feed) {
    let mut partition_of: BTreeMap<u64, i32> = BTreeMap::new();
    let mut order_on: BTreeMap<[u8; 8], i32> = BTreeMap::new();
    for index in 0..8 {
        let mut last = None;
        for record in read_all(broker, "feed", index).await {
            let n = number_header(&record);
            assert!(
                last < Some(n),
                "n rises within partition {index}: {last:?} before {n}"
            );
            last = Some(n);
            assert_eq!(partition_of.insert(n, index), None, "n = {n} came once");
            let payload = record.record.value.expect("a payload");
            assert_eq!(payload, feed.records[n as usize], "payload of n = {n}");
            let order = payload[16..24].try_into().unwrap();
            assert_eq!(
                *order_on.entry(order).or_insert(index),
                index,
                "an order stays on its partition"
            );
        }
        assert!(last.is_some(), "partition {index} is used");
    }
    assert_eq!(partition_of.len(), feed.records.len(), "each n from 0 is there");
}

fn number_header(record: &RecordAndOffset) -> u64 {
    let bytes = record.record.headers.get("n").expect("header n");
    u64::from_be_bytes(bytes.as_slice().try_into().expect("eight bytes"))
}

/// A feed's file, and its records as this test itself reads them.
pub struct Feed {
    path: PathBuf,
    records: Vec<[u8; RECORD_BYTES]>,
    _generated: Option<TempDir>,
}

impl Feed {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn load() -> Feed {
        match recorded_feed() {
            Some(path) => {
                let text = fs::read(&path).unwrap();
                Feed {
                    records: records_of(&zstd::decode_all(text.as_slice()).unwrap()),
                    path,
                    _generated: None,
                }
            }
            None => Feed::generate(),
        }
    }

    fn generate() -> Feed {
        eprintln!("no recorded feed: a generated one takes its place");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generated.dbn.zst");
        let bytes = generated_bytes();
        fs::write(&path, zstd::encode_all(bytes.as_slice(), 1).unwrap()).unwrap();
        Feed {
            records: records_of(&bytes),
            path,
            _generated: Some(folder),
        }
    }
}

fn recorded_feed() -> Option<PathBuf> {
    match env::var_os("RINGLOG_FEED") {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(Path::new(env!("CARGO_MANIFEST_DIR")).join(BESIDE)).filter(|path| path.exists()),
    }
}

/// DBN: "DBN", the version, the metadata's length (u32, little-endian), the metadata, then the records.
fn records_of(dbn: &[u8]) -> Vec<[u8; RECORD_BYTES]> {
    assert_eq!(&dbn[..3], b"DBN");
    let metadata_bytes = u32::from_le_bytes(dbn[4..8].try_into().unwrap()) as usize;
    let records = &dbn[8 + metadata_bytes..];
    assert_eq!(records.len() % RECORD_BYTES, 0, "market-by-order records only");
    records
        .chunks(RECORD_BYTES)
        .map(|record| record.try_into().unwrap())
        .collect()
}

/// Bursts and pauses, a few hundred orders at a time, and a pair of byte-identical neighbours.
fn generated_bytes() -> Vec<u8> {
    let metadata = Metadata::builder()
        .dataset("GLBX.MDP3")
        .schema(Some(Schema::Mbo))
        .start(1_703_462_400_000_000_000)
        .end(NonZeroU64::new(1_703_548_800_000_000_000))
        .stype_in(Some(SType::RawSymbol))
        .stype_out(SType::InstrumentId)
        .build();
    let mut bytes = Vec::new();
    DbnMetadataEncoder::new(&mut bytes).encode(&metadata).unwrap();
    let mut at = 1_703_462_400_000_000_000u64;
    let mut previous = None;
    for n in 0..GENERATED_RECORDS as u64 {
        at += if n % 50 == 0 { 4_000_000 } else { 1_000 };
        let record = generated_record(n, at);
        bytes.extend(previous.filter(|_| n == 777).unwrap_or(record));
        previous = Some(record);
    }
    bytes
}

fn generated_record(n: u64, at: u64) -> [u8; RECORD_BYTES] {
    let order = 6_000_000_000_000 + n.wrapping_mul(0x9e37_79b9) % 400;
    let price = 4_800_000_000_000i64 + (n % 97) as i64 * 250_000_000;
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend([(RECORD_BYTES / 4) as u8, 0xa0]); // length in words, record type "mbo"
    record.extend(1u16.to_le_bytes()); // publisher
    record.extend(17_077u32.to_le_bytes()); // instrument
    record.extend(at.to_le_bytes()); // ts_event
    record.extend(order.to_le_bytes());
    record.extend(price.to_le_bytes());
    record.extend((1 + n as u32 % 9).to_le_bytes()); // size
    record.extend([130, 0, b'A', b'B']); // flags, channel, action, side
    record.extend((at + 500).to_le_bytes()); // ts_recv
    record.extend(14_000i32.to_le_bytes()); // ts_in_delta
    record.extend((n as u32 / 2).to_le_bytes()); // sequence
    record.try_into().unwrap()
}

#[test]
fn the_generated_feed_is_read_back_by_the_formats_own_decoder() {
    use dbn::decode::{DbnDecoder, DecodeRecord};
    let bytes = generated_bytes();
    let mut decoder = DbnDecoder::new(bytes.as_slice()).unwrap();
    let mut count = 0;
    while let Some(record) = decoder.decode_record::<dbn::MboMsg>().unwrap() {
        assert_eq!(record.hd.instrument_id, 17_077);
        count += 1;
    }
    assert_eq!(count, GENERATED_RECORDS);
}
