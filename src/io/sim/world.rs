//! The clock, the events to come, the hosts, and the loop over all of them.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use super::super::Planted;
use super::chance::Chance;
use super::disk::Disk;
use super::faults::Faults;
use super::net::Sockets;
use super::process::Process;
use super::seen::Seen;
use crate::base::{CoreId, Instant, Timestamp};

/// The first moment on the monotonic clock: not 0, which programs like to take for "never".
const FIRST_NANOS: u64 = 1_000_000_000;
/// The first moment on the wall clock, 2025-01-01.
const FIRST_WALL_MILLIS: i64 = 1_735_689_600_000;

/// One simulated world.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) faults: RefCell<Faults>,
    pub(super) planted: Cell<Option<Planted>>,
    pub(super) seen: RefCell<Seen>,
    pub(super) hosts: RefCell<Vec<Rc<Host>>>,
    now: Cell<u64>,
    events: RefCell<BinaryHeap<Reverse<Event>>>,
    next_event: Cell<u64>,
    trace: Cell<u64>,
    /// Pairs of hosts that nothing passes between, the smaller number first.
    cuts: RefCell<BTreeSet<(usize, usize)>>,
}

/// One machine: its disk and its sockets outlive the processes that run on it.
pub(super) struct Host {
    pub(super) index: usize,
    pub(super) cpus: usize,
    pub(super) disk: RefCell<Disk>,
    pub(super) sockets: Sockets,
    /// The programs that run now.
    pub(super) processes: RefCell<Vec<Rc<Process>>>,
    /// Without power nothing answers, not even with a refusal.
    pub(super) has_power: Cell<bool>,
}

/// Something that happens at its time.
struct Event {
    at: u64,
    /// Among equals, in the order of their making.
    order: u64,
    what: What,
}

enum What {
    /// Wakes a task, unless it was cancelled.
    Wake(Rc<Alarm>),
    Do(Box<dyn FnOnce()>),
}

/// A timer of a task.
#[derive(Default)]
pub(super) struct Alarm {
    pub(super) has_rung: Cell<bool>,
    pub(super) waker: RefCell<Option<Waker>>,
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        self.order == other.order
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Event) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    fn cmp(&self, other: &Event) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Where the code that runs now belongs.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) host: Rc<Host>,
    /// None while the program is not on a core: before its cores start, after they ended.
    pub(super) core: Option<(Rc<Process>, CoreId)>,
}

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

impl World {
    /// Makes a new world the one of this thread.
    pub(super) fn create(seed: u64, faults: Faults) -> Rc<World> {
        let world = Rc::new(World {
            chance: Chance::new(seed),
            faults: RefCell::new(faults),
            planted: Cell::new(None),
            seen: RefCell::default(),
            hosts: RefCell::default(),
            now: Cell::new(FIRST_NANOS),
            events: RefCell::default(),
            next_event: Cell::new(0),
            trace: Cell::new(0xcbf2_9ce4_8422_2325),
            cuts: RefCell::default(),
        });
        WORLD.with(|current| {
            let before = current.replace(Some(world.clone()));
            assert!(before.is_none(), "one world for each thread at a time");
        });
        world
    }

    pub(super) fn destroy() {
        WORLD.with(|current| current.replace(None));
    }

    pub(super) fn now(&self) -> Instant {
        Instant(self.now.get())
    }

    /// Lets the calling core spend time: what it does at once takes its while too.
    pub(super) fn spend(&self, nanos: u64) {
        if let Some((process, core)) = try_place().and_then(|place| place.core) {
            process.spend(core, nanos);
        }
    }

    /// A duration from `range`, as the seed decides.
    pub(super) fn draw(&self, range: &std::ops::Range<u64>) -> Duration {
        Duration::from_nanos(self.chance.within(range.clone()))
    }

    /// Does `what` after `delay`.
    pub(super) fn after(&self, delay: Duration, what: impl FnOnce() + 'static) {
        self.schedule(self.now() + delay, What::Do(Box::new(what)));
    }

    /// Rings `alarm` at `at`.
    pub(super) fn alarm_at(&self, at: Instant, alarm: Rc<Alarm>) {
        self.schedule(at, What::Wake(alarm));
    }

    fn schedule(&self, at: Instant, what: What) {
        let order = self.next_event.get();
        self.next_event.set(order + 1);
        let at = at.0.max(self.now.get());
        self.events.borrow_mut().push(Reverse(Event { at, order, what }));
    }

