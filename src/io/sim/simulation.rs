//! A test's handle on a world: makes hosts, starts and crashes what runs on them, cuts the network, lets time pass.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::super::{Options, Planted};
use super::disk::Disk;
use super::faults::Faults;
use super::net;
use super::process::{self, Process, Running};
use super::seen::Seen;
use super::world::{self, Host, Place, World};
use crate::base::Instant;

/// A machine of the simulated world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(usize);

/// A simulated world, as long as it lives: one for each thread at a time.
pub struct Simulation {
    world: Rc<World>,
}

impl Simulation {
    /// The world of `seed`.
    pub fn new(seed: u64, faults: Faults) -> Simulation {
        Simulation {
            world: World::create(seed, faults),
        }
    }

    /// A new machine with an empty disk.
    pub fn add_host(&self, cpus: usize) -> HostId {
        let mut hosts = self.world.hosts.borrow_mut();
        let index = hosts.len();
        hosts.push(Rc::new(Host {
            index,
            cpus,
            disk: RefCell::new(Disk::new()),
            sockets: Default::default(),
            processes: RefCell::default(),
            has_power: Cell::new(true),
        }));
        HostId(index)
    }

    /// The address under which other hosts reach it.
    pub fn address(&self, host: HostId) -> IpAddr {
        net::address_of(host.0)
    }

    /// Runs `program` on `host` up to the start of its cores, as the code before `io::start` does.
    pub fn on<R>(&self, host: HostId, program: impl FnOnce() -> R) -> R {
        world::at(self.place(host), program)
    }

    /// Runs `main` on a core of its own on `host`, as long as it takes; what it returns comes by the receiver.
    pub fn run<T: Send + 'static, Fut: Future<Output = T> + 'static>(
        &self,
        host: HostId,
        main: impl FnOnce() -> Fut + Send + 'static,
    ) -> Outcome<T> {
        let main = std::sync::Arc::new(std::sync::Mutex::new(Some(main)));
        let outcome = std::sync::Arc::new(std::sync::Mutex::new(None));
        let place = outcome.clone();
        let start = move |_| {
            let (main, place) = (main.clone(), place.clone());
            async move {
                let main = main.lock().expect("one thread").take().expect("one core");
                let value = main().await;
                *place.lock().expect("one thread") = Some(value);
            }
        };
        let running = self.on(host, || process::start(Options::unpinned(1), start));
        Outcome {
            running: running.expect("one core is a number of cores"),
            value: outcome,
        }
    }

    /// Lets `duration` pass.
    pub fn pass(&self, duration: Duration) {
        let limit = self.world.now() + duration;
        while self.world.step(limit) {}
    }

    /// Lets time pass until `done`, at most `patience`; whether it was.
    pub fn pass_until(&self, patience: Duration, mut done: impl FnMut() -> bool) -> bool {
        let limit = self.world.now() + patience;
        while !done() {
            if !self.world.step(limit) && self.world.now() >= limit {
                return done();
            }
        }
        true
    }

    /// The world's time.
    pub fn now(&self) -> Instant {
        self.world.now()
    }

    /// A number of the world's chance, for the test's own decisions.
    pub fn chance(&self, range: std::ops::Range<u64>) -> u64 {
        self.world.chance.within(range)
    }

    /// Changes what may fail from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self.world.faults.borrow_mut() = faults;
    }

    /// Plants `bug` in every program, from now on.
    pub fn plant(&self, bug: Planted) {
        self.world.planted.set(Some(bug));
    }

    /// Bytes that `host` has stored.
    pub fn stored_bytes(&self, host: HostId) -> u64 {
        self.host(host).disk.borrow().used_bytes()
    }

    /// Kills every program of `host` as SIGKILL does: what was written stays, connections end.
    pub fn kill(&self, host: HostId) {
        self.world.seen.borrow_mut().process_crashes += 1;
        self.end_processes(host);
    }

    /// Takes the power from `host`: what was not flushed may be lost, and nobody is told.
    pub fn crash(&self, host: HostId) {
        let machine = self.host(host);
        self.world.seen.borrow_mut().host_crashes += 1;
        machine.has_power.set(false);
        machine.silence();
        self.end_processes(host);
        machine
            .disk
            .borrow_mut()
            .crash(&self.world.chance, &mut self.world.seen.borrow_mut());
    }

    /// Gives `host` its power again. Its programs have to be started.
    pub fn power_on(&self, host: HostId) {
        self.host(host).has_power.set(true);
    }

    /// Lets nothing pass between the two from now on, or lets it pass again.
    pub fn cut(&self, one: HostId, other: HostId, is_cut: bool) {
        self.world.set_cut(one.0, other.0, is_cut);
    }

    /// What has happened so far.
    pub fn seen(&self) -> Seen {
        self.world.seen.borrow().clone()
    }

    /// A number that is the same for the same run, and hardly ever for another.
    pub fn trace(&self) -> u64 {
        self.world.trace()
    }

    fn host(&self, host: HostId) -> Rc<Host> {
        self.world.hosts.borrow()[host.0].clone()
    }

    fn place(&self, host: HostId) -> Place {
        Place {
            host: self.host(host),
            core: None,
        }
    }

    fn end_processes(&self, host: HostId) {
        let processes: Vec<Rc<Process>> = self.host(host).processes.borrow().clone();
        processes.iter().for_each(|process| process.crash(&self.world));
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        for process in self.world.processes() {
            process.crash(&self.world);
        }
        World::destroy();
    }
}

/// What [`Simulation::run`] gives: a program that runs, and its result once it has ended.
pub struct Outcome<T> {
    running: Running,
    value: std::sync::Arc<std::sync::Mutex<Option<T>>>,
}

impl<T> Outcome<T> {
    /// Whether it has ended, in whatever way.
    pub fn has_ended(&self) -> bool {
        self.running.has_ended()
    }

    /// What `main` returned, once.
    pub fn take(&self) -> Option<T> {
        self.value.lock().expect("one thread").take()
    }
}
