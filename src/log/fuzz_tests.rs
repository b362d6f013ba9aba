//! The kept inputs, and where they come from: `UPDATE=1 cargo test --lib log::fuzz` writes those made here anew.

use proptest::prelude::*;

use super::*;
use crate::log::testing;
use crate::wire::allocations::peak_bytes;
use crate::wire::corpus::{Input, changed, run_all};

const KAFKA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-log");

/// What a reader may hold beside its input: the piece of a segment that a scan has in memory, and little else.
const HELD_BYTES_MAX: usize = (1 << 20) + (64 << 10);

/// What it may hold for each byte of its input: the shortest line of a checkpoint, `t 0 1`, becomes an entry with a name of its own, and a
/// target keeps what was read beside what it wrote.
const HELD_FOR_A_BYTE_MAX: usize = 64;

/// A file that Kafka wrote.
fn kafkas(name: &str) -> Vec<u8> {
    std::fs::read(format!("{KAFKA}/{name}")).expect("a fixture")
}

fn inputs<const N: usize>(made: [(&str, Vec<u8>); N]) -> Vec<Input> {
    made.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec()
}

fn made_indexes() -> Vec<Input> {
    let offsets = kafkas("kept-0/00000000000000000000.index");
    let times = kafkas("kept-0/00000000000000000000.timeindex");
    let falling: Vec<u8> = offsets.chunks_exact(8).rev().flatten().copied().collect();
    // Its ends rise and the middle doesn't: only they are looked at when it is opened.
    let dented = [&offsets[..8], &offsets[16..24], &offsets[8..16], &offsets[24..]].concat();
    inputs([
        ("nothing", Vec::new()),
        ("offsets", offsets.clone()),
        ("times", times.clone()),
        ("cut", offsets[..30].to_vec()),
        ("falling", falling),
        ("dented", dented),
        ("negative", vec![0xff; 24]),
        ("made-ahead", [offsets, vec![0; 96]].concat()),
        ("times-made-ahead", [times, vec![0; 96]].concat()),
        (
            "longer-than-a-block",
            (0..600i32)
                .flat_map(|n| [n.to_be_bytes(), n.to_be_bytes()].concat())
                .collect(),
        ),
    ])
}

fn made_txn_indexes() -> Vec<Input> {
    let whole = kafkas("transacted-0/00000000000000000004.txnindex");
    let mut newer = whole.clone();
    newer[1] = 1;
    inputs([
        ("nothing", Vec::new()),
        ("kafkas", whole.clone()),
        ("cut", whole[..40].to_vec()),
        ("newer", newer),
        ("negative", [vec![0, 0], vec![0xff; 32]].concat()),
    ])
}

fn made_snapshots() -> Vec<Input> {
    let whole = kafkas("kept-0/00000000000000000033.snapshot");
    let mut many = whole.clone();
    many[6..10].fill(0xff);
    let twice = [&whole[..], &whole[10..]].concat();
    let mut counted_twice = twice.clone();
    counted_twice[9] *= 2;
    inputs([
        ("nothing", Vec::new()),
        ("kafkas", whole.clone()),
        (
            "open-transactions",
            kafkas("transacted-0/00000000000000000004.snapshot"),
        ),
        ("cut", whole[..99].to_vec()),
        ("four-billion-producers", many),
        ("more-behind", twice),
        ("each-producer-twice", counted_twice),
        (
            "negative",
            [vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1], vec![0xff; 46]].concat(),
        ),
    ])
}

fn made_texts() -> Vec<Input> {
    let text = |text: &str| text.as_bytes().to_vec();
    inputs([
        ("nothing", Vec::new()),
        ("offsets", kafkas("recovery-point-offset-checkpoint")),
        ("no-offsets", kafkas("log-start-offset-checkpoint")),
        ("epochs", text("0\n2\n1 5\n3 10\n")),
        ("partition-metadata", kafkas("kept-0/partition.metadata")),
        ("meta-properties", kafkas("meta.properties")),
        ("clean-stop", kafkas(".kafka_cleanshutdown")),
        (
            "many-more-than-there-are",
            text("0\n18446744073709551615\nt 0 1\n"),
        ),
        ("one-partition-twice", text("0\n2\nt 0 1\nt 0 2\n")),
        ("spaces", text("0\n1\n  0 1\n")),
        ("windows", text("0\r\n1\r\nt 0 1\r\n")),
        ("largest", text("0\n1\nt 2147483647 9223372036854775807\n")),
        ("not-utf8", vec![b'0', b'\n', 0xff]),
        (
            "epoch-too-large",
            text("{\"version\":0,\"brokerEpoch\":99999999999999999999}"),
        ),
        (
            "a-value-with-equal-signs",
            text("version=1\ncluster.id=a=b\nnode.id=1\ndirectory.id=85QcLgf_gACrze8BI0VniQ\n"),
        ),
    ])
}

