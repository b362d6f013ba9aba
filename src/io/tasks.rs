//! Tasks and their results: the same in every build of the room.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{local, world};

/// Starts `future` as a task of this core; it is polled for the first time after the caller yields. Dropping the [`Task`]
/// leaves it running.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    let (sender, receiver) = local::oneshot();
    world::spawn_detached(async move {
        // Nobody may be interested in the result.
        let _ = sender.send(future.await);
    });
    Task(receiver)
}

/// A handle to a task's result. Awaiting it gives the result; dropping it detaches the task.
pub struct Task<T>(local::Receiver<T>);

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(cx) {
            Poll::Ready(Some(value)) => Poll::Ready(value),
            // The task was dropped at the end of the run, and its awaiter is about to be.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
