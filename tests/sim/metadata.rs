//! The quorum of one: whatever ends the broker, at whatever instant, the metadata that was acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ringlog::base::TopicId;
use ringlog::client::admin::{self, NewTopic};
use ringlog::client::{ClientError, Cluster, HostPort};
use ringlog::io::sim::Faults;
use ringlog::wire::ErrorCode;

use crate::kit::{Setup, again, ask, connect};
use crate::seeds;

/// How much one client does.
const CHANGES: u64 = 40;
/// Nearly every change is followed by a snapshot, which takes the place of all before it.
const SNAPSHOTS: &[&str] = &[
    "metadata.log.max.record.bytes.between.snapshots=300",
    "metadata.max.retention.bytes=0",
];

#[test]
fn topics_survive_crashes_and_kills_at_any_instant_of_a_snapshot() {
    let parts_met = AtomicU64::new(0);
    let name = "topics_survive_crashes_and_kills_at_any_instant_of_a_snapshot";
    let seeds = seeds::each(name, |seed| {
        let mut setup = Setup::new(seed, Faults::rough(), SNAPSHOTS);
        setup.start();
        let client = setup.sim.add_host(1);
        let bootstrap = setup.bootstrap();
        let changes = setup.sim.run(client, move || change_topics(bootstrap, CHANGES));
        while !changes.has_ended() {
            let pause = Duration::from_micros(setup.sim.chance(1_000..400_000));
            setup.sim.pass(pause);
            match setup.sim.chance(0..3) {
                0 => setup.kill(),
                1 => setup.crash(),
                _ => continue,
            }
            setup.start();
            setup.sim.pass(Duration::from_millis(setup.sim.chance(0..2_000)));
        }
        let expected = changes.take().expect("it ended");
        for _ in 0..2 {
            assert_eq!(ask(&setup, topics), expected);
            setup.crash();
            setup.start();
        }
        setup.stop();
        let seen = setup.sim.seen();
        parts_met.fetch_add(seen.lost_entries + seen.torn_writes, Ordering::Relaxed);
    });
    if seeds >= 20 {
        assert!(parts_met.into_inner() > 0, "no crash tore anything");
    }
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    for seed in 0..20 {
        let mut setup = Setup::new(seed, Faults::none(), &[]);
        setup.start();
        assert_eq!(ask(&setup, |at| create(at, "before")), Ok(()));
        let full = Faults {
            disk_bytes_max: setup.sim.stored_bytes(setup.host) + seed * 7,
            ..Faults::none()
        };
        setup.sim.set_faults(full);
        let mut refused = 0;
        for name in ["a", "b", "c"] {
            refused +=
                u32::from(ask(&setup, move |at| create(at, name)) == Err(ErrorCode::KAFKA_STORAGE_ERROR));
        }
        assert!(refused > 0, "seed {seed}: there was room for all");
        setup.sim.set_faults(Faults::none());
        assert_eq!(ask(&setup, |at| create(at, "after")), Ok(()), "seed {seed}");
        let before = ask(&setup, topics);
        assert_eq!(before.len() as u32, 5 - refused);
        setup.crash();
        setup.start();
        assert_eq!(ask(&setup, topics), before, "seed {seed}");
        setup.stop();
    }
}

#[test]
fn a_bad_disk_ends_the_node_and_what_was_acknowledged_is_there_after_a_restart() {
    for seed in 0..20 {
        let mut setup = Setup::new(seed, Faults::none(), &[]);
        setup.start();
        assert_eq!(ask(&setup, |at| create(at, "before")), Ok(()));
        setup.sim.set_faults(Faults {
            disk_error: 1.0,
            ..Faults::none()
        });
        let client = setup.sim.add_host(1);
        let bootstrap = setup.bootstrap();
        setup.sim.run(client, move || async move {
            let cluster = connect(bootstrap).await;
            let _ = admin::create_topic(&cluster, &topic("lost")).await;
        });
        let reason = setup.expect_ended();
        assert!(
            reason.contains("/data") && reason.contains("the metadata log"),
            "{reason}"
        );
        setup.sim.set_faults(Faults::none());
        setup.start();
        assert_eq!(ask(&setup, |at| create(at, "after")), Ok(()));
        let names: Vec<_> = ask(&setup, topics)
            .into_keys()
            .filter(|name| name != "lost")
            .collect();
        assert_eq!(names, ["after", "before"], "seed {seed}");
        setup.stop();
    }
}

async fn topics(bootstrap: HostPort) -> BTreeMap<String, TopicId> {
    let cluster = connect(bootstrap).await;
    loop {
        match cluster.refresh_all().await {
            Ok(all) => return all.iter().map(|topic| (topic.name.clone(), topic.id)).collect(),
            Err(error) => again(error).await,
        }
    }
}

/// Tries once; a broker that is there answers.
async fn create(bootstrap: HostPort, name: &'static str) -> Result<(), ErrorCode> {
    let cluster = connect(bootstrap).await;
    match admin::create_topic(&cluster, &topic(name)).await {
        Ok(()) => Ok(()),
        Err(ClientError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

fn topic(name: &str) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions: Some(2),
        replication_factor: None,
        configs: vec![("retention.ms".into(), "100000".into())],
    }
}

/// Creates and deletes topics until so many changes are acknowledged; returns those that must be there, by the ids that were seen.
async fn change_topics(bootstrap: HostPort, changes: u64) -> BTreeMap<String, TopicId> {
    let cluster = connect(bootstrap.clone()).await;
    let mut there = BTreeMap::new();
    for change in 0..changes {
        let name = format!("t{}", change % 7);
        if there.remove(&name).is_some() {
            until_done(
                async || admin::delete_topic(&cluster, &name).await,
                |code| code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            )
            .await;
        } else {
            until_done(
                async || admin::create_topic(&cluster, &topic(&name)).await,
                |code| code == ErrorCode::TOPIC_ALREADY_EXISTS,
            )
            .await;
            there.insert(name.clone(), id_of(&cluster, &name).await);
        }
    }
    there
}

/// Tries until it is done; `is_done` tells the refusals that an earlier try explains, whose answer was lost.
async fn until_done(
    mut attempt: impl AsyncFnMut() -> Result<(), ClientError>,
    is_done: impl Fn(ErrorCode) -> bool,
) {
    loop {
        match attempt().await {
            Ok(()) => return,
            Err(ClientError::Refused { code, .. }) if is_done(code) => return,
            Err(error) => again(error).await,
        }
    }
}

async fn id_of(cluster: &Cluster, name: &str) -> TopicId {
    loop {
        match cluster.refresh_all().await {
            Ok(all) => {
                return all
                    .iter()
                    .find(|topic| topic.name == name)
                    .expect("it was acknowledged")
                    .id;
            }
            Err(error) => again(error).await,
        }
    }
}
