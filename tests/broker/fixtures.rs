//! Data directories that earlier versions wrote (`scripts/make-data-fixture`): this one starts on each of them, finds what
//! they held, and goes on.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::client::{end_offset, number, partition, read_all, send, values};
use crate::harness::Broker;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data");

#[tokio::test]
async fn directories_of_earlier_versions_open_and_hold_what_they_held() {
    let mut tried = 0;
    for version in entries(Path::new(FIXTURES)) {
        for fixture in entries(&version) {
            check(&fixture).await;
            tried += 1;
        }
    }
    assert!(tried >= 2, "a clean and a killed one of each version");
}

async fn check(fixture: &Path) {
    let name = fixture.display();
    let mut broker = Broker::not_started(&[]);
    copy(&fixture.join("data"), &broker.data());
    broker.start_again();
    let holds = fs::read_to_string(fixture.join("holds.txt")).unwrap();
    for line in holds.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [topic, index, count, digest] = words[..] else {
            panic!("{name}: {line}")
        };
        let (index, count): (i32, usize) = (index.parse().unwrap(), count.parse().unwrap());
        let records = read_all(&broker, topic, index).await;
        assert_eq!(records.len(), count, "{name}: {topic}-{index}");
        assert_eq!(digest_of(&values(&records)), digest, "{name}: {topic}-{index}");
        let offsets = send(&partition(&broker, topic, index).await, [number(count)]).await;
        assert_eq!(offsets, [count as i64], "{name}: {topic}-{index} goes on");
    }
    assert!(broker.stop().success());
    broker.start_again();
    for line in holds.lines() {
        let topic = line.split(' ').next().unwrap();
        let count: i64 = line.split(' ').nth(2).unwrap().parse().unwrap();
        assert_eq!(
            end_offset(&broker, topic, 0).await,
            Some(count + 1),
            "{name}: {topic}"
        );
    }
}

fn digest_of(values: &[Vec<u8>]) -> String {
    let digest = Sha256::digest(values.concat());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in entries(from) {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
