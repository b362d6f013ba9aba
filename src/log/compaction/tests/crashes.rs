//! What a crash leaves of a compaction, at every instant.

use std::path::PathBuf;

use super::*;

/// A log of which one group of three segments is compacted, up to the moment before it counts.
struct Begun {
    dir: tempfile::TempDir,
    before: Vec<Seen>,
    after: Vec<Seen>,
    /// The base offsets of the group.
    old: Vec<Offset>,
}

fn begun() -> Begun {
    on_core(|| async {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path(), Opened::AfterCleanStop);
        log.options_mut().segment_bytes = 280;
        for n in 0..14 {
            let value = n.to_string();
            append(&mut log, Codec::None, n, &[("a", Some(&value)), ("b", Some("x"))]);
        }
        log.options_mut().segment_bytes = 900;
        let before = seen(&log);
        settle(&mut log).await;
        let dirt = log.dirt(&RULES, Offset(20), NOW);
        let mut round = log.begin_compaction(dirt, RULES, NOW);
        let pace = Pace::unlimited();
        let keys = round.read_keys(LIMITS, &pace).await.unwrap();
        let mut groups = round.groups(&keys);
        let compacted = groups.compact_next(&pace).await.unwrap().unwrap();
        assert!(compacted.old.len() >= 3, "{compacted:?}");
        // It counts already: taken back by one step, to go on from there by hand.
        for [from, to] in swap::commits(dir.path(), compacted.old[0]) {
            let _ = std::fs::rename(to, from);
        }
        let copy = copied(dir.path());
        apply(swap::commits(copy.path(), Offset(0)));
        apply(swap::places(copy.path(), Offset(0), &compacted.old));
        let after = seen(&open(copy.path(), Opened::AfterCleanStop));
        assert!(after.len() < before.len());
        Begun {
            dir,
            before,
            after,
            old: compacted.old,
        }
    })
}

fn copied(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn apply(renames: impl IntoIterator<Item = [PathBuf; 2]>) {
    for [from, to] in renames {
        // An index that isn't there is passed over.
        let _ = std::fs::rename(from, to);
    }
}

/// Opens what is left, twice, and expects these records and no file that a segment has not.
fn check(dir: &Path, expected: &[Seen], what: &str) {
    for opened in [Opened::AfterCrash, Opened::AfterCleanStop] {
        let log = open(dir, opened);
        assert_eq!(seen(&log), expected, "{what}");
        assert_eq!((log.start_offset(), log.end_offset()), (Offset(0), Offset(28)));
        let bases: Vec<String> = log
            .segments
            .iter()
            .map(|segment| names::offset_file(segment.base(), ""))
            .collect();
        for name in file_names(dir) {
            let kind = names::parse_offset_file(&name).unwrap().kind;
            let is_known = ["log", "index", "timeindex"].contains(&kind)
                && bases.iter().any(|base| name.starts_with(base));
            assert!(is_known || kind == "snapshot", "{what}: {name}");
        }
    }
}

#[test]
fn a_crash_at_any_rename_leaves_the_old_or_the_new() {
    let begun = begun();
    let steps = |dir: &Path| {
        let mut steps = swap::commits(dir, Offset(0));
        steps.extend(swap::places(dir, Offset(0), &begun.old));
        steps.retain(|[from, _]| !from.to_string_lossy().contains(names::TXN_INDEX));
        steps
    };
    let commits = 3;
    let count = steps(Path::new("")).len();
    assert!(count > commits + 12);
    for done in 0..=count {
        let copy = copied(begun.dir.path());
        apply(steps(copy.path()).into_iter().take(done));
        let expected = match done < commits {
            true => &begun.before,
            false => &begun.after,
        };
        check(copy.path(), expected, &format!("after {done} renames"));
    }
}

#[test]
fn a_crash_of_a_start_that_was_finishing_one_leaves_the_new() {
    let begun = begun();
    let committed = copied(begun.dir.path());
    apply(swap::commits(committed.path(), Offset(0)));
    let is_replaced = |name: &String| {
        let file = names::parse_offset_file(name).unwrap();
        begun.old.contains(&file.offset) && ["log", "index", "timeindex"].contains(&file.kind)
    };
    let replaced: Vec<String> = file_names(committed.path())
        .into_iter()
        .filter(is_replaced)
        .collect();
    assert_eq!(replaced.len(), 3 * begun.old.len());
    for gone in 0..=replaced.len() {
        let copy = copied(committed.path());
        for name in &replaced[..gone] {
            std::fs::remove_file(copy.path().join(name)).unwrap();
        }
        check(copy.path(), &begun.after, &format!("after {gone} removals"));
    }
}

#[test]
fn files_that_were_not_whole_yet_are_of_no_use() {
    let begun = begun();
    let log = begun
        .dir
        .path()
        .join(format!("{}.cleaned", names::offset_file(Offset(0), names::LOG)));
    let bytes = std::fs::read(&log).unwrap();
    for len in [0, 1, 60, bytes.len() / 2, bytes.len()] {
        for has_indexes in [true, false] {
            let copy = copied(begun.dir.path());
            std::fs::write(copy.path().join(log.file_name().unwrap()), &bytes[..len]).unwrap();
            if !has_indexes {
                let is_cleaned_index = |name: &String| name.ends_with("index.cleaned");
                for name in file_names(copy.path()).into_iter().filter(is_cleaned_index) {
                    std::fs::remove_file(copy.path().join(name)).unwrap();
                }
            }
            check(copy.path(), &begun.before, &format!("{len} bytes"));
        }
    }
}

#[test]
fn a_next_round_takes_away_what_the_last_one_has_left() {
    let begun = begun();
    let dir = begun.dir.path().to_owned();
    on_core(move || async move {
        // Before the first segment, as it would be left of one that retention took: it would keep every later one from counting.
        let name = names::offset_file(Offset(0), names::INDEX);
        std::fs::write(dir.join(format!("{name}.cleaned")), "x").unwrap();
        let mut log = open(&dir, Opened::AfterCleanStop);
        std::fs::write(dir.join(format!("{name}.cleaned")), "x").unwrap();
        settle(&mut log).await;
        let dirt = log.dirt(&RULES, log.end_offset(), NOW);
        let mut round = log.begin_compaction(dirt, RULES, NOW);
        round.read_keys(LIMITS, &Pace::unlimited()).await.unwrap();
        let is_left = |name: &String| name.ends_with(names::CLEANED);
        assert!(!file_names(&dir).iter().any(is_left));
    });
}