    /// Adds to the run's fingerprint (FNV-1a over words).
    pub(super) fn note(&self, word: u64) {
        let trace = (self.trace.get() ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.trace.set(trace.rotate_left(7));
    }

    /// The fingerprint of everything that happened.
    pub(super) fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Lets one thing happen, at the latest at `limit`; false when nothing is left to happen by then.
    pub(super) fn step(&self, limit: Instant) -> bool {
        let now = self.now.get();
        let processes = self.processes();
        let mut free = Vec::new();
        let mut next_free = u64::MAX;
        for process in &processes {
            for core in process.ready_cores() {
                let free_at = process.free_at(core);
                if free_at <= now {
                    free.push((process, core));
                } else {
                    next_free = next_free.min(free_at);
                }
            }
        }
        // Events that are due come first: a task sees the world as it is.
        if self.fire_due(now) {
            return true;
        }
        if !free.is_empty() {
            let (process, core) = free[self.chance.index(free.len())];
            process.turn(self, core);
            return true;
        }
        let next_event = self.events.borrow().peek().map_or(u64::MAX, |event| event.0.at);
        let next = next_event.min(next_free);
        if next > limit.0 {
            self.now.set(now.max(limit.0));
            return false;
        }
        self.now.set(next);
        true
    }

    fn fire_due(&self, now: u64) -> bool {
        let due = {
            let mut events = self.events.borrow_mut();
            match events.peek() {
                Some(Reverse(event)) if event.at <= now => events.pop(),
                _ => None,
            }
        };
        let Some(Reverse(event)) = due else {
            return false;
        };
        match event.what {
            What::Wake(alarm) => {
                alarm.has_rung.set(true);
                let waker = alarm.waker.borrow_mut().take();
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            What::Do(what) => what(),
        }
        true
    }

    /// Whether nothing passes between the two hosts.
    pub(super) fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cuts.borrow().contains(&(one.min(other), one.max(other)))
    }

    pub(super) fn set_cut(&self, one: usize, other: usize, is_cut: bool) {
        let pair = (one.min(other), one.max(other));
        if is_cut {
            self.cuts.borrow_mut().insert(pair);
        } else {
            self.cuts.borrow_mut().remove(&pair);
        }
    }

    /// Every process of every host, in order.
    pub(super) fn processes(&self) -> Vec<Rc<Process>> {
        let hosts = self.hosts.borrow();
        hosts
            .iter()
            .flat_map(|host| host.processes.borrow().clone())
            .collect()
    }
}

impl Host {
    /// Draws whether a disk operation takes long, and how long.
    pub(super) fn disk_delay(&self, world: &World) -> Duration {
        let faults = world.faults.borrow();
        let delay = world.draw(&faults.disk_nanos);
        if world.chance.happens(faults.slow_disk) {
            delay * 100
        } else {
            delay
        }
    }
}

/// Runs `f` with this thread's world.
///
/// # Panics
/// When there is none: the simulated build runs only inside a simulation.
pub(super) fn with<R>(f: impl FnOnce(&World) -> R) -> R {
    let world = current();
    f(&world)
}

/// This thread's world.
pub(super) fn current() -> Rc<World> {
    WORLD.with(|world| {
        let world = world.borrow();
        world
            .clone()
            .expect("the simulated build runs inside a simulation")
    })
}

/// Runs `f` as code of `place`.
pub(super) fn at<R>(place: Place, f: impl FnOnce() -> R) -> R {
    let before = PLACE.with(|current| current.replace(Some(place)));
    let result = f();
    PLACE.with(|current| current.replace(before));
    result
}

/// Where the calling code belongs; `None` in the test itself.
pub(super) fn try_place() -> Option<Place> {
    PLACE.with(|place| place.borrow().clone())
}

/// Where the calling code belongs.
///
/// # Panics
/// In the test itself, outside every host.
pub(super) fn place() -> Place {
    try_place().expect("only code on a simulated host does this")
}

/// The monotonic clock.
pub fn now() -> Instant {
    with(|world| world.now())
}

/// The wall clock, in milliseconds since the Unix epoch.
pub fn wall_now() -> Timestamp {
    Timestamp(FIRST_WALL_MILLIS + ((now().0 - FIRST_NANOS) / 1_000_000) as i64)
}

/// Whether the test planted this bug.
pub fn is_planted(bug: Planted) -> bool {
    WORLD.with(|world| {
        world
            .borrow()
            .as_ref()
            .is_some_and(|world| world.planted.get() == Some(bug))
    })
}
