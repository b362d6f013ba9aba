//! Waiting for time: the same in every build of the room.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use super::{Elapsed, Sleep, now};
use crate::base::Instant;

/// Ready after `duration`; at once when it is zero.
pub async fn sleep(duration: Duration) {
    sleep_until(now() + duration).await;
}

/// Ready when [`now`] has reached `at`.
pub async fn sleep_until(at: Instant) {
    Sleep::until(at).await;
}

/// `future`'s value, unless it takes longer than `duration`; then it is dropped.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = Sleep::until(now() + duration);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
    })
    .await
}
