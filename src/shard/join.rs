//! Waiting for several futures of one task.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Futures that run at once. Each is polled on every wake of the task, so without a bound a request for many partitions
/// would cost the square of their number.
pub const AT_ONCE: usize = 128;

/// So often one poll takes up new ones, before others of the core have their turn.
const ROUNDS_PER_POLL: usize = 4;

/// The outputs of `futures`, in their order. They start in that order too, the first [`AT_ONCE`] together and each further
/// one when one before it is done.
///
/// Those that needn't wait are many in a row when there are many: others of the core are let in between.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut outputs: Vec<Option<F::Output>> = Vec::new();
    let mut to_start = futures.into_iter();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    poll_fn(|cx| {
        for _ in 0..ROUNDS_PER_POLL {
            running.retain_mut(|(place, future)| match future.as_mut().poll(cx) {
                Poll::Ready(value) => {
                    outputs[*place] = Some(value);
                    false
                }
                Poll::Pending => true,
            });
            let free = AT_ONCE - running.len();
            let before = running.len();
            for future in to_start.by_ref().take(free) {
                running.push((outputs.len(), Box::pin(future)));
                outputs.push(None);
            }
            if running.is_empty() {
                return Poll::Ready(());
            }
            // What was just started has to be polled once.
            if running.len() == before {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn outputs_come_in_order_and_few_run_at_once() {
        const ALL: usize = 10 * AT_ONCE;
        let polls = Rc::new(Cell::new(0));
        let started = Rc::new(RefCell::new(Vec::new()));
        let futures = (0..ALL).map(|n| {
            let (polls, started) = (polls.clone(), started.clone());
            let mut left = 3;
            poll_fn(move |_| {
                polls.set(polls.get() + 1);
                if left == 3 {
                    started.borrow_mut().push(n);
                }
                left -= 1;
                if left == 0 { Poll::Ready(n) } else { Poll::Pending }
            })
        });
        let mut joined = pin!(join_all(futures));
        let mut context = Context::from_waker(Waker::noop());
        let outputs = loop {
            if let Poll::Ready(outputs) = joined.as_mut().poll(&mut context) {
                break outputs;
            }
        };
        assert_eq!(outputs, (0..ALL).collect::<Vec<_>>());
        assert_eq!(*started.borrow(), outputs, "they start in order");
        assert!(polls.get() <= 6 * ALL, "{} polls", polls.get());
    }
}
