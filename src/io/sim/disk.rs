//! What a host wrote, and what of it would survive the loss of power.
//!
//! Every file and directory has two states: what programs see, and what is on stable storage; and between them the
//! changes, in order, that no flush has carried over. A crash of the host decides about each of those by chance.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};

use super::super::FileStatus;
use super::chance::Chance;
use super::seen::Seen;

/// What a torn write tears at, half of the time; else anywhere.
const SECTOR_BYTES: u64 = 512;

/// The number of a file or directory; never used again.
pub(super) type Inode = usize;

const ROOT: Inode = 0;

/// One host's file system.
pub(super) struct Disk {
    nodes: Vec<Node>,
    used_bytes: u64,
    /// Changes of anything so far: the clock by which each of them is told from all others.
    clock: i64,
}

enum Node {
    File(FileNode),
    Dir(DirNode),
}

#[derive(Default)]
struct FileNode {
    data: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// How many changes were ever made; the last `pending.len()` of them are pending.
    changes: u64,
    changed: i64,
    is_locked: bool,
}

enum Change {
    Write { at: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Default)]
struct DirNode {
    entries: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
    pending: Vec<EntryChange>,
    changed: i64,
}

enum EntryChange {
    Set(OsString, Inode),
    Remove(OsString),
    Rename(OsString, OsString),
}

impl Disk {
    /// An empty one.
    pub(super) fn new() -> Disk {
        Disk {
            nodes: vec![Node::Dir(DirNode::default())],
            used_bytes: 0,
            clock: 0,
        }
    }

    /// Bytes in files.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    // --- names ---

    pub(super) fn find(&self, path: &Path) -> io::Result<Inode> {
        let mut inode = ROOT;
        for name in names(path) {
            inode = *self
                .dir(inode)?
                .entries
                .get(name)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(inode)
    }

    /// The directory that holds `path`, and the name in it.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(Inode, &'a OsStr)> {
        let name = names(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        let mut inode = ROOT;
        let count = names(path).count();
        for name in names(path).take(count - 1) {
            inode = *self
                .dir(inode)?
                .entries
                .get(name)
                .ok_or(io::ErrorKind::NotFound)?;
        }
        self.dir(inode)?;
        Ok((inode, name))
    }

    /// Makes a new file at `path`.
    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<Inode> {
        let (parent, name) = self.parent(path)?;
        let inode = self.add(Node::File(FileNode::default()));
        self.change_entry(parent, EntryChange::Set(name.to_owned(), inode))?;
        Ok(inode)
    }

    pub(super) fn create_dirs(&mut self, path: &Path) -> io::Result<()> {
        let mut inode = ROOT;
        for name in names(path) {
            let next = self.dir(inode)?.entries.get(name).copied();
            inode = match next {
                Some(next) => next,
                None => {
                    let made = self.add(Node::Dir(DirNode::default()));
                    self.change_entry(inode, EntryChange::Set(name.to_owned(), made))?;
                    made
                }
            };
        }
        self.dir(inode).map(drop)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((old_parent, old), (new_parent, new)) = (self.parent(from)?, self.parent(to)?);
        let inode = self.find(from)?;
        if let Ok(replaced) = self.find(to)
            && let Node::Dir(dir) = &self.nodes[replaced]
            && !dir.entries.is_empty()
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if old_parent == new_parent {
            return self.change_entry(old_parent, EntryChange::Rename(old.to_owned(), new.to_owned()));
        }
        self.change_entry(new_parent, EntryChange::Set(new.to_owned(), inode))?;
        self.change_entry(old_parent, EntryChange::Remove(old.to_owned()))
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        let Node::File(file) = &self.nodes[inode] else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        self.used_bytes -= file.data.len() as u64;
        let (parent, name) = self.parent(path)?;
        self.change_entry(parent, EntryChange::Remove(name.to_owned()))
    }

    pub(super) fn remove_tree(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        for (name, _) in self.dir(inode)?.entries.clone() {
            let child = path.join(name);
            match self.remove_file(&child) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.remove_tree(&child)?,
                other => other?,
            }
        }
        let (parent, name) = self.parent(path)?;
        self.change_entry(parent, EntryChange::Remove(name.to_owned()))
    }

