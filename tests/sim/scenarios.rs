//! What the seeds have found, as short stories of its own each.

use std::time::Duration;

use ringlog::client::HostPort;
use ringlog::client::admin::{self, NewTopic};
use ringlog::io::sim::Faults;

use crate::kit::{Setup, connect};

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
