//! Requests that name very much are answered one at a time on each core.
//!
//! What stands in six bytes of a request comes to some 400 while it is answered. One such request at a time bounds
//! that memory; others wait as frames, which the limits of connections bound.

use std::cell::Cell;
use std::rc::Rc;

use crate::io::local::Notify;

/// From so many elements on a request is large: more than the partitions that a client usually has with one broker. Those below
/// cost less than 2 MiB each.
const LARGE_ELEMENTS_MIN: usize = 4_096;

/// Whether one is being answered.
#[derive(Default)]
pub struct LargeRequests {
    is_taken: Cell<bool>,
    free: Notify,
}

/// The right to be answered; passes on when dropped.
pub struct Admission {
    /// None for a request that needs no such right.
    _taken: Option<Taken>,
}

struct Taken(Rc<LargeRequests>);

impl LargeRequests {
    /// Waits for the others if `elements` are many.
    pub async fn admit(self: &Rc<Self>, elements: usize) -> Admission {
        if elements < LARGE_ELEMENTS_MIN {
            return Admission { _taken: None };
        }
        self.admit_large().await
    }

    /// Waits for the others.
    pub async fn admit_large(self: &Rc<Self>) -> Admission {
        while self.is_taken.replace(true) {
            self.free.notified().await;
        }
        let taken = Taken(self.clone());
        Admission { _taken: Some(taken) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
        self.0.free.notify();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn large_requests_wait_for_each_other_and_small_ones_for_nobody() {
        let requests = Rc::new(LargeRequests::default());
        let Poll::Ready(first) = poll(pin!(requests.admit(LARGE_ELEMENTS_MIN))) else {
            panic!("nobody is before it");
        };
        let mut second = pin!(requests.admit(LARGE_ELEMENTS_MIN));
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(pin!(requests.admit(LARGE_ELEMENTS_MIN - 1))).is_ready());
        drop(first);
        assert!(poll(second.as_mut()).is_ready());
        // Its right was dropped with what it gave.
        assert!(poll(pin!(requests.admit(LARGE_ELEMENTS_MIN))).is_ready());
    }
}
