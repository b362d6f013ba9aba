//! One start of one program on a host: its cores, what is runnable on each, and its end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

use super::super::{Counters, Options, Signal, StartError};
use super::signal;
use super::world::{self, Host, Place, World};
use crate::base::CoreId;

/// A program's cores. The program ends when the `main` of each has returned, or by a crash.
pub(super) struct Process {
    /// Different for every process of the run.
    pub(super) id: u64,
    pub(super) host: usize,
    cores: Vec<Core>,
    mains_running: Cell<usize>,
    has_crashed: Cell<bool>,
    pub(super) signals: RefCell<signal::Pending>,
}

struct Core {
    ready: Arc<Ready>,
    tasks: RefCell<Vec<Slot>>,
    free_slots: RefCell<Vec<usize>>,
    /// Until then the core is still at its last turn.
    free_at: Cell<u64>,
}

type Body = Pin<Box<dyn Future<Output = ()>>>;

/// Where a task stands. The body is away while it is polled.
#[derive(Default)]
struct Slot {
    body: Option<Body>,
    waker: Option<Arc<TaskWaker>>,
}

/// The tasks of a core that were woken and not polled since. Wakers must be `Send`; nothing here ever leaves the thread.
#[derive(Default)]
struct Ready(Mutex<Vec<Arc<TaskWaker>>>);

struct TaskWaker {
    slot: usize,
    is_queued: AtomicBool,
    has_ended: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn push(&self, waker: Arc<TaskWaker>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(waker);
    }

    fn take(&self, index: usize) -> Arc<TaskWaker> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .swap_remove(index)
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.has_ended.load(Ordering::Relaxed) && !self.is_queued.swap(true, Ordering::Relaxed) {
            let ready = self.ready.clone();
            ready.push(self);
        }
    }
}

impl Process {
    /// A process on `host` with so many cores, none of which has anything to do.
    fn new(id: u64, host: usize, cores: usize) -> Process {
        let core = |_| Core {
            ready: Arc::default(),
            tasks: RefCell::default(),
            free_slots: RefCell::default(),
            free_at: Cell::new(0),
        };
        Process {
            id,
            host,
            cores: (0..cores).map(core).collect(),
            mains_running: Cell::new(cores),
            has_crashed: Cell::new(false),
            signals: RefCell::default(),
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.mains_running.get() == 0
    }

    /// Cores with a runnable task.
    pub(super) fn ready_cores(&self) -> impl Iterator<Item = CoreId> + '_ {
        let ready = |(index, core): (usize, &Core)| (core.ready.len() > 0).then_some(CoreId(index as u16));
        self.cores.iter().enumerate().filter_map(ready)
    }

    pub(super) fn free_at(&self, core: CoreId) -> u64 {
        self.cores[core.index()].free_at.get()
    }

    pub(super) fn spend(&self, core: CoreId, nanos: u64) {
        let core = &self.cores[core.index()];
        core.free_at.set(core.free_at.get() + nanos);
    }

    /// Starts `body` as a task of `core`.
    pub(super) fn spawn(&self, core: CoreId, body: impl Future<Output = ()> + 'static) {
        if self.has_crashed.get() || self.has_ended() {
            // Drops of a dying process may still ask for it.
            return;
        }
        let core = &self.cores[core.index()];
        let slot = core.free_slots.borrow_mut().pop();
        let mut tasks = core.tasks.borrow_mut();
        let slot = slot.unwrap_or_else(|| {
            tasks.push(Slot::default());
            tasks.len() - 1
        });
        let waker = Arc::new(TaskWaker {
            slot,
            is_queued: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            ready: core.ready.clone(),
        });
        tasks[slot] = Slot {
            body: Some(Box::pin(body)),
            waker: Some(waker.clone()),
        };
        drop(tasks);
        waker.wake();
    }