    /// The names in a directory, and whether each is itself one.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<(OsString, bool)>> {
        let dir = self.dir(self.find(path)?)?;
        let entry = |(name, inode): (&OsString, &Inode)| (name.clone(), self.is_dir(*inode));
        Ok(dir.entries.iter().map(entry).collect())
    }

    pub(super) fn is_dir(&self, inode: Inode) -> bool {
        matches!(self.nodes[inode], Node::Dir(_))
    }

    fn add(&mut self, node: Node) -> Inode {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn dir(&self, inode: Inode) -> io::Result<&DirNode> {
        match &self.nodes[inode] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&self, inode: Inode) -> io::Result<&FileNode> {
        match &self.nodes[inode] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> io::Result<&mut FileNode> {
        match &mut self.nodes[inode] {
            Node::File(file) => Ok(file),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn change_entry(&mut self, dir: Inode, change: EntryChange) -> io::Result<()> {
        let now = self.tick();
        let Node::Dir(dir) = &mut self.nodes[dir] else {
            return Err(io::ErrorKind::NotADirectory.into());
        };
        dir.changed = now;
        change.apply(&mut dir.entries);
        dir.pending.push(change);
        Ok(())
    }

    fn tick(&mut self) -> i64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn status(&self, inode: Inode) -> FileStatus {
        match &self.nodes[inode] {
            Node::File(file) => FileStatus {
                len: file.data.len() as u64,
                changed: file.changed,
            },
            Node::Dir(dir) => FileStatus {
                len: 0,
                changed: dir.changed,
            },
        }
    }

    // --- bytes ---

    pub(super) fn len(&self, inode: Inode) -> io::Result<u64> {
        Ok(self.file(inode)?.data.len() as u64)
    }

    /// Up to `len` bytes from `offset` on.
    pub(super) fn read(&self, inode: Inode, offset: u64, len: usize) -> io::Result<&[u8]> {
        let data = &self.file(inode)?.data;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        Ok(&data[start..start.saturating_add(len).min(data.len())])
    }

    /// Writes as much of `bytes` as there is room for; how much.
    pub(super) fn write(&mut self, inode: Inode, at: u64, bytes: &[u8], bytes_max: u64) -> io::Result<usize> {
        let room = bytes_max.saturating_sub(self.used_bytes);
        let now = self.tick();
        let file = self.file_mut(inode)?;
        file.changed = now;
        let len = file.data.len() as u64;
        let fits = (len + room).saturating_sub(at).min(bytes.len() as u64) as usize;
        let change = Change::Write {
            at,
            bytes: bytes[..fits].to_vec(),
        };
        file.change(change);
        let grown = file.data.len() as u64 - len;
        self.used_bytes += grown;
        Ok(fits)
    }

    pub(super) fn set_len(&mut self, inode: Inode, len: u64) -> io::Result<()> {
        let now = self.tick();
        let file = self.file_mut(inode)?;
        file.changed = now;
        let before = file.data.len() as u64;
        file.change(Change::SetLen(len));
        self.used_bytes = self.used_bytes + len - before;
        Ok(())
    }

    // --- flushing ---

    /// What a flush that begins now covers.
    pub(super) fn flush_point(&self, inode: Inode) -> u64 {
        match &self.nodes[inode] {
            Node::File(file) => file.changes,
            Node::Dir(dir) => dir.pending.len() as u64,
        }
    }

    /// Makes what [`Disk::flush_point`] covered durable; returns the bytes.
    pub(super) fn flush(&mut self, inode: Inode, point: u64) -> u64 {
        match &mut self.nodes[inode] {
            Node::File(file) => {
                let mut bytes = 0;
                for change in file.take_until(point) {
                    bytes += change.len();
                    change.apply(&mut file.durable);
                }
                bytes
            }
            Node::Dir(dir) => {
                let count = (point as usize).min(dir.pending.len());
                for change in dir.pending.drain(..count) {
                    change.apply(&mut dir.durable);
                }
                0
            }
        }
    }

    /// A flush failed: what it covered can no longer be made durable, though it can still be read. Linux behaves so.
    pub(super) fn fail_flush(&mut self, inode: Inode, point: u64) {
        if let Node::File(file) = &mut self.nodes[inode] {
            file.take_until(point);
        }
    }

    // --- locks ---

    /// Whether the lock was free and is now held.
    pub(super) fn lock(&mut self, inode: Inode) -> io::Result<bool> {
        let file = self.file_mut(inode)?;
        Ok(!std::mem::replace(&mut file.is_locked, true))
    }

    pub(super) fn unlock(&mut self, inode: Inode) {
        if let Ok(file) = self.file_mut(inode) {
            file.is_locked = false;
        }
    }

    // --- the end of power ---

    /// Decides what survives: of each directory a beginning of its unflushed changes, of each file any of its own.
    pub(super) fn crash(&mut self, chance: &Chance, seen: &mut Seen) {
        let mut had_unflushed = false;
        let now = self.tick();
        for node in &mut self.nodes {
            match node {
                Node::File(file) => {
                    if !file.pending.is_empty() {
                        had_unflushed = true;
                        file.changed = now;
                    }
                    file.crash(chance, seen);
                }
                Node::Dir(dir) => {
                    if !dir.pending.is_empty() {
                        dir.changed = now;
                    }
                    let kept = chance.index(dir.pending.len() + 1);
                    seen.lost_entries += (dir.pending.len() - kept) as u64;
                    for change in dir.pending.drain(..).take(kept) {
                        change.apply(&mut dir.durable);
                    }
                    dir.entries = dir.durable.clone();
                }
            }
        }
        if had_unflushed {
            seen.crashes_between_write_and_flush += 1;
        }
        self.used_bytes = self.count_used();
    }

    fn count_used(&self) -> u64 {
        let sizes = self.nodes.iter().map(|node| match node {
            Node::File(file) => file.data.len() as u64,
            Node::Dir(_) => 0,
        });
        sizes.sum()
    }
}

impl FileNode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.data);
        self.pending.push(change);
        self.changes += 1;
    }

    /// The pending changes before the `point`th.
    fn take_until(&mut self, point: u64) -> Vec<Change> {
        let first = self.changes - self.pending.len() as u64;
        let count = point.saturating_sub(first).min(self.pending.len() as u64) as usize;
        self.pending.drain(..count).collect()
    }

    fn crash(&mut self, chance: &Chance, seen: &mut Seen) {
        // Often everything had been written back, or nothing.
        let mood = chance.index(3);
        for change in std::mem::take(&mut self.pending) {
            let fate = match mood {
                0 => 0,
                1 => 1,
                _ => chance.index(3),
            };
            match (fate, change) {
                (1, change) => change.apply(&mut self.durable),
                (2, Change::Write { at, bytes }) => {
                    seen.torn_writes += 1;
                    let mut kept = chance.within(0..bytes.len() as u64 + 1);
                    if chance.happens(0.5) {
                        kept = (at + kept) / SECTOR_BYTES * SECTOR_BYTES;
                        kept = kept.saturating_sub(at);
                    }
                    let bytes = bytes[..kept as usize].to_vec();
                    Change::Write { at, bytes }.apply(&mut self.durable);
                }
                // The journal keeps changes of a file's size in order: without this one no later one comes.
                (_, Change::SetLen(_)) => break,
                (_, Change::Write { .. }) => seen.lost_writes += 1,
            }
        }
        self.data = self.durable.clone();
        self.is_locked = false;
    }
}

