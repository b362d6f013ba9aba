//! Signals, which a test sends.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::super::{Signal, local};
use super::world;

/// What a process was sent and has not read.
#[derive(Default)]
pub(super) struct Pending {
    signals: VecDeque<Signal>,
    waker: Option<Waker>,
}

impl Pending {
    pub(super) fn push(&mut self, signal: Signal) -> Option<Waker> {
        self.signals.push_back(signal);
        self.waker.take()
    }
}

/// Nothing to block here.
pub fn block_in_process() {}

/// The next signal. For one task of one core.
pub async fn next() -> Signal {
    let (process, _) = world::place()
        .core
        .expect("only code on a core waits for signals");
    poll_fn(|cx| {
        let mut pending = process.signals.borrow_mut();
        match pending.signals.pop_front() {
            Some(signal) => Poll::Ready(signal),
            None => {
                local::register(&mut pending.waker, cx);
                Poll::Pending
            }
        }
    })
    .await
}
