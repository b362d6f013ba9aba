//! Turns the message schemas of `src/wire/schema/` into Rust, for `src/wire/messages.rs` to include.
//!
//! [`parse`] reads our notation (described there) into the model of [`schema`], which also refuses what the
//! codec could not carry; [`emit`] writes one module per message.

#![allow(
    clippy::disallowed_methods,
    reason = "runs where the crate is built, never in a broker"
)]

mod emit;
mod emit_api;
mod emit_decode;
mod emit_encode;
mod emit_json;
mod emit_log;
mod emit_record;
mod emit_sample;
mod parse;
mod schema;

use std::path::{Path, PathBuf};
use std::{env, fs, process};

const SCHEMA_DIR: &str = "src/wire/schema";

/// The coordinators' logs that are read: the schemas' file, the type that stands for any record of it, and what it is the log of.
const LOGS: &[(&str, &str, &str)] = &[("group_log", "GroupRecord", "group coordinator")];

fn main() {
    println!("cargo::rerun-if-changed={SCHEMA_DIR}");
    println!("cargo::rerun-if-changed=build");
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut messages = Vec::new();
    let mut logs = String::new();
    for path in schema_files(Path::new(SCHEMA_DIR)) {
        let text = fs::read_to_string(&path).unwrap_or_else(|e| fail(&path, &e.to_string()));
        let parsed = parse::parse(&text).unwrap_or_else(|e| fail(&path, &e.to_string()));
        for message in &parsed {
            schema::check(message).unwrap_or_else(|e| fail(&path, &e));
        }
        let log = LOGS
            .iter()
            .find(|(file, ..)| path.file_stem().is_some_and(|stem| stem == *file));
        if let Some((_, name, of)) = log {
            logs += &emit_log::records(name, of, &parsed);
        }
        messages.extend(parsed);
    }
    write(&out_dir.join("messages.rs"), &(emit::messages(&messages) + &logs));
    write(&out_dir.join("api.rs"), &emit_api::apis(&messages));
}

fn schema_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| fail(dir, &e.to_string()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap_or_else(|e| fail(dir, &e.to_string())).path())
        .filter(|path| path.extension().is_some_and(|x| x == "msg"))
        .collect();
    files.sort();
    files
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap_or_else(|e| fail(path, &e.to_string()));
}

fn fail(path: &Path, why: &str) -> ! {
    eprintln!("{}: {why}", path.display());
    process::exit(1);
}
