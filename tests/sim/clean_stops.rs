//! Clean stops, and what may come behind them: a start by what they left, a death during it, a loss of power before it.

use std::time::Duration;

use ringlog::io::sim::{Faults, HostId};

use crate::clients;
use crate::kit::Setup;
use crate::model::Model;
use crate::seeds;

const ROUNDS: u32 = 6;
const RECORDS: u32 = 25;
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn nothing_is_lost_whatever_comes_behind_a_clean_stop() {
    seeds::each("clean_stops::", |seed| {
        let roll = ["log.roll.ms=400", "log.roll.ms=20", "log.roll.ms=3"][seed as usize % 3];
        let settings = ["ringlog.ack=durable", "log.index.interval.bytes=256", roll];
        let mut setup = Setup::new(seed, Faults::none(), &settings);
        let (client, model) = (setup.sim.add_host(1), Model::new(clients::PARTITIONS));
        setup.start();
        for round in 0..ROUNDS {
            work(&setup, client, round, &model);
            setup.stop();
            die_behind_it(&mut setup, &model);
            setup.start();
        }
        let bootstrap = setup.bootstrap();
        let logs = setup.sim.run(client, move || clients::read_all(bootstrap));
        assert!(setup.sim.pass_until(PATIENCE, || logs.has_ended()), "seed {seed}");
        model.check(&logs.take().expect("it ended"));
        setup.stop();
    });
}

fn work(setup: &Setup, client: HostId, round: u32, model: &Model) {
    let (bootstrap, model) = (setup.bootstrap(), model.clone());
    let done = setup.sim.run(client, move || async move {
        if round == 0 {
            clients::create(bootstrap.clone()).await;
        }
        clients::produce_plainly(bootstrap, round, RECORDS, model).await;
    });
    let is_done = setup.sim.pass_until(PATIENCE, || done.has_ended());
    assert!(is_done, "round {round} does not end");
}

/// Or doesn't: then the next start goes by what the stop has left.
fn die_behind_it(setup: &mut Setup, model: &Model) {
    let sim = setup.sim.clone();
    let fate = sim.chance(0..6);
    if fate < 2 {
        setup.start();
        sim.pass(Duration::from_micros(sim.chance(0..60_000)));
    }
    match fate {
        0 => setup.kill(),
        1 | 2 => setup.crash(),
        _ => {}
    }
    // Who died while it started has taken the clean stop away; what dies behind a stop doesn't.
    model.notes().era += u32::from(fate < 2);
}
