//! A log on a simulated disk, with everything that is ever asked of it in an order that a seed decides, through deaths at any instant:
//! after each it is what the [`story`] says, or nothing but what that death may have taken is missing.
//!
//! The log rooms run as they are; what the core that owns a log does beside appends is [`life`]'s. The whole broker is
//! `broker_steps`'.

mod check;
mod counts;
mod life;
mod plan;
mod settle;
mod steps;
mod story;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlog::io::Planted;
use ringlog::io::sim::{Faults, HostId, Simulation};

use crate::seeds;

pub use counts::Counts;
use life::Life;
use plan::Plan;
use story::Story;

pub type Shared = Arc<Mutex<Story>>;

const LIVES: u64 = 8;
/// Virtual nanoseconds that a life lasts.
const LIFE_NANOS: std::ops::Range<u64> = 1_000_000..120_000_000;
/// So many seeds meet everything; a few may miss something.
const SEEDS_THAT_MEET_ALL: u64 = 200;

#[test]
fn a_log_is_what_was_appended_to_it_through_every_step_and_every_death() {
    let counts = Mutex::new(Counts::default());
    let name = "a_log_is_what_was_appended_to_it_through_every_step_and_every_death";
    let seeds = seeds::each(name, |seed| {
        let met = run(seed, None);
        counts.lock().unwrap().add(&met);
    });
    if seeds >= SEEDS_THAT_MEET_ALL {
        counts.into_inner().unwrap().expect_all();
    }
}

#[test]
fn one_seed_is_one_story() {
    let appends = [3, 3, 4].map(|seed| format!("{:?}", run(seed, None)));
    assert_eq!(appends[0], appends[1]);
    assert_ne!(appends[0], appends[2]);
}

/// Lives through `seed`. Panics where the log is not what it must be.
pub fn run(seed: u64, planted: Option<Planted>) -> Counts {
    let sim = Simulation::new(seed, quiet());
    if let Some(bug) = planted {
        sim.plant(bug);
    }
    let host = sim.add_host(1);
    let plan = Plan::draw(&sim, planted);
    let shared = Shared::default();
    for _ in 0..LIVES {
        live_and_die(&sim, host, &plan, &shared);
    }
    let (last, of) = (shared.clone(), plan.clone());
    let opened = sim.run(host, move || async move { drop(Life::begin(of, last)) });
    assert!(sim.pass_until(Duration::from_secs(60), || opened.has_ended()));
    let mut counts = shared.lock().unwrap().counts;
    let seen = sim.seen();
    counts.kills = seen.process_crashes;
    counts.crashes_between_write_and_flush = seen.crashes_between_write_and_flush;
    (counts.torn_writes, counts.lost_writes, counts.lost_entries) =
        (seen.torn_writes, seen.lost_writes, seen.lost_entries);
    (counts.disk_errors, counts.disk_full, counts.short_writes) =
        (seen.disk_errors, seen.disk_full, seen.short_writes);
    counts
}

fn quiet() -> Faults {
    Faults {
        short_read: 0.05,
        slow_disk: 0.01,
        ..Faults::none()
    }
}

fn live_and_die(sim: &Simulation, host: HostId, plan: &Plan, shared: &Shared) {
    sim.set_faults(quiet());
    let (of, with) = (plan.clone(), shared.clone());
    let closes_after = match sim.chance(0..4) {
        0 => sim.chance(0..200),
        _ => u64::MAX,
    };
    let running = sim.run(host, move || live(of, with, closes_after));
    let nanos = sim.chance(LIFE_NANOS);
    sim.pass(Duration::from_nanos(nanos / 2));
    be_bad(sim, host, shared);
    sim.pass_until(Duration::from_nanos(nanos / 2), || running.has_ended());
    // Nothing fails in the moments before a death: what failed shows in what the log did then.
    let mut story = shared.lock().unwrap();
    if running.has_ended() {
        assert!(story.is_closed, "it panicked");
    }
    let is_kill = !std::mem::take(&mut story.is_in_doubt) && sim.chance(0..3) == 0;
    story.keeps_all = is_kill || story.is_closed;
    drop(story);
    match is_kill {
        true => sim.kill(host),
        false => {
            sim.crash(host);
            sim.power_on(host);
        }
    }
}

/// In some lives the disk has no room, takes a part of what is written, or fails.
fn be_bad(sim: &Simulation, host: HostId, shared: &Shared) {
    let faults = match sim.chance(0..8) {
        0 => Faults {
            disk_bytes_max: sim.stored_bytes(host) + sim.chance(0..2_000),
            ..quiet()
        },
        1 => Faults {
            short_write: 0.1,
            ..quiet()
        },
        2 => Faults {
            disk_error: 0.02,
            ..quiet()
        },
        _ => return,
    };
    shared.lock().unwrap().is_disk_bad = true;
    sim.set_faults(faults);
    sim.pass(Duration::from_micros(sim.chance(0..20_000)));
    sim.set_faults(quiet());
    shared.lock().unwrap().is_disk_bad = false;
}

async fn live(plan: Plan, shared: Shared, closes_after: u64) {
    let (life, log_dir) = Life::begin(plan, shared);
    let is_truncated = life.story().before_truncation.is_some();
    if is_truncated {
        steps::end_truncation(&life).await;
    }
    for _ in 0..closes_after {
        if life.story().is_in_doubt {
            break;
        }
        steps::step(&life).await;
    }
    let is_in_doubt = life.story().is_in_doubt;
    if !is_in_doubt {
        return life.close(log_dir).await;
    }
    // The directory stays locked until the process is dead.
    let () = std::future::pending().await;
    drop(log_dir);
}