    /// Polls one of the runnable tasks of `core`, whichever the seed chooses.
    pub(super) fn turn(self: &Rc<Self>, world: &World, id: CoreId) {
        let core = &self.cores[id.index()];
        let woken = core.ready.take(world.chance.index(core.ready.len()));
        woken.is_queued.store(false, Ordering::Relaxed);
        if woken.has_ended.load(Ordering::Relaxed) {
            // It was woken once more in its last turn; its slot may be another task's by now, which must not be run under this waker.
            return;
        }
        let slot = woken.slot;
        let body = core.tasks.borrow_mut()[slot].body.take();
        let Some(mut body) = body else { return };
        world.note(world.now().0 ^ (self.id << 48) ^ ((id.0 as u64) << 32) ^ slot as u64);
        world.seen.borrow_mut().turns += 1;
        let took = world.draw(&world.faults.borrow().turn_nanos).as_nanos() as u64;
        core.free_at.set(world.now().0 + took);
        let waker = Waker::from(woken.clone());
        let ended = world::at(self.place(world, id), || {
            let ended = body.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
            if ended {
                // Dropped in its place too: its drops may reach for the world.
                drop(std::mem::replace(&mut body, Box::pin(std::future::ready(()))));
            }
            ended
        });
        if !ended {
            core.tasks.borrow_mut()[slot].body = Some(body);
            return;
        }
        woken.has_ended.store(true, Ordering::Relaxed);
        core.tasks.borrow_mut()[slot] = Slot::default();
        core.free_slots.borrow_mut().push(slot);
        if self.has_ended() {
            self.drop_tasks(world);
        }
    }

    /// Ends the process here and now, its tasks wherever they are.
    pub(super) fn crash(self: &Rc<Self>, world: &World) {
        self.has_crashed.set(true);
        self.mains_running.set(0);
        self.drop_tasks(world);
    }

    fn drop_tasks(self: &Rc<Self>, world: &World) {
        for (index, core) in self.cores.iter().enumerate() {
            let slots = std::mem::take(&mut *core.tasks.borrow_mut());
            let place = self.place(world, CoreId(index as u16));
            world::at(place, || {
                for slot in slots {
                    if let Some(waker) = &slot.waker {
                        waker.has_ended.store(true, Ordering::Relaxed);
                    }
                    drop(slot);
                }
            });
            core.ready
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        }
        let host = world.hosts.borrow()[self.host].clone();
        host.processes.borrow_mut().retain(|other| other.id != self.id);
    }

    fn place(self: &Rc<Self>, world: &World, core: CoreId) -> Place {
        Place {
            host: world.hosts.borrow()[self.host].clone(),
            core: Some((self.clone(), core)),
        }
    }
}

/// The cores of a program that was started.
#[derive(Clone)]
pub struct Running(Rc<Process>);

impl Running {
    /// Runs the world until every core's `main` has returned.
    ///
    /// # Panics
    /// When nothing is left to happen before that.
    pub fn join(self) {
        let world = world::current();
        let forever = crate::base::Instant(u64::MAX);
        while !self.0.has_ended() {
            assert!(world.step(forever), "nothing will ever happen again");
        }
    }

    /// Whether every core's `main` has returned, or the process has crashed.
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let waker = self.0.signals.borrow_mut().push(signal);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Starts `main(core)` on each core of a new process of the calling host.
///
/// # Errors
/// When no core is asked for.
pub fn start<F, Fut>(options: Options, main: F) -> Result<Running, StartError>
where
    F: Fn(CoreId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let count = options.cores.len();
    if count == 0 || count > usize::from(u16::MAX) {
        return Err(StartError::CoreCount(count));
    }
    let world = world::current();
    let host: Rc<Host> = world::place().host;
    let process = Rc::new(Process::new(world.chance.u64(), host.index, count));
    host.processes.borrow_mut().push(process.clone());
    for index in 0..count {
        let core = CoreId(index as u16);
        let future = world::at(process.place(&world, core), || main(core));
        let of = process.clone();
        process.spawn(core, async move {
            future.await;
            of.mains_running.set(of.mains_running.get() - 1);
        });
    }
    Ok(Running(process))
}

/// The calling core's number.
pub fn core() -> CoreId {
    let place = world::place();
    place.core.expect("only code on a core has one").1
}

/// The CPUs of the calling host.
///
/// # Errors
/// None here.
pub fn allowed_cpus() -> Result<Vec<usize>, StartError> {
    Ok((0..world::place().host.cpus).collect())
}

/// How many open files a process may have: so few that logs have to give some back.
pub fn descriptors_max() -> usize {
    32
}

/// The counters of all cores: a simulated loop has none worth reading.
pub fn counters() -> Counters {
    let (process, _) = world::place().core.expect("only code on a core asks");
    Counters {
        cores: process.cores.iter().map(|_| Default::default()).collect(),
    }
}
