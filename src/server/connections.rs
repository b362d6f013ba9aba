//! The connections of one core, for whoever closes those that are idle (`connections.max.idle.ms`).
//!
//! Every byte and every answer would otherwise have to read a clock or move a timer. Instead one task sweeps over all of them
//! ten times within the time allowed, and a connection notes the number of the sweep that comes next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::io;
use crate::shard::Clients;

use super::connection::Connection;
use super::frames::Incoming;

/// Sweeps within the time allowed: a connection may be idle for a tenth longer.
const SWEEPS: u32 = 10;
/// But no two within less.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(10);

/// At the stop: how long the last answers may take, and how often it is looked whether they are all sent.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The connections of one core.
#[derive(Default)]
pub struct Connections {
    open: RefCell<BTreeMap<u64, Weak<Connection>>>,
    next_id: Cell<u64>,
    sweep: Cell<u64>,
    are_ending: Cell<bool>,
    incoming: Incoming,
}

/// One connection's place among them, and when it was last active.
pub struct Activity {
    all: Rc<Connections>,
    id: u64,
    last: Cell<u64>,
}

impl Connections {
    /// An entry for a connection that is about to be made; [`Activity::open`] completes it.
    pub fn enter(self: &Rc<Self>) -> Activity {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        Activity {
            all: self.clone(),
            id,
            last: Cell::new(self.sweep.get()),
        }
    }

    /// Closes what is idle for longer than `idle_max`, as long as the core runs.
    pub async fn sweep(self: Rc<Self>, idle_max: Duration) {
        let interval = (idle_max / SWEEPS).max(SWEEP_INTERVAL_MIN);
        let allowed = idle_max.as_nanos().div_ceil(interval.as_nanos()) as u64;
        loop {
            io::sleep(interval).await;
            self.sweep.set(self.sweep.get() + 1);
            for connection in self.idle_since(self.sweep.get().saturating_sub(allowed)) {
                connection.close();
            }
        }
    }

    fn idle_since(&self, sweep: u64) -> Vec<Rc<Connection>> {
        let mut alive = self.alive();
        alive.retain(|connection| connection.activity().last.get() < sweep && !connection.is_served());
        alive
    }

    /// Whether the broker stops, so that none is to be added.
    pub fn are_ending(&self) -> bool {
        self.are_ending.get()
    }

    fn alive(&self) -> Vec<Rc<Connection>> {
        self.open.borrow().values().filter_map(Weak::upgrade).collect()
    }
}

impl Clients for Connections {
    fn close_least_used(&self) -> bool {
        let may_go = self
            .alive()
            .into_iter()
            .filter(|connection| connection.may_make_room());
        let least_used =
            may_go.min_by_key(|connection| (connection.activity().last.get(), connection.activity().id));
        least_used.is_some_and(|connection| {
            connection.close();
            true
        })
    }

    fn end_all(self: Rc<Self>) -> Pin<Box<dyn Future<Output = ()>>> {
        self.are_ending.set(true);
        self.alive().iter().for_each(|connection| connection.end());
        Box::pin(async move {
            let deadline = io::now() + LAST_ANSWERS_MAX;
            while !self.open.borrow().is_empty() && io::now() < deadline {
                io::sleep(LOOK_INTERVAL).await;
            }
            self.alive().iter().for_each(|connection| connection.close());
        })
    }
}

impl Activity {
    /// What the core holds for frames that aren't whole yet.
    pub fn incoming(&self) -> &Incoming {
        &self.all.incoming
    }

    /// Who has the largest answer that was not read, of all connections of the core.
    pub fn holder_of_most(&self) -> Option<Rc<Connection>> {
        let alive = self.all.alive().into_iter();
        alive.max_by_key(|connection| connection.unsent_bytes())
    }

    /// Makes the connection known that was entered.
    pub fn open(&self, connection: &Rc<Connection>) {
        self.all
            .open
            .borrow_mut()
            .insert(self.id, Rc::downgrade(connection));
    }

    /// Something was received, or an answer was taken.
    pub fn note(&self) {
        self.last.set(self.all.sweep.get());
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.all.open.borrow_mut().remove(&self.id);
    }
}
