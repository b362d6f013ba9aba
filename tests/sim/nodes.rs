//! Several machines in one world.

use std::time::Duration;

use ringlog::io::sim::Faults;

use crate::clients;
use crate::kit::Setup;
use crate::model::Model;

const PATIENCE: Duration = Duration::from_secs(300);

/// Two brokers that know nothing of each other, each with clients of its own: what happens to one is not felt by the other.
#[test]
fn the_death_of_one_machine_is_not_felt_by_another() {
    for seed in 0..10 {
        let mut doomed = Setup::new(seed, Faults::rough(), &["ringlog.ack=durable"]);
        let mut lucky = doomed.beside(&["node.id=2"]);
        let sim = doomed.sim.clone();
        let mut running = Vec::new();
        for setup in [&mut doomed, &mut lucky] {
            setup.start();
            let (host, model) = (sim.add_host(1), Model::new(clients::PARTITIONS));
            let work = {
                let (bootstrap, model) = (setup.bootstrap(), model.clone());
                sim.run(host, move || async move {
                    clients::create(bootstrap.clone()).await;
                    clients::produce_pipelined(bootstrap, 0, 200, model).await;
                })
            };
            running.push((work, model, host));
        }
        sim.pass(Duration::from_millis(sim.chance(10..200)));
        // The second one's work is done while the first machine is dark.
        doomed.crash();
        let (lucky_work, lucky_model, _) = &running[1];
        assert!(sim.pass_until(PATIENCE, || lucky_work.has_ended()), "seed {seed}");
        lucky.expect_running();
        assert_eq!(lucky_model.acknowledged_count(), 200, "seed {seed}");
        doomed.start();
        let (doomed_work, ..) = &running[0];
        assert!(
            sim.pass_until(PATIENCE, || doomed_work.has_ended()),
            "seed {seed}"
        );
        sim.set_faults(Faults::none());
        for (setup, (_, model, host)) in [&mut doomed, &mut lucky].into_iter().zip(&running) {
            let bootstrap = setup.bootstrap();
            let logs = sim.run(*host, move || clients::read_all(bootstrap));
            assert!(sim.pass_until(PATIENCE, || logs.has_ended()), "seed {seed}");
            model.check(&logs.take().expect("it ended"));
            setup.stop();
        }
    }
}
