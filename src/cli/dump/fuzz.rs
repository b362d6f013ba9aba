//! What the fuzz target `dumps` does with any bytes, and every test run with those kept in `fuzz/corpus/`. A fault is a panic, or a line of
//! JSON that isn't.

use clap::ValueEnum;

use super::kind::Kind;
use super::{DumpArgs, dump};
use crate::log::fuzz::Folder;

/// The first byte as a kind of file, the rest as such a file, and as the log beside it.
pub fn dumps(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    let kinds = Kind::value_variants();
    let kind = kinds[usize::from(kind) % kinds.len()];
    let folder = Folder::new();
    folder.write("log", bytes);
    folder.write("file", bytes);
    for (json, cluster_metadata) in [(true, false), (false, true), (true, true)] {
        let args = DumpArgs {
            files: vec![folder.place().path("file")],
            records: true,
            cluster_metadata,
            json,
            kind: Some(kind),
        };
        let mut printed = Vec::new();
        // Whatever is wrong with the file, it is told.
        let _ = dump(&args, &mut printed);
        let printed = String::from_utf8(printed).expect("text");
        for line in printed.lines().filter(|_| json) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok_and(|line| line["what"].is_string()), "{line}");
        }
    }
}
