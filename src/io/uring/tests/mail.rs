use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::io::{local, spawn};

/// Both cores send and receive at once, with more messages than fit, while tasks wake each other and yield.
fn both_ways_under_load(profile: Profile) {
    const MESSAGES: u64 = 20_000;
    on_a_mesh::<u64, _>(2, 64, profile, |core, port| async move {
        let peer = CoreId(1 - core.0);
        let port = Rc::new(port);
        let sending = {
            let port = port.clone();
            spawn(async move {
                for n in 0..MESSAGES {
                    port.send(peer, n).await;
                    if n % 100 == 0 {
                        yield_now().await;
                    }
                }
            })
        };
        let tick = Rc::new(local::Notify::new());
        let seen = Rc::new(Cell::new(0));
        let woken = {
            let (tick, seen) = (tick.clone(), seen.clone());
            spawn(async move {
                while seen.get() < MESSAGES {
                    tick.notified().await;
                }
            })
        };
        for expected in 0..MESSAGES {
            assert_eq!(port.recv().await, (peer, expected));
            seen.set(seen.get() + 1);
            tick.notify();
        }
        sending.await;
        woken.await;
    });
}

#[test]
fn messages_pass_both_ways_in_order_with_parking_cores() {
    both_ways_under_load(Profile::Park);
}

#[test]
fn messages_pass_both_ways_in_order_with_spinning_cores() {
    both_ways_under_load(Profile::Adaptive {
        spin: Duration::from_micros(50),
    });
}

#[test]
fn a_parked_peer_is_woken_for_each_message() {
    let counters = on_a_mesh::<u32, _>(2, 8, Profile::Park, |core, port| async move {
        for n in 0..500 {
            if core == CoreId(0) {
                port.send(CoreId(1), n).await;
                assert_eq!(port.recv().await, (CoreId(1), n));
            } else {
                let (from, n) = port.recv().await;
                port.send(from, n).await;
            }
        }
    });
    assert!(counters.cores[0].sleeps > 0);
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_waiting_senders_keep_their_order() {
    let go = Arc::new(AtomicBool::new(false));
    on_a_mesh::<u32, _>(2, 4, Profile::Park, move |core, port| {
        full_mailbox(core, port, go.clone())
    });
}

async fn full_mailbox(core: CoreId, port: mesh::Port<u32>, go: Arc<AtomicBool>) {
    if core == CoreId(1) {
        wait_for(&go).await;
        for expected in 0..20 {
            assert_eq!(port.recv().await, (CoreId(0), expected));
        }
        return;
    }
    let port = Rc::new(port);
    for n in 0..4 {
        assert_eq!(port.try_send(CoreId(1), n), Ok(()));
    }
    assert_eq!(port.try_send(CoreId(1), 99), Err(99));
    let senders: Vec<_> = (4..20)
        .map(|n| {
            let port = port.clone();
            spawn(async move { port.send(CoreId(1), n).await })
        })
        .collect();
    yield_now().await;
    go.store(true, Ordering::SeqCst);
    for sender in senders {
        sender.await;
    }
}

/// What one core tells the other without a mailbox.
async fn wait_for(go: &AtomicBool) {
    while !go.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_sender_that_gives_up_its_place_lets_the_next_one_send() {
    let go = Arc::new(AtomicBool::new(false));
    on_a_mesh::<u32, _>(2, 1, Profile::Park, move |core, port| {
        given_up_place(core, port, go.clone())
    });
}

async fn given_up_place(core: CoreId, port: mesh::Port<u32>, go: Arc<AtomicBool>) {
    if core == CoreId(1) {
        wait_for(&go).await;
        assert_eq!(port.recv().await, (CoreId(0), 0));
        assert_eq!(port.recv().await, (CoreId(0), 2));
        return;
    }
    port.send(CoreId(1), 0).await;
    let port = Rc::new(port);
    let gives_up = {
        let port = port.clone();
        spawn(async move { timeout(Duration::from_millis(5), port.send(CoreId(1), 1)).await })
    };
    yield_now().await;
    let next = spawn(async move { port.send(CoreId(1), 2).await });
    assert!(gives_up.await.is_err());
    go.store(true, Ordering::SeqCst);
    next.await;
}

#[test]
fn a_core_sends_to_itself() {
    on_a_mesh::<u32, _>(1, 2, Profile::Park, |core, port| async move {
        let port = Rc::new(port);
        let sender = {
            let port = port.clone();
            spawn(async move {
                for n in 0..100 {
                    port.send(core, n).await;
                }
            })
        };
        for expected in 0..100 {
            assert_eq!(port.recv().await, (core, expected));
        }
        assert!(port.try_recv().is_none());
        sender.await;
    });
}

#[test]
fn a_core_whose_main_has_returned_serves_its_tasks_until_the_last_main_has() {
    on_a_mesh::<u32, _>(2, 8, Profile::Park, |core, port| async move {
        if core == CoreId(1) {
            drop(spawn(async move {
                loop {
                    let (from, n) = port.recv().await;
                    port.send(from, n + 1).await;
                }
            }));
            return;
        }
        sleep(Duration::from_millis(10)).await;
        for n in 0..10 {
            port.send(CoreId(1), n).await;
            assert_eq!(port.recv().await, (CoreId(1), n + 1));
        }
    });
}
