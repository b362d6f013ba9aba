//! The inputs that `fuzz/corpus/` keeps for each fuzz target: how a test runs over them, and writes those that it makes anew.

#![allow(clippy::disallowed_methods, reason = "reads and writes the source tree")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::wire::sample::Source;

/// A name that says what it is, and the bytes.
pub type Input = (String, Vec<u8>);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

/// Every kept input, in the order of the names.
fn kept(target: &str) -> Vec<Input> {
    let entries = fs::read_dir(corpus(target)).expect("the corpus");
    let mut inputs: Vec<Input> = entries
        .map(|entry| entry.expect("an input").path())
        .map(|path| {
            (
                path.file_name().expect("a name").to_string_lossy().into_owned(),
                fs::read(&path).expect("read"),
            )
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target over the inputs that its test makes and over all that are kept; with `UPDATE` set, keeps those made.
pub fn run_all(target: &str, made: &[Input], run: impl Fn(&[u8])) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(corpus(target)).expect("a folder");
        for (name, bytes) in made {
            fs::write(corpus(target).join(name), bytes).expect("written");
        }
    }
    let kept = kept(target);
    for (name, bytes) in made {
        assert!(
            kept.iter().any(|(kept, _)| kept == name),
            "{name} is not kept: run with UPDATE=1"
        );
        run(bytes);
    }
    for (name, bytes) in kept {
        eprintln!("{target}/{name}");
        run(&bytes);
    }
}

/// A short fuzzer of our own, for where there is no other: kept inputs, a few bytes changed.
pub fn changed(target: &str, seed: u64) -> Vec<u8> {
    let mut source = Source(seed);
    let kept = kept(target);
    let mut bytes = kept[source.below(kept.len() as u64) as usize].1.clone();
    for _ in 0..=source.below(4) {
        let at = source.below(bytes.len() as u64 + 1) as usize;
        match source.below(5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, source.u64() as u8),
            2 => {
                let other = &kept[source.below(kept.len() as u64) as usize].1;
                let from = source.below(other.len() as u64 + 1) as usize;
                bytes.splice(at.., other[from..].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = [0, 0x7f, 0x80, 0xff, source.u64() as u8][source.below(5) as usize];
                }
            }
        }
    }
    bytes
}
