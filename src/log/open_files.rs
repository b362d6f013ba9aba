//! The files that the logs of a core hold open between two uses: a bounded number of them, and none that is idle.
//!
//! A file is opened when it is used. When there are as many as there may be, one that was not used since the last look at it is closed in
//! its favour (the clock's hand of an operating system's pages). Who reads or writes a file meanwhile has it open himself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

use crate::io::fs::File;
use crate::io::{OpenOptions, is_out_of_resources};

/// So many are closed at once where the system has no descriptor left: enough that not each of the next ones meets that again.
const CLOSED_AT_ONCE: usize = 16;

/// Among those that are looked at may be so many that are closed already, and as many more as are open.
const GONE_MAX: usize = 16;

/// The held files of one core.
#[derive(Debug)]
pub struct OpenFiles {
    files_max: usize,
    open: Cell<usize>,
    /// Every one that is open, and some that are no more. The hand is at its front.
    clock: RefCell<VecDeque<Weak<Slot>>>,
}

/// A partition's directory, and among which files its own are held. Clones are the same.
#[derive(Clone)]
pub struct Dir(Rc<Inner>);

struct Inner {
    path: Box<Path>,
    files: Rc<OpenFiles>,
}

/// One file, open or not.
#[derive(Debug, Default)]
pub struct HeldFile(RefCell<Option<Rc<Slot>>>);

#[derive(Debug)]
struct Slot {
    files: Rc<OpenFiles>,
    file: RefCell<Option<File>>,
    /// Since the hand last came by.
    is_used: Cell<bool>,
    /// It has no name by which it could be opened again.
    is_kept: Cell<bool>,
}

impl OpenFiles {
    /// With room for so many, at least one.
    pub fn new(files_max: usize) -> Rc<OpenFiles> {
        Rc::new(OpenFiles {
            files_max: files_max.max(1),
            open: Cell::new(0),
            clock: RefCell::default(),
        })
    }

    /// Without a limit but the system's.
    pub fn unlimited() -> Rc<OpenFiles> {
        OpenFiles::new(usize::MAX)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.get()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at the next `count` files and closes those that were not used since the last look.
    pub fn close_idle(&self, count: usize) {
        let known = self.clock.borrow().len();
        for _ in 0..count.min(known) {
            self.turn(Slot::is_idle);
        }
    }

    fn add(&self, slot: &Rc<Slot>) {
        // Those that are used take two looks; those that have no name stay, however many they are.
        let mut looks_left = 2 * self.clock.borrow().len();
        while self.len() >= self.files_max && looks_left > 0 {
            self.turn(Slot::is_idle);
            looks_left -= 1;
        }
        self.open.set(self.open.get() + 1);
        let mut clock = self.clock.borrow_mut();
        if clock.len() > 2 * self.len() + GONE_MAX {
            clock.retain(|slot| slot.strong_count() > 0);
        }
        clock.push_back(Rc::downgrade(slot));
    }

    /// Looks at the next file; closes it if it may be, or puts it behind all others.
    fn turn(&self, may_close: impl Fn(&Slot) -> bool) -> bool {
        let next = self.clock.borrow_mut().pop_front();
        let Some(next) = next else { return false };
        let Some(slot) = next.upgrade() else { return false };
        if may_close(&slot) && !slot.is_kept.get() {
            return slot.close();
        }
        self.clock.borrow_mut().push_back(next);
        false
    }

    /// Whether any was.
    fn close_some(&self) -> bool {
        let mut closed = 0;
        let known = self.clock.borrow().len();
        for _ in 0..known {
            closed += usize::from(self.turn(|_| true));
            if closed == CLOSED_AT_ONCE {
                break;
            }
        }
        closed > 0
    }

    fn open_now(&self, path: &Path) -> io::Result<File> {
        match File::open_now(path, OpenOptions::read_write()) {
            Err(error) if is_out_of_resources(&error) && self.close_some() => {
                File::open_now(path, OpenOptions::read_write())
            }
            opened => opened,
        }
    }
}

impl Slot {
    /// Whether it was open.
    fn close(&self) -> bool {
        let was_open = self.file.take().is_some();
        self.files.open.set(self.files.open.get() - usize::from(was_open));
        was_open
    }

    fn is_idle(&self) -> bool {
        !self.is_used.replace(false)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.close();
    }
}

impl HeldFile {
    /// An open one.
    pub fn open(dir: &Dir, file: File) -> HeldFile {
        let held = HeldFile::default();
        held.hold(dir, file);
        held
    }

    /// Holds `file` from now on.
    pub fn hold(&self, dir: &Dir, file: File) {
        let slot = Rc::new(Slot {
            files: dir.0.files.clone(),
            file: RefCell::new(Some(file)),
            is_used: Cell::new(true),
            is_kept: Cell::new(false),
        });
        dir.0.files.add(&slot);
        self.0.replace(Some(slot));
    }

    /// The file; opened by its path, blocking, if it isn't open.
    pub fn get_now(&self, dir: &Dir, path: impl FnOnce() -> PathBuf) -> io::Result<File> {
        if let Some(file) = self.if_open() {
            return Ok(file);
        }
        let file = dir.0.files.open_now(&path())?;
        self.hold(dir, file.clone());
        Ok(file)
    }