impl Change {
    fn len(&self) -> u64 {
        match self {
            Change::Write { bytes, .. } => bytes.len() as u64,
            Change::SetLen(_) => 0,
        }
    }

    fn apply(&self, data: &mut Vec<u8>) {
        match self {
            Change::Write { bytes, .. } if bytes.is_empty() => {}
            Change::Write { at, bytes } => {
                let at = *at as usize;
                if data.len() < at + bytes.len() {
                    data.resize(at + bytes.len(), 0);
                }
                data[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Change::SetLen(len) => data.resize(*len as usize, 0),
        }
    }
}

impl EntryChange {
    fn apply(&self, entries: &mut BTreeMap<OsString, Inode>) {
        match self {
            EntryChange::Set(name, inode) => {
                entries.insert(name.clone(), *inode);
            }
            EntryChange::Remove(name) => {
                entries.remove(name);
            }
            EntryChange::Rename(from, to) => {
                if let Some(inode) = entries.remove(from) {
                    entries.insert(to.clone(), inode);
                }
            }
        }
    }
}

/// The names on the way from the root to `path`; the working directory is the root.
fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> &Path {
        Path::new(text)
    }

    /// A disk with `/d/f` holding `old`, all of it durable.
    fn disk() -> (Disk, Inode) {
        let mut disk = Disk::new();
        disk.create_dirs(path("/d")).unwrap();
        let file = disk.create_file(path("/d/f")).unwrap();
        disk.write(file, 0, b"old", u64::MAX).unwrap();
        for inode in [ROOT, disk.find(path("/d")).unwrap(), file] {
            let point = disk.flush_point(inode);
            disk.flush(inode, point);
        }
        (disk, file)
    }

    #[test]
    fn what_was_flushed_survives_every_crash() {
        for seed in 0..200 {
            let (mut disk, file) = disk();
            disk.write(file, 3, b"new", u64::MAX).unwrap();
            disk.crash(&Chance::new(seed), &mut Seen::default());
            let found = disk.find(path("/d/f")).unwrap();
            let data = disk.read(found, 0, 100).unwrap();
            assert!(data.starts_with(b"old"), "{data:?}");
        }
    }

    #[test]
    fn unflushed_writes_are_kept_torn_or_lost_and_entries_kept_or_lost() {
        let mut seen = Seen::default();
        let mut lengths = std::collections::BTreeSet::new();
        let mut entries = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let (mut disk, file) = disk();
            disk.write(file, 3, b"new", u64::MAX).unwrap();
            disk.create_file(path("/d/g")).unwrap();
            disk.crash(&Chance::new(seed), &mut seen);
            lengths.insert(disk.len(disk.find(path("/d/f")).unwrap()).unwrap());
            entries.insert(disk.find(path("/d/g")).is_ok());
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(entries.len(), 2);
        assert!(seen.torn_writes > 0 && seen.lost_writes > 0 && seen.lost_entries > 0);
        assert_eq!(seen.crashes_between_write_and_flush, 200);
    }

    #[test]
    fn a_rename_happens_or_not() {
        for seed in 0..50 {
            let (mut disk, _) = disk();
            disk.rename(path("/d/f"), path("/d/g")).unwrap();
            disk.crash(&Chance::new(seed), &mut Seen::default());
            let found = ["/d/f", "/d/g"].map(|name| disk.find(path(name)).is_ok());
            assert!(found[0] != found[1], "{found:?}");
        }
    }

    #[test]
    fn a_failed_flush_is_not_made_good_by_the_next() {
        let (mut disk, file) = disk();
        disk.write(file, 3, b"new", u64::MAX).unwrap();
        let point = disk.flush_point(file);
        disk.fail_flush(file, point);
        let point = disk.flush_point(file);
        disk.flush(file, point);
        assert_eq!(disk.read(file, 0, 9).unwrap(), b"oldnew", "still to be read");
        disk.crash(&Chance::new(1), &mut Seen::default());
        assert_eq!(disk.read(file, 0, 9).unwrap(), b"old");
    }

    #[test]
    fn a_full_disk_takes_a_part() {
        let (mut disk, file) = disk();
        assert_eq!(disk.write(file, 3, b"new", 5).unwrap(), 2);
        assert_eq!(
            disk.write(file, 0, b"OLD", 5).unwrap(),
            3,
            "what is there can be changed"
        );
        disk.remove_file(path("/d/f")).unwrap();
        let file = disk.create_file(path("/d/g")).unwrap();
        assert_eq!(disk.write(file, 0, b"room", 5).unwrap(), 4);
    }
}
