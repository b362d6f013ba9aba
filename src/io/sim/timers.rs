//! Timers on virtual time.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::super::{Elapsed, local};
use super::world::{self, Alarm};
use crate::base::Instant;

/// Ready after `duration`; at once when it is zero.
pub async fn sleep(duration: Duration) {
    sleep_until(world::now() + duration).await;
}

/// Ready when [`now`](super::now) has reached `at`.
pub async fn sleep_until(at: Instant) {
    Sleep { at, alarm: None }.await;
}

/// `future`'s value, unless it takes longer than `duration`; then it is dropped.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = Sleep {
        at: world::now() + duration,
        alarm: None,
    };
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
    })
    .await
}

struct Sleep {
    at: Instant,
    alarm: Option<Rc<Alarm>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at <= world::now() {
            return Poll::Ready(());
        }
        let at = self.at;
        let alarm = self.alarm.get_or_insert_with(|| {
            let alarm = Rc::new(Alarm::default());
            world::with(|world| world.alarm_at(at, alarm.clone()));
            alarm
        });
        if alarm.has_rung.get() {
            return Poll::Ready(());
        }
        local::register(&mut alarm.waker.borrow_mut(), cx);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(alarm) = &self.alarm {
            let waker = alarm.waker.borrow_mut().take();
            drop(waker);
        }
    }
}
