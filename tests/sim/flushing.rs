//! Flushes of a core's partitions: each waits for the disk, and none for another's.

use std::time::Duration;

use ringlog::io::sim::Faults;

use crate::clients::{self, PARTITIONS, produce_to};
use crate::kit::Setup;
use crate::model::{Model, Value};

/// What every operation on the disk takes, as soon as it is slow.
const SLOW: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn flushes_of_many_partitions_take_as_long_as_that_of_one() {
    let mut setup = Setup::new(1, Faults::none(), &["ringlog.cores=1", "ringlog.ack=durable"]);
    setup.start();
    let client = setup.sim.add_host(1);
    let (bootstrap, model) = (setup.bootstrap(), Model::new(PARTITIONS));
    // Their names are flushed with their first records.
    let begun = setup.sim.run(client, move || async move {
        clients::create(bootstrap.clone()).await;
        clients::produce_one_each(bootstrap, 1, model).await;
    });
    assert!(setup.sim.pass_until(PATIENCE, || begun.has_ended()));
    setup.sim.pass(Duration::from_secs(10));

    let nanos = SLOW.as_nanos() as u64;
    setup.sim.set_faults(Faults {
        disk_nanos: nanos..nanos + 1,
        ..Faults::none()
    });
    let one = time_to_produce(&setup, 0..1);
    let all = time_to_produce(&setup, 0..PARTITIONS as i32);
    assert!(one >= SLOW, "{one:?}: it is acknowledged once it is flushed");
    assert!(all < one * 3 / 2, "{all:?} for all, {one:?} for one");
    setup.sim.set_faults(Faults::none());
    setup.stop();
}

/// A record to each partition, all at once.
fn time_to_produce(setup: &Setup, partitions: std::ops::Range<i32>) -> Duration {
    let clients: Vec<_> = partitions
        .map(|partition| {
            let (host, bootstrap) = (setup.sim.add_host(1), setup.bootstrap());
            let value = Value {
                client: 2,
                number: partition as u32,
            };
            setup
                .sim
                .run(host, move || produce_to(bootstrap, partition, value))
        })
        .collect();
    let mut taken = Duration::ZERO;
    while !clients.iter().all(|client| client.has_ended()) {
        assert!(taken < PATIENCE, "a record is never acknowledged");
        setup.sim.pass(STEP);
        taken += STEP;
    }
    let outcomes = clients.iter().map(|client| client.take().expect("it has ended"));
    outcomes.for_each(|outcome| _ = outcome.expect("acknowledged"));
    taken
}
