//! The rooms of `src/` stand in an order, and none may use one below it; only `src/io/uring` knows the ring.
//!
//! Read from the source's text, comments and strings taken out, so that code behind any `cfg` is judged too.

#![allow(clippy::disallowed_methods, reason = "reads the source tree")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top: a room uses those before it in this list, never those behind it.
const ROOMS: &[&str] = &[
    "base",
    "config",
    "io",
    "wire",
    "client",
    "log",
    "metadata",
    "quorum",
    "group",
    "txn",
    "partition",
    "shard",
    "api",
    "server",
    "admin",
    "cli",
];

/// The crates behind the one door to the world, and the folder that is the door.
const DOOR_CRATES: &[&str] = &["glommio", "io_uring"];
const DOOR: &str = "io/uring";

#[test]
fn no_room_uses_one_below_it() {
    let faults = judge_tree(uses_of_lower_rooms);
    assert!(faults.is_empty(), "rooms that look down:\n{}", faults.join("\n"));
}

#[test]
fn only_the_door_names_glommio_or_io_uring() {
    let faults = judge_tree(door_crates_outside_the_door);
    assert!(faults.is_empty(), "past the door:\n{}", faults.join("\n"));
}

#[test]
fn every_folder_of_the_source_is_a_room() {
    for entry in fs::read_dir(source_root()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(
                ROOMS.contains(&name.as_str()),
                "src/{name} has no place in the order of rooms"
            );
        }
    }
}

#[test]
fn a_planted_look_down_is_caught() {
    for planted in [
        "use crate::shard::Shard;",
        "use crate::{base::Offset, shard};",
        "use crate::{\n    base::{Offset, LeaderEpoch},\n    shard::{self, Shard},\n};",
        "fn f(_: &crate::shard::Shard) {}",
        "pub(crate) use crate :: shard :: Shard;",
        "use super::super::shard::Shard;",
    ] {
        let faults = uses_of_lower_rooms("log/segment.rs", planted);
        assert_eq!(faults.len(), 1, "{planted}");
    }
    for allowed in [
        "use crate::base::Offset;",
        "use crate::log::Log;",
        "// use crate::shard::Shard;",
        "/* crate::shard */",
        "let s = \"crate::shard\";",
        "let c = '\"'; let d = \"crate::shard\";",
        "let r = r#\"crate::shard \" \"#;",
        "use super::shard;",
        "use crate::shardlike;",
    ] {
        assert_eq!(
            uses_of_lower_rooms("log/segment.rs", allowed),
            Vec::<String>::new(),
            "{allowed}"
        );
    }
}

#[test]
fn a_planted_ring_is_caught() {
    for planted in [
        "use glommio::Task;",
        "io_uring::IoUring::new(8)",
        "use ::glommio;",
    ] {
        assert_eq!(
            door_crates_outside_the_door("io/mod.rs", planted).len(),
            1,
            "{planted}"
        );
        assert!(
            door_crates_outside_the_door("io/uring/ring.rs", planted).is_empty(),
            "{planted}"
        );
    }
    assert!(door_crates_outside_the_door("io/mod.rs", "// as glommio does\nuring::run()").is_empty());
}

type Judge = fn(&str, &str) -> Vec<String>;

fn judge_tree(judge: Judge) -> Vec<String> {
    let mut files = Vec::new();
    collect_sources(&source_root(), &mut files);
    assert!(
        files.len() > ROOMS.len(),
        "the source is where this test looks for it"
    );
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let path = file.strip_prefix(source_root()).unwrap().to_str().unwrap();
        faults.extend(judge(path, &text));
    }
    faults
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// One line for each place in `text` (of `path`, relative to `src/`) that names a room below the file's own.
fn uses_of_lower_rooms(path: &str, text: &str) -> Vec<String> {
    let Some(own) = rank(path.split('/').next().unwrap_or_default().trim_end_matches(".rs")) else {
        return Vec::new(); // lib.rs and main.rs stand outside the order.
    };
    let code = code_only(text);
    named_rooms(&code, depth(path))
        .into_iter()
        .filter(|(room, _)| rank(room).is_some_and(|other| other > own))
        .map(|(room, at)| format!("src/{path}:{} uses {room}", line_of(&code, at)))
        .collect()
}

fn door_crates_outside_the_door(path: &str, text: &str) -> Vec<String> {
    if path.starts_with(DOOR) {
        return Vec::new();
    }
    let code = code_only(text);
    let words = words(&code);
    words
        .iter()
        .filter(|(word, _)| DOOR_CRATES.contains(word))
        .map(|(word, at)| format!("src/{path}:{} names {word}", line_of(&code, *at)))
        .collect()
}

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|r| *r == room)
}

