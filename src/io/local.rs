//! Waiting within one core: shared by every build of the room, and never crossing threads.
//!
//! A waiter keeps one waker and replaces it when it is polled again. Polling a pending future any number of times
//! therefore costs nothing that grows.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Puts `cx`'s waker into `slot`, keeping the old one when it wakes the same task.
pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Puts the calling task behind those that are runnable now.
pub(super) async fn stand_back() {
    let mut is_back = false;
    std::future::poll_fn(|cx| {
        if is_back {
            return Poll::Ready(());
        }
        is_back = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A channel for one value between two tasks of a core.
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(RefCell::new(Oneshot {
        value: None,
        waker: None,
        sender_gone: false,
        receiver_gone: false,
    }));
    (Sender(shared.clone()), Receiver(shared))
}

struct Oneshot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_gone: bool,
    receiver_gone: bool,
}

/// The half of [`oneshot`] that gives the value.
pub struct Sender<T>(Rc<RefCell<Oneshot<T>>>);

impl<T> Sender<T> {
    /// Hands `value` over and wakes the receiver. Gives it back when the receiver was dropped.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut shared = self.0.borrow_mut();
        if shared.receiver_gone {
            return Err(value);
        }
        shared.value = Some(value);
        // The drop that follows wakes the receiver.
        Ok(())
    }

    /// Whether nobody waits for the value any more.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().receiver_gone
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut shared = self.0.borrow_mut();
            shared.sender_gone = true;
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The half of [`oneshot`] that waits: ready with the value, or with `None` when the sender was dropped without one.
pub struct Receiver<T>(Rc<RefCell<Oneshot<T>>>);

impl<T> Receiver<T> {
    /// The value, when it has been sent.
    pub fn try_take(&mut self) -> Option<T> {
        self.0.borrow_mut().value.take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut shared = self.0.borrow_mut();
        if let Some(value) = shared.value.take() {
            return Poll::Ready(Some(value));
        }
        if shared.sender_gone {
            return Poll::Ready(None);
        }
        register(&mut shared.waker, cx);
        Poll::Pending
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.receiver_gone = true;
        let unused = (shared.value.take(), shared.waker.take());
        drop(shared);
        drop(unused);
    }
}

/// "Something changed": wakes everyone who waits. A `notify` that nobody waits for is remembered once, so a single
/// waiter that checks, finds nothing and then waits loses no change.
#[derive(Default)]
pub struct Notify(RefCell<Waiters>);

#[derive(Default)]
struct Waiters {
    remembered: bool,
    slots: Vec<WaiterSlot>,
}

#[derive(Default)]
enum WaiterSlot {
    #[default]
    Free,
    Waiting(Waker),
    Notified,
}

impl Notify {
    /// A new one, with nothing remembered.
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Wakes all who wait now; remembered for the next one when nobody does.
    pub fn notify(&self) {
        let mut waiters = self.0.borrow_mut();
        let mut woke = false;
        for slot in &mut waiters.slots {
            if let WaiterSlot::Waiting(_) = slot
                && let WaiterSlot::Waiting(waker) = std::mem::replace(slot, WaiterSlot::Notified)
            {
                waker.wake();
                woke = true;
            }
        }
        if !woke {
            waiters.remembered = true;
        }
    }

    /// Ready at the next [`Notify::notify`], or at once when one is remembered.
    pub fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            slot: None,
        }
    }
}

/// The future of [`Notify::notified`].
pub struct Notified<'a> {
    notify: &'a Notify,
    slot: Option<usize>,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiters = self.notify.0.borrow_mut();
        let Some(slot) = self.slot else {
            if std::mem::take(&mut waiters.remembered) {
                return Poll::Ready(());
            }
            let waiting = WaiterSlot::Waiting(cx.waker().clone());
            let index = match waiters.slots.iter().position(|s| matches!(s, WaiterSlot::Free)) {
                Some(index) => {
                    waiters.slots[index] = waiting;
                    index
                }
                None => {
                    waiters.slots.push(waiting);
                    waiters.slots.len() - 1
                }
            };
            drop(waiters);
            self.slot = Some(index);
            return Poll::Pending;
        };
        match &mut waiters.slots[slot] {
            WaiterSlot::Waiting(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            notified => {
                *notified = WaiterSlot::Free;
                drop(waiters);
                self.slot = None;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            let mut waiters = self.notify.0.borrow_mut();
            let last = std::mem::take(&mut waiters.slots[slot]);
            // A notification that this waiter was woken for but never took passes on.
            if matches!(last, WaiterSlot::Notified)
                && !waiters.slots.iter().any(|s| matches!(s, WaiterSlot::Waiting(_)))
            {
                waiters.remembered = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_oneshot_carries_one_value() {
        let (sender, mut receiver) = oneshot();
        assert!(poll(&mut receiver).is_pending());
        assert_eq!(sender.send(7), Ok(()));
        assert_eq!(poll(&mut receiver), Poll::Ready(Some(7)));
    }

    #[test]
    fn a_dropped_sender_ends_the_wait() {
        let (sender, mut receiver) = oneshot::<u8>();
        drop(sender);
        assert_eq!(poll(&mut receiver), Poll::Ready(None));
    }

    #[test]
    fn a_dropped_receiver_gives_the_value_back() {
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(7));
    }

    #[test]
    fn notify_wakes_all_who_wait_and_remembers_once_when_nobody_does() {
        let notify = Notify::new();
        let (mut a, mut b) = (notify.notified(), notify.notified());
        assert!(poll(&mut a).is_pending());
        assert!(poll(&mut b).is_pending());
        notify.notify();
        assert!(poll(&mut a).is_ready());
        assert!(poll(&mut b).is_ready());
        notify.notify();
        notify.notify();
        assert!(poll(&mut notify.notified()).is_ready());
        assert!(poll(&mut notify.notified()).is_pending());
    }

    #[test]
    fn a_notification_taken_by_a_waiter_that_is_dropped_is_not_lost() {
        let notify = Notify::new();
        let mut a = notify.notified();
        assert!(poll(&mut a).is_pending());
        notify.notify();
        drop(a);
        assert!(poll(&mut notify.notified()).is_ready());
    }

    #[test]
    fn a_slot_is_used_again() {
        let notify = Notify::new();
        for _ in 0..100 {
            let mut a = notify.notified();
            assert!(poll(&mut a).is_pending());
        }
        assert_eq!(notify.0.borrow().slots.len(), 1);
    }
}
