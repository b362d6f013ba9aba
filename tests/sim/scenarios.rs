//! What the seeds have found, as short stories of its own each.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use ringlog::client::admin::{self, NewTopic};
use ringlog::client::{ClientError, HostPort};
use ringlog::io;
use ringlog::io::sim::{Faults, HostId};
use ringlog::wire::ErrorCode;

use crate::clients;
use crate::kit::{Setup, connect};
use crate::model::Model;

/// The entry of a new data directory in the one above it was not flushed: with the power went everything in it.
#[test]
fn a_new_data_directory_survives_the_loss_of_power() {
    for seed in 0..40 {
        let mut setup = Setup::new(seed, Faults::none(), &["log.dirs=/srv/ringlog/data"]);
        setup.start();
        assert!(creates(&setup), "seed {seed}");
        setup.crash();
        setup.start();
        assert!(!creates(&setup), "seed {seed}: the topic is gone");
        setup.stop();
    }
}

/// A partition's files are flushed with its first durable append, not when they are made: what a loss of power leaves of them must not
/// keep the broker from starting, nor the topic from being used.
#[test]
fn a_topic_that_was_never_flushed_is_usable_after_the_loss_of_power() {
    for seed in 0..60 {
        let mut setup = Setup::new(seed, Faults::none(), &[]);
        setup.start();
        let client = setup.sim.add_host(1);
        for round in 0..3 {
            let (bootstrap, model) = (setup.bootstrap(), Model::new(clients::PARTITIONS));
            let used = setup.sim.run(client, move || async move {
                clients::create(bootstrap.clone()).await;
                clients::produce_one_each(bootstrap, round, model).await;
            });
            let is_used = setup.sim.pass_until(Duration::from_secs(60), || used.has_ended());
            assert!(is_used, "seed {seed}, round {round}");
            setup.crash();
            setup.start();
        }
        setup.stop();
    }
}

/// A disk without room, or one that takes a part of a write, is answered with KAFKA_STORAGE_ERROR, and the partition takes records again when
/// there is some. A failed write or flush ends a node that has no other disk. A restart takes records in any case.
#[test]
fn what_the_disk_refuses_is_a_storage_error_or_the_end() {
    /// From the bytes that are stored.
    type Disk = fn(u64) -> Faults;
    let full: Disk = |used| Faults {
        disk_bytes_max: used,
        ..Faults::none()
    };
    let failing: Disk = |_| Faults {
        disk_error: 1.0,
        ..Faults::none()
    };
    let short: Disk = |_| Faults {
        short_write: 1.0,
        ..Faults::none()
    };
    let ways = [
        ("full", full, true),
        ("failing", failing, false),
        ("short", short, true),
    ];
    for ack in ["written", "durable"] {
        for (way, faults, passes) in ways {
            let mut setup = Setup::new(7, Faults::none(), &[&format!("ringlog.ack={ack}")]);
            setup.start();
            let client = setup.sim.add_host(1);
            assert_eq!(produces(&setup, client), Ok(()), "{way}, {ack}");
            setup.sim.set_faults(faults(setup.sim.stored_bytes(setup.host)));
            if passes {
                let refused = Err(ErrorCode::KAFKA_STORAGE_ERROR);
                assert_eq!(produces(&setup, client), refused, "{way}, {ack}");
                setup.sim.set_faults(Faults::none());
                assert_eq!(produces(&setup, client), Ok(()), "{way}, {ack}: it passes");
                setup.crash();
            } else {
                let bootstrap = setup.bootstrap();
                setup.sim.run(client, move || async move {
                    drop(clients::produce_one(bootstrap).await)
                });
                let reason = setup.expect_ended();
                assert!(reason.contains("/data has failed"), "{way}, {ack}: {reason}");
                setup.sim.set_faults(Faults::none());
                setup.crash();
            }
            setup.start();
            assert_eq!(produces(&setup, client), Ok(()), "{way}, {ack}: started again");
            setup.stop();
        }
    }
}

/// A task that was woken once more in its last turn left its waker in line; the next task in its place was run under it, and slept
/// on for good. Seed 995 of the durable model: a flush that never ended.
#[test]
fn a_task_that_ends_as_it_is_woken_leaves_nothing_to_the_next() {
    let setup = Setup::new(995, Faults::none(), &[]);
    let client = setup.sim.add_host(1);
    let ended = setup.sim.run(client, || async {
        for _ in 0..100 {
            let woken_at_its_end = io::spawn(poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Ready(())
            }));
            woken_at_its_end.await;
            io::spawn(io::sleep(Duration::from_millis(1))).await;
        }
    });
    assert!(
        setup
            .sim
            .pass_until(Duration::from_secs(10), || ended.has_ended())
    );
}

