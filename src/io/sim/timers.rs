//! Timers on virtual time.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::super::local;
use super::world::{self, Alarm};
use crate::base::Instant;

/// Ready when the clock has reached a point in time.
pub struct Sleep {
    at: Instant,
    alarm: Option<Rc<Alarm>>,
}

impl Sleep {
    /// Ready when [`now`](super::now) has reached `at`.
    pub fn until(at: Instant) -> Sleep {
        Sleep { at, alarm: None }
    }
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
