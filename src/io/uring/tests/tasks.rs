use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::io::{Elapsed, local, random_uuid, spawn};

#[test]
fn timers_end_in_the_order_of_their_deadlines() {
    let order = on_one_core(|| async {
        let order = Rc::new(RefCell::new(Vec::new()));
        let tasks: Vec<_> = [30, 10, 20, 0]
            .into_iter()
            .map(|ms| {
                let order = order.clone();
                spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    order.borrow_mut().push(ms);
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
        order.take()
    });
    assert_eq!(order, [0, 10, 20, 30]);
}

#[test]
fn a_sleep_lasts_at_least_its_time() {
    on_one_core(|| async {
        let before = now();
        sleep(Duration::from_millis(5)).await;
        assert!(now().since(before) >= Duration::from_millis(5));
    });
}

#[test]
fn a_timeout_drops_what_takes_too_long() {
    on_one_core(|| async {
        struct Dropped(Rc<Cell<bool>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let guard = Dropped(dropped.clone());
        let slow = async move {
            let _guard = guard;
            sleep(Duration::from_secs(60)).await;
        };
        assert_eq!(timeout(Duration::from_millis(1), slow).await, Err(Elapsed));
        assert!(dropped.get());
        assert_eq!(timeout(Duration::from_secs(60), async { 7 }).await, Ok(7));
    });
}

#[test]
fn a_spawned_task_runs_after_the_spawner_yields_and_goes_on_when_detached() {
    on_one_core(|| async {
        let (sender, receiver) = local::oneshot();
        let started = Rc::new(Cell::new(false));
        let seen = started.clone();
        drop(spawn(async move {
            seen.set(true);
            yield_now().await;
            sender.send(7).unwrap();
        }));
        assert!(!started.get());
        assert_eq!(receiver.await, Some(7));
    });
}

#[test]
fn tasks_that_wait_forever_are_dropped_at_the_end() {
    let shared = Arc::new(());
    let held = shared.clone();
    on_one_core(move || async move {
        for _ in 0..10 {
            let held = held.clone();
            drop(spawn(async move {
                let _held = held;
                std::future::pending::<()>().await;
            }));
        }
        let held = held.clone();
        drop(spawn(async move {
            let _held = held;
            sleep(Duration::from_secs(3600)).await;
        }));
        yield_now().await;
    });
    assert_eq!(Arc::strong_count(&shared), 1);
}

#[test]
fn a_task_that_always_yields_holds_nobody_up() {
    on_one_core(|| async {
        let stop = Rc::new(Cell::new(false));
        let seen = stop.clone();
        let busy = spawn(async move {
            let mut turns = 0_u64;
            while !seen.get() {
                yield_now().await;
                turns += 1;
            }
            turns
        });
        sleep(Duration::from_millis(5)).await;
        stop.set(true);
        assert!(busy.await > 10);
    });
}

#[test]
fn two_tasks_that_keep_waking_each_other_hold_nobody_up() {
    on_one_core(|| async {
        let (ping, pong) = (Rc::new(local::Notify::new()), Rc::new(local::Notify::new()));
        for (mine, other) in [(ping.clone(), pong.clone()), (pong, ping.clone())] {
            drop(spawn(async move {
                loop {
                    mine.notified().await;
                    other.notify();
                }
            }));
        }
        ping.notify();
        sleep(Duration::from_millis(5)).await;
    });
}

#[test]
fn every_profile_runs_tasks_and_timers() {
    for profile in [
        Profile::Park,
        Profile::Busy,
        Profile::Adaptive {
            spin: Duration::from_micros(100),
        },
    ] {
        on_one_core_as(profile, || async {
            spawn(async { sleep(Duration::from_millis(2)).await }).await;
            let counted = counters();
            assert!(counted.cores[0].passes > 0);
            assert!(counted.to_string().starts_with("core 0: passes="));
        });
    }
}

#[test]
fn random_uuids_are_of_version_4_and_differ() {
    let (a, b) = (random_uuid(), random_uuid());
    assert_ne!(a, b);
    assert_eq!((a[6] >> 4, a[8] >> 6), (4, 2));
    assert!(
        (0..100)
            .map(|_| random_u64())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 99
    );
}

#[test]
fn signals_arrive_as_events() {
    on_one_core(|| async {
        // To this thread only: the other threads of a test have nothing blocked.
        signal::block_in_process();
        let waiting = spawn(signal::next());
        sleep(Duration::from_millis(1)).await;
        // SAFETY: this thread is alive, and the signals are blocked in it.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert_eq!(waiting.await, Signal::Report);
        // SAFETY: as above.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGTERM) };
        assert_eq!(signal::next().await, Signal::Stop);
    });
}

#[test]
fn a_panic_on_one_core_ends_the_others() {
    let result = std::panic::catch_unwind(|| {
        run(Options::unpinned(2), |core| async move {
            assert_ne!(core, CoreId(1), "(this panic is the test's)");
            std::future::pending::<()>().await;
        })
    });
    assert!(result.is_err());
}