/// How many modules deep a file's own module lies below the crate's root.
fn depth(path: &str) -> usize {
    path.split('/').filter(|part| *part != "mod.rs").count()
}

/// The first path segments below the crate's root that `code` names, each with its position:
/// `crate::a`, `crate::{a, b::c}` and as many `super::` as lead to the root.
fn named_rooms(code: &str, depth: usize) -> Vec<(&str, usize)> {
    let mut tokens = tokens(code);
    tokens.push(("", code.len()));
    let text = |i: usize| tokens.get(i).map_or("", |t| t.0);
    let mut found = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let root = match text(i) {
            "crate" if text(i + 1) == "::" => i + 2,
            "super" => {
                let mut end = i;
                let mut supers = 0;
                while text(end) == "super" && text(end + 1) == "::" {
                    supers += 1;
                    end += 2;
                }
                if supers < depth {
                    i = end.max(i + 1);
                    continue;
                }
                end
            }
            _ => {
                i += 1;
                continue;
            }
        };
        if text(root) != "{" {
            found.push(tokens[root.min(tokens.len() - 1)]);
            i = root + 1;
            continue;
        }
        let mut level = 0;
        let mut at_start = false;
        i = root;
        while i < tokens.len() {
            match text(i) {
                "{" => {
                    level += 1;
                    at_start = level == 1;
                }
                "}" => level -= 1,
                "," => at_start = level == 1,
                _ if at_start => {
                    found.push(tokens[i]);
                    at_start = false;
                }
                _ => {}
            }
            i += 1;
            if level == 0 {
                break;
            }
        }
    }
    found
}

/// Identifiers, `::` and single other characters, with their positions.
fn tokens(code: &str) -> Vec<(&str, usize)> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let start = i;
        if is_word(bytes[i]) {
            while i < bytes.len() && is_word(bytes[i]) {
                i += 1;
            }
        } else if bytes[i..].starts_with(b"::") {
            i += 2;
        } else {
            i += 1;
            while !code.is_char_boundary(i) {
                i += 1;
            }
        }
        let token = &code[start..i];
        if !token.trim().is_empty() {
            tokens.push((token, start));
        }
    }
    tokens
}

fn words(code: &str) -> Vec<(&str, usize)> {
    tokens(code)
        .into_iter()
        .filter(|(token, _)| is_word(token.as_bytes()[0]))
        .collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The source with comments, strings and character literals blanked out; lines keep their numbers.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match bytes[i] {
            b'/' if bytes[i..].starts_with(b"//") => find(bytes, i, b"\n"),
            b'/' if bytes[i..].starts_with(b"/*") => end_of_block_comment(bytes, i),
            b'"' => end_of_string(bytes, i),
            b'r' if i == 0 || !is_word(bytes[i - 1]) || bytes[i - 1] == b'b' => {
                match raw_string_end(bytes, i) {
                    Some(end) => end,
                    None => {
                        i += 1;
                        continue;
                    }
                }
            }
            b'\'' => match char_literal_end(bytes, i) {
                Some(end) => end,
                None => {
                    i += 1;
                    continue;
                }
            },
            _ => {
                i += 1;
                continue;
            }
        };
        for byte in &mut code[i..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        i = end;
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    bytes[from..]
        .windows(what.len())
        .position(|w| w == what)
        .map_or(bytes.len(), |p| from + p)
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let mut level = 0;
    let mut i = start;
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            level += 1;
            i += 2;
        } else if bytes[i..].starts_with(b"*/") {
            level -= 1;
            i += 2;
            if level == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    i
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() && bytes[i] != b'"' {
        i += if bytes[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(bytes.len())
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|b| **b == b'#').count();
    if bytes.get(start + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some((find(bytes, start + hashes + 2, &close) + close.len()).min(bytes.len()))
}

/// `'x'`, `'\n'` or `'\u{1f}'`; None for a lifetime.
fn char_literal_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        return Some((find(bytes, start + 3, b"'") + 1).min(bytes.len()));
    }
    let close = bytes
        .get(start + 2..bytes.len().min(start + 6))?
        .iter()
        .position(|b| *b == b'\'')?;
    // A character is one to four bytes; `'a, 'b` is two lifetimes.
    (close == 0 || bytes[start + 1] >= 0x80).then_some(start + 3 + close)
}