fn made_segments() -> Vec<Input> {
    let two = [
        testing::batch(0, &[(1, "a")]),
        testing::batch(1, &[(2, "b"), (3, "c")]),
    ]
    .concat();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = two.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    inputs([
        ("nothing", Vec::new()),
        ("two-batches", two.clone()),
        ("kafkas", kafkas("kept-0/00000000000000000000.log")),
        ("transactions", kafkas("transacted-0/00000000000000000004.log")),
        ("cut", two[..100].to_vec()),
        ("zeros-behind", [&two[..], &[0; 200]].concat()),
        ("length-of-2-gib", with(8, &i32::MAX.to_be_bytes())),
        ("length-negative", with(8, &(-1i32).to_be_bytes())),
        ("length-of-a-header-less-one", with(8, &48i32.to_be_bytes())),
        ("last-offset-of-all", with(0, &(i64::MAX - 1).to_be_bytes())),
        ("format-1", with(16, &[1])),
    ])
}

fn made_clean_starts() -> Vec<Input> {
    let file = |count| clean_start::tests::file(count);
    let mut long = file(2);
    let at = long.len() - 20;
    long[at..].fill(0xff);
    let mut same_twice = file(1);
    let entry = same_twice[clean_start::HEADER_BYTES..].to_vec();
    same_twice.extend(entry);
    inputs([
        ("nothing", Vec::new()),
        ("no-logs", file(0)),
        ("three-logs", file(3)),
        ("a-real-log", clean_start::tests::file_of_a_real_log()),
        ("cut", file(2)[..150].to_vec()),
        ("a-length-of-four-billion", {
            let mut bytes = file(1);
            bytes[52..56].fill(0xff);
            bytes
        }),
        ("a-root-of-ones", long),
        ("one-log-twice", same_twice),
    ])
}

#[test]
fn kept_clean_starts_are_read_or_refused() {
    run_all("clean_starts", &made_clean_starts(), |bytes| {
        in_little_memory(clean_starts, bytes)
    });
}

#[test]
fn kept_indexes_are_read_or_refused() {
    run_all("indexes", &made_indexes(), |bytes| {
        in_little_memory(indexes, bytes)
    });
}

#[test]
fn kept_txn_indexes_are_read_or_refused() {
    run_all("txn_indexes", &made_txn_indexes(), |bytes| {
        in_little_memory(txn_indexes, bytes)
    });
}

#[test]
fn kept_snapshots_are_read_or_refused() {
    run_all("snapshots", &made_snapshots(), |bytes| {
        in_little_memory(snapshots, bytes)
    });
}

#[test]
fn kept_texts_are_read_or_refused() {
    run_all("texts", &made_texts(), |bytes| in_little_memory(texts, bytes));
}

#[test]
fn kept_segments_are_read_or_refused() {
    run_all("segments", &made_segments(), |bytes| {
        in_little_memory(segments, bytes)
    });
}

/// Runs a target, which must not hold much more than what it is given.
fn in_little_memory(run: fn(&[u8]), bytes: &[u8]) {
    let ((), held) = peak_bytes(|| run(bytes));
    let allowed = HELD_BYTES_MAX + HELD_FOR_A_BYTE_MAX * bytes.len();
    assert!(held < allowed, "{held} bytes for {}", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn changed_indexes_are_read_or_refused(seed: u64) {
        in_little_memory(indexes, &changed("indexes", seed));
    }

    #[test]
    fn changed_txn_indexes_are_read_or_refused(seed: u64) {
        in_little_memory(txn_indexes, &changed("txn_indexes", seed));
    }

    #[test]
    fn changed_snapshots_are_read_or_refused(seed: u64) {
        in_little_memory(snapshots, &changed("snapshots", seed));
    }

    #[test]
    fn changed_texts_are_read_or_refused(seed: u64) {
        in_little_memory(texts, &changed("texts", seed));
    }

    #[test]
    fn changed_clean_starts_are_read_or_refused(seed: u64) {
        in_little_memory(clean_starts, &changed("clean_starts", seed));
    }

    #[test]
    fn changed_segments_are_read_or_refused(seed: u64) {
        in_little_memory(segments, &changed("segments", seed));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for run in [indexes, txn_indexes, snapshots, texts, segments, clean_starts] {
            in_little_memory(run, &bytes);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-z .:=#\n\r{}\",-]{0,120}") {
        in_little_memory(texts, text.as_bytes());
    }
}