    fn if_open(&self) -> Option<File> {
        let slot = self.0.borrow();
        let slot = slot.as_ref()?;
        slot.is_used.set(true);
        slot.file.borrow().clone()
    }

    /// Keeps it open if it is, or no more.
    pub fn keep(&self, is_kept: bool) {
        if let Some(slot) = &*self.0.borrow() {
            slot.is_kept.set(is_kept);
        }
    }

    /// Closes it.
    pub fn release(&self) {
        self.0.take();
    }
}

impl Dir {
    /// A directory whose files are held among `files`.
    pub fn new(path: &Path, files: Rc<OpenFiles>) -> Dir {
        let path = path.into();
        Dir(Rc::new(Inner { path, files }))
    }

    /// Another one, whose files are held among the same.
    pub fn elsewhere(&self, path: &Path) -> Dir {
        Dir::new(path, self.0.files.clone())
    }
}

/// Whose files are held among no others.
impl From<&Path> for Dir {
    fn from(path: &Path) -> Dir {
        Dir::new(path, OpenFiles::unlimited())
    }
}

impl Deref for Dir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0.path
    }
}

impl AsRef<Path> for Dir {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Files `0`, `1` … in a directory of its own.
    struct Folder {
        root: tempfile::TempDir,
        dir: Dir,
        files: Rc<OpenFiles>,
        held: Vec<HeldFile>,
    }

    impl Folder {
        fn new(count: usize, files_max: usize) -> Folder {
            let root = tempfile::tempdir().unwrap();
            for n in 0..count {
                std::fs::write(root.path().join(n.to_string()), n.to_string()).unwrap();
            }
            let files = OpenFiles::new(files_max);
            Folder {
                dir: Dir::new(root.path(), files.clone()),
                held: (0..count).map(|_| HeldFile::default()).collect(),
                files,
                root,
            }
        }

        fn use_file(&self, n: usize) {
            let path = self.root.path().join(n.to_string());
            let file = self.held[n].get_now(&self.dir, || path).unwrap();
            let mut bytes = vec![0; n.to_string().len()];
            file.read_at_now(0, &mut bytes).unwrap();
            assert_eq!(bytes, n.to_string().as_bytes(), "another file's bytes");
        }

        fn is_open(&self, n: usize) -> bool {
            let slot = self.held[n].0.borrow();
            slot.as_ref().is_some_and(|slot| slot.file.borrow().is_some())
        }

        fn open(&self) -> Vec<usize> {
            (0..self.held.len()).filter(|n| self.is_open(*n)).collect()
        }
    }

    #[test]
    fn the_one_that_was_not_used_is_closed_for_another() {
        let folder = Folder::new(5, 3);
        for n in [0, 1, 2, 3] {
            folder.use_file(n);
        }
        assert_eq!(folder.open(), [1, 2, 3], "all were used: the oldest goes");
        folder.use_file(1);
        folder.use_file(4);
        assert_eq!(folder.open(), [1, 3, 4]);
        folder.held[3].release();
        folder.use_file(0);
        assert!(folder.open().contains(&0) && !folder.open().contains(&3));
    }

    #[test]
    fn what_nobody_used_between_two_looks_is_closed() {
        let folder = Folder::new(3, 10);
        (0..3).for_each(|n| folder.use_file(n));
        folder.files.close_idle(3);
        assert_eq!(folder.open(), [0, 1, 2]);
        folder.use_file(1);
        folder.files.close_idle(99);
        assert_eq!(folder.open(), [1]);
        folder.files.close_idle(1);
        assert!(folder.files.is_empty() && folder.open().is_empty());
        folder.use_file(1);
    }

    #[test]
    fn a_file_that_has_no_name_stays_open_however_many_there_are() {
        let folder = Folder::new(6, 2);
        for n in [0, 1] {
            folder.use_file(n);
            folder.held[n].keep(true);
        }
        for n in 2..6 {
            folder.use_file(n);
        }
        folder.files.close_idle(99);
        folder.files.close_idle(99);
        assert_eq!(folder.open(), [0, 1]);
        folder.held[0].keep(false);
        folder.use_file(5);
        assert!(!folder.is_open(0));
    }

    #[test]
    fn where_the_system_has_none_left_the_logs_own_make_room() {
        let folder = Folder::new(40, usize::MAX);
        (0..39).for_each(|n| folder.use_file(n));
        assert!(folder.files.close_some());
        assert_eq!(folder.open().len(), 39 - CLOSED_AT_ONCE);
        let none = Folder::new(1, usize::MAX);
        assert!(!none.files.close_some());
    }

    proptest! {
        #[test]
        fn there_are_never_more_than_there_may_be(
            files_max in 1usize..6,
            uses in prop::collection::vec((0usize..12, 0u8..10), 0..200),
        ) {
            let folder = Folder::new(12, files_max);
            for (n, what) in uses {
                match what {
                    0 => folder.held[n].release(),
                    1 => folder.files.close_idle(n),
                    _ => {
                        folder.use_file(n);
                        prop_assert!(folder.is_open(n));
                    }
                }
                prop_assert_eq!(folder.open().len(), folder.files.len());
                prop_assert!(folder.files.len() <= files_max);
                let known = folder.files.clock.borrow().len();
                prop_assert!(known <= 2 * files_max + GONE_MAX + 1);
            }
        }
    }
}
