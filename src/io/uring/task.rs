//! Tasks of one core, wrapped so that the driver knows exactly how many are runnable.
//!
//! Invariant: `Tasks::runnable` = the tasks that were woken (or just spawned) and not polled since. The executor
//! underneath knows this too but does not tell, and the driver may sleep only at zero.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::super::local;
use super::core;

/// The tasks of one core.
#[derive(Default)]
pub(super) struct Tasks {
    runnable: Cell<usize>,
    closing: Cell<bool>,
    all: RefCell<Registry>,
}

/// Every task that has not ended, so that the end of the run can drop those that wait forever.
#[derive(Default)]
struct Registry {
    slots: Vec<Option<Rc<State>>>,
    free: Vec<usize>,
}

/// What a task's wakers point to.
struct State {
    queued: Cell<bool>,
    tasks: Rc<Tasks>,
    /// The executor's waker of this task. Replaced, not added to; it never changes in practice.
    executor: RefCell<Option<Waker>>,
    slot: Cell<usize>,
    thread: usize,
}

impl Tasks {
    #[inline]
    pub(super) fn runnable(&self) -> usize {
        self.runnable.get()
    }

    pub(super) fn alive(&self) -> usize {
        let all = self.all.borrow();
        all.slots.len() - all.free.len()
    }

    /// Lets go of every task. Those that nothing else holds are dropped when the executor runs next; the others end at
    /// their next poll.
    pub(super) fn close(&self) {
        self.closing.set(true);
        let states: Vec<_> = self.all.borrow().slots.iter().flatten().cloned().collect();
        for state in states {
            let waker = state.executor.borrow_mut().take();
            drop(waker);
        }
    }

    fn add(&self, state: &Rc<State>) {
        let mut all = self.all.borrow_mut();
        let slot = match all.free.pop() {
            Some(slot) => slot,
            None => {
                all.slots.push(None);
                all.slots.len() - 1
            }
        };
        state.slot.set(slot);
        all.slots[slot] = Some(state.clone());
    }

    fn remove(&self, slot: usize) {
        let mut all = self.all.borrow_mut();
        let state = all.slots[slot].take();
        all.free.push(slot);
        drop(all);
        drop(state);
    }
}

/// Starts `future` as a task of this core; it is polled for the first time after the caller yields.
pub fn spawn_detached(future: impl Future<Output = ()> + 'static) {
    let tasks = core::with(|core| core.tasks.clone());
    let state = Rc::new(State {
        queued: Cell::new(true),
        tasks: tasks.clone(),
        executor: RefCell::new(None),
        slot: Cell::new(0),
        thread: thread_token(),
    });
    tasks.add(&state);
    tasks.runnable.set(tasks.runnable.get() + 1);
    let tracked = Tracked { state, future };
    // Not `spawn_local`: that polls the new task at once, inside the caller, who may hold borrows.
    glommio::spawn_local_into(tracked, glommio::TaskQueueHandle::default())
        .expect("the default queue always exists")
        .detach();
}

/// A future that keeps the count of runnable tasks.
struct Tracked<F> {
    state: Rc<State>,
    future: F,
}

impl<F: Future<Output = ()>> Future for Tracked<F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is not moved out of `self`, and `Tracked` has no other structurally pinned field.
        let (state, future) = unsafe {
            let this = self.get_unchecked_mut();
            (&this.state, Pin::new_unchecked(&mut this.future))
        };
        state.settle();
        if state.tasks.closing.get() {
            return Poll::Ready(());
        }
        local::register(&mut state.executor.borrow_mut(), cx);
        // SAFETY: the pointer comes from a live `Rc<State>`, as the vtable expects. It is borrowed: `ManuallyDrop` keeps
        // the count as it is.
        let waker = ManuallyDrop::new(unsafe { Waker::new(Rc::as_ptr(state).cast(), &WAKER) });
        future.poll(&mut Context::from_waker(&waker))
    }
}

impl<F> Drop for Tracked<F> {
    fn drop(&mut self) {
        self.state.settle();
        // Breaks the circle task → state → executor's waker → task.
        let waker = self.state.executor.borrow_mut().take();
        self.state.tasks.remove(self.state.slot.get());
        drop(waker);
    }
}

impl State {
    /// The task is being polled or dropped: it is not waiting for its turn any more.
    #[inline]
    fn settle(&self) {
        if self.queued.replace(false) {
            self.tasks.runnable.set(self.tasks.runnable.get() - 1);
        }
    }

    #[inline]
    fn wake(&self) {
        if self.queued.get() {
            return;
        }
        // Without an executor's waker the task has ended, or was let go at the end of the run.
        if let Some(waker) = &*self.executor.borrow() {
            self.queued.set(true);
            self.tasks.runnable.set(self.tasks.runnable.get() + 1);
            waker.wake_by_ref();
        }
    }
}

/// A number that differs between threads that live at the same time.
#[inline]
fn thread_token() -> usize {
    thread_local!(static TOKEN: Cell<u8> = const { Cell::new(0) });
    TOKEN.with(|token| std::ptr::from_ref(token).addr())
}

/// The vtable of the wakers. Data pointer: an `Rc<State>`'s.
///
/// `Waker` is `Send`, and an `Rc` is not; so each function first checks that it runs on the thread of its core. Nothing in this
/// program sends a waker away, and a bug that does ends the process instead of corrupting it.
static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let state = borrow(&data);
        std::mem::forget(Rc::clone(&state));
        RawWaker::new(data, &WAKER)
    },
    |data| {
        let state = borrow(&data);
        state.wake();
        drop(ManuallyDrop::into_inner(state));
    },
    |data| borrow(&data).wake(),
    |data| drop(ManuallyDrop::into_inner(borrow(&data))),
);

/// The `Rc` behind a waker's data pointer, without taking over its count.
#[inline]
fn borrow(data: &*const ()) -> ManuallyDrop<Rc<State>> {
    let state = data.cast::<State>();
    // SAFETY: each waker holds one count of the `Rc` (or borrows one, in `Tracked::poll`), so the state is alive; `thread` is
    // never written after creation and may be read from any thread.
    let home = unsafe { (*state).thread };
    if home != thread_token() {
        eprintln!("ringlog: a task's waker was used off its core");
        std::process::abort();
    }
    // SAFETY: the pointer is one of `Rc::as_ptr`, and this is the thread that made it.
    ManuallyDrop::new(unsafe { Rc::from_raw(state) })
}

/// Lets every other runnable task, and the driver, have a turn.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        core::with(|core| core.yielded.borrow_mut().push(cx.waker().clone()));
        Poll::Pending
    })
    .await;
}