/// The process died with a change in the page cache, and while it was started again the power went. The new leader's first batch was kept
/// and the change in front of it was not: that looked like damage, and no start went on from it. Seed 2759 of the durable model.
#[test]
fn what_a_start_finds_in_the_metadata_log_is_flushed_before_the_log_goes_on() {
    for seed in 0..300 {
        let mut setup = Setup::new(seed, Faults::none(), &[]);
        setup.start();
        assert!(creates(&setup), "seed {seed}");
        let client = setup.sim.add_host(1);
        let bootstrap = setup.bootstrap();
        setup.sim.run(client, move || clients::create(bootstrap));
        setup.sim.pass(Duration::from_micros(1_000 + seed * 20));
        setup.kill();
        setup.start();
        setup.sim.pass(Duration::from_micros(200 + seed * 37 % 4_000));
        setup.crash();
        setup.start();
        assert!(!creates(&setup), "seed {seed}: the topic is gone");
        setup.stop();
    }
}

/// A stop answers what was asked, as far as it can be, and lets the clients go; only then it closes the logs, which may take long.
#[test]
fn a_stop_lets_the_clients_go_before_it_closes_the_logs() {
    (0..20).for_each(stop_with_clients);
}

fn stop_with_clients(seed: u64) {
    let mut setup = Setup::new(seed, Faults::none(), &["ringlog.ack=durable"]);
    setup.start();
    let client = setup.sim.add_host(1);
    assert_eq!(produces(&setup, client), Ok(()));
    let bootstrap = setup.bootstrap();
    let waiting = setup.sim.run(client, move || clients::await_more(bootstrap));
    let is_over = setup
        .sim
        .pass_until(Duration::from_secs(1), || waiting.has_ended());
    assert!(!is_over, "it waits for what doesn't come");
    let slow = 300_000_000;
    setup.sim.set_faults(Faults {
        disk_nanos: slow..slow + 1,
        ..Faults::none()
    });
    let bootstrap = setup.bootstrap();
    let producing = setup.sim.run(client, move || clients::produce_one(bootstrap));
    let is_over = setup
        .sim
        .pass_until(Duration::from_nanos(slow / 2), || producing.has_ended());
    assert!(!is_over, "its flush takes longer");
    setup.order_stop();
    let have_ended = setup.sim.pass_until(Duration::from_secs(2), || {
        waiting.has_ended() && producing.has_ended()
    });
    assert!(have_ended && !setup.has_ended(), "seed {seed}");
    let waited = waiting.take().expect("it ended");
    assert!(waited.is_err(), "seed {seed}: {waited:?}");
    assert_eq!(producing.take().expect("it ended").ok(), Some(1));
    setup.expect_stopped();
}

/// What a record to partition 0 comes to.
fn produces(setup: &Setup, client: HostId) -> Result<(), ErrorCode> {
    let bootstrap = setup.bootstrap();
    let outcome = setup.sim.run(client, move || async move {
        clients::create(bootstrap.clone()).await;
        clients::produce_one(bootstrap).await
    });
    let patience = Duration::from_secs(60);
    assert!(setup.sim.pass_until(patience, || outcome.has_ended()));
    match outcome.take().expect("it ended") {
        Ok(_) => Ok(()),
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

/// Whether the topic was made now; it may have been there.
fn creates(setup: &Setup) -> bool {
    let client = setup.sim.add_host(1);
    let bootstrap = setup.bootstrap();
    let outcome = setup.sim.run(client, move || create(bootstrap));
    assert!(
        setup
            .sim
            .pass_until(Duration::from_secs(60), || outcome.has_ended())
    );
    outcome.take().expect("it ended")
}

async fn create(bootstrap: HostPort) -> bool {
    let cluster = connect(bootstrap).await;
    let topic = NewTopic {
        name: "kept".into(),
        partitions: Some(1),
        replication_factor: None,
        configs: Vec::new(),
    };
    match admin::create_topic(&cluster, &topic).await {
        Ok(()) => true,
        Err(error) if admin::already_exists(&error) => false,
        Err(error) => panic!("{error}"),
    }
}
