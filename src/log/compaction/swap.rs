//! Putting a compacted segment in the place of those that it was made of, so that a crash at any instant leaves the old or the new
//! (Kafka's `LocalLog.replaceSegments`, and `LogLoader` for what a crash has left).
//!
//! 1. The new files are whole and flushed, and named `.cleaned`: a start removes them.
//! 2. They become `.swap`, `.log` first, and the directory is flushed. From here on a start finishes what was begun: a `.swap` with no
//!    `.cleaned` beside it is what counts.
//! 3. The old files become `.deleted`, then the new ones get their names. A directory's changes reach the disk in their order, so that no
//!    new name is there beside an old segment that it replaces.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Offset;
use crate::io::fs::{self, File};
use crate::io::{OpenOptions, Planted, is_planted, sync_dir};
use crate::log::error::{LogError, at};
use crate::log::names;
use crate::log::removal::Removal;
use crate::log::walk::{Source, Step, Walk, ready};

/// A segment's files, in the order in which they are renamed. An index may not be there.
const KINDS: [&str; 4] = [names::LOG, names::INDEX, names::TIME_INDEX, names::TXN_INDEX];

/// A file of a segment at `base` on its way in or out.
fn on_its_way(dir: &Path, base: Offset, kind: &str, state: &str) -> PathBuf {
    dir.join(format!("{}.{state}", names::offset_file(base, kind)))
}

/// The renames of step 2.
pub fn commits(dir: &Path, base: Offset) -> Vec<[PathBuf; 2]> {
    let rename = |kind| [names::CLEANED, names::SWAP].map(|state| on_its_way(dir, base, kind, state));
    KINDS.map(rename).into()
}

/// Makes the compacted segment at `base` count, durably.
///
/// # Errors
/// The system's; which of the two counts is not known then before the next start.
pub async fn commit(dir: &Path, base: Offset) -> io::Result<()> {
    // Their names have to be there before they change: a `.log` alone would be taken for the whole.
    sync_dir(dir).await?;
    for [from, to] in commits(dir, base) {
        match fs::rename(&from, &to).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_log(&from) => {}
            renamed => renamed?,
        }
    }
    match is_planted(Planted::SwapNotFlushed) {
        true => Ok(()),
        false => sync_dir(dir).await,
    }
}

/// The renames of step 3, for a segment at `base` that was made of those at `old`: first what goes, then what comes. What isn't there is
/// passed over.
pub fn places(dir: &Path, base: Offset, old: &[Offset]) -> Vec<[PathBuf; 2]> {
    let goes = |replaced: &Offset| {
        let snapshot = (*replaced != base).then_some(names::SNAPSHOT);
        let kinds = KINDS.into_iter().chain(snapshot);
        let rename = |kind| {
            let from = dir.join(names::offset_file(*replaced, kind));
            [from, on_its_way(dir, *replaced, kind, names::DELETED)]
        };
        kinds.map(rename).collect::<Vec<_>>()
    };
    let comes = |kind| {
        let to = dir.join(names::offset_file(base, kind));
        [on_its_way(dir, base, kind, names::SWAP), to]
    };
    old.iter().flat_map(goes).chain(KINDS.map(comes)).collect()
}

/// Carries out step 3. What it takes away goes with the [`Removal`].
pub fn place_now(dir: &Path, base: Offset, old: &[Offset]) -> io::Result<Removal> {
    let mut removal = Removal::default();
    for [from, to] in places(dir, base, old) {
        let was_there = rename_if_there(&from, &to)?;
        if was_there && to.extension() == Some(names::DELETED.as_ref()) {
            removal.take_file(to);
        }
    }
    Ok(removal)
}

fn is_log(path: &Path) -> bool {
    path.file_stem()
        .is_some_and(|stem| Path::new(stem).extension() == Some(names::LOG.as_ref()))
}

/// Whether it was there.
fn rename_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename_now(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        renamed => renamed.map(|()| true),
    }
}

/// What a crash has left of compactions in a partition's directory.
#[derive(Default)]
struct Found {
    cleaned: Vec<(Offset, PathBuf)>,
    swaps: Vec<(Offset, &'static str, PathBuf)>,
    /// Files in place, by base offset.
    placed: Vec<(Offset, PathBuf)>,
}

/// Ends what a crash has interrupted. Blocks: for a start.
pub fn finish_interrupted_now(dir: &Path) -> Result<(), LogError> {
    let mut found = find_now(dir)?;
    // Not all of it has become `.swap`: it does not count. Splits of segments too large for an index, which Kafka makes, are ended so too.
    let first_cleaned = found.cleaned.iter().map(|(base, _)| *base).min();
    let does_count = |base: Offset| first_cleaned.is_none_or(|first_cleaned| base < first_cleaned);
    let (swaps, void): (Vec<_>, Vec<_>) = found.swaps.drain(..).partition(|(base, _, _)| does_count(*base));
    // The `.swap` first: without the `.cleaned` beside it, it would count.
    let doomed = void.into_iter().map(|(_, _, path)| path);
    for path in doomed.chain(found.cleaned.into_iter().map(|(_, path)| path)) {
        at(&path, fs::remove_file_now(&path))?;
    }
    if swaps.is_empty() {
        return Ok(());
    }
    let replaced = replaced_now(&swaps)?;
    for (base, path) in &found.placed {
        if replaced.iter().any(|range| range.contains(base)) {
            at(path, fs::remove_file_now(path))?;
        }
    }
    at(dir, fs::sync_dir_now(dir))?;
    for (base, kind, path) in &swaps {
        at(
            path,
            fs::rename_now(path, dir.join(names::offset_file(*base, kind))),
        )?;
    }
    at(dir, fs::sync_dir_now(dir))
}

fn find_now(dir: &Path) -> Result<Found, LogError> {
    let mut found = Found::default();
    for entry in at(dir, fs::read_dir_now(dir))?
        .into_iter()
        .filter(|entry| !entry.is_dir)
    {
        let Some(file) = entry.name.to_str().and_then(names::parse_offset_file) else {
            continue;
        };
        let path = dir.join(&entry.name);
        let (kind, state) = file.kind.split_once('.').unwrap_or((file.kind, ""));
        match (KINDS.into_iter().find(|known| *known == kind), state) {
            (Some(_), "") => found.placed.push((file.offset, path)),
            (Some(_), names::CLEANED) => found.cleaned.push((file.offset, path)),
            (Some(kind), names::SWAP) => found.swaps.push((file.offset, kind, path)),
            _ => {}
        }
    }
    Ok(found)
}

/// The base offsets that lie within a `.log.swap`: of segments that it was made of, whose names a crash has kept.
fn replaced_now(swaps: &[(Offset, &'static str, PathBuf)]) -> Result<Vec<std::ops::Range<Offset>>, LogError> {
    let logs = swaps.iter().filter(|(_, kind, _)| *kind == names::LOG);
    logs.map(|(base, _, path)| Ok(*base..at(path, end_of_now(path, *base))?.max(Offset(base.0 + 1))))
        .collect()
}

/// The offset behind the last batch of a `.log` file.
fn end_of_now(path: &Path, base: Offset) -> io::Result<Offset> {
    let file = File::open_now(path, OpenOptions::read_only())?;
    let len = file.len_now()?;
    let mut walk = Walk::new(Source::blocking(file), 0, len);
    let mut end = base;
    while let Step::Batch { header, .. } = ready(walk.next())? {
        end = header.next_offset();
    }
    Ok(end)
}
