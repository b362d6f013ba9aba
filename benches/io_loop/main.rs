//! The core's loop against the least that could do its work, on this machine.
//!
//! `cargo bench --bench io_loop` measures, interleaved in one run, a TCP echo at 128 B and 4 KiB by
//! - `raw`: a bare io_uring loop, twice, so that raw against raw shows what the machine adds;
//! - `ours`: a task on the `io` room's loop;
//! - `thread`: a thread with a blocking socket (spinning on a non-blocking one in the busy profile);
//!
//! each busy and parking, and the round trip of a message through the mailboxes of two cores. The server runs on one CPU, the
//! client spins on another.
//!
//! Options: `--quick` (a few seconds, for checking that it works), `--rounds N`, `--cpus SERVER,CLIENT`, and
//! `--stress SECONDS`, which instead drives two parking cores hard and fails when one slept over something.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "stands outside the broker: it compares the loop with bare threads and sockets"
)]

mod client;
mod echo_ours;
mod echo_raw;
mod echo_thread;
mod host;
mod mailbox;
mod report;
mod stress;

use std::net::SocketAddr;
use std::thread::JoinHandle;

use report::{Case, Results, Variant};

/// What the command line asks for.
struct Plan {
    rounds: usize,
    round_trips: usize,
    server_cpu: usize,
    client_cpu: usize,
    stress_seconds: Option<u64>,
}

/// A server that echoes one connection, and ends with it.
struct Server {
    address: SocketAddr,
    thread: JoinHandle<()>,
}

fn main() {
    let plan = parse(std::env::args().skip(1));
    if let Some(seconds) = plan.stress_seconds {
        stress::run(seconds);
        return;
    }
    let mut results = Results::default();
    let before = host::Cpus::read();
    for round in 0..plan.rounds {
        for case in Case::all() {
            // The order turns, so that no variant is always the first after a pause.
            for step in 0..Variant::ALL.len() {
                let variant = Variant::ALL[(round + step) % Variant::ALL.len()];
                results.echo(round, case, variant, measure_echo(&plan, case, variant));
            }
        }
        for busy in [true, false] {
            results.mailbox(busy, mailbox::measure(&plan, busy));
        }
        eprint!("\rround {} of {}", round + 1, plan.rounds);
    }
    eprintln!();
    results.print();
    host::print(&before, &host::Cpus::read(), [plan.server_cpu, plan.client_cpu]);
}

fn measure_echo(plan: &Plan, case: Case, variant: Variant) -> hdrhistogram::Histogram<u64> {
    let server = match variant {
        Variant::Raw | Variant::RawAgain => echo_raw::start(plan.server_cpu, case.busy),
        Variant::Ours => echo_ours::start(plan.server_cpu, case.busy),
        Variant::Thread => echo_thread::start(plan.server_cpu, case.busy),
    };
    let (address, cpu, round_trips) = (server.address, plan.client_cpu, plan.round_trips);
    // Its own thread: threads inherit their starter's CPU set, and the servers' must be able to choose.
    let client = std::thread::spawn(move || {
        host::pin_to(cpu);
        client::measure(address, case.bytes, round_trips)
    });
    let latencies = client.join().expect("the client got every message back");
    server
        .thread
        .join()
        .expect("the server ended with its connection");
    latencies
}

fn parse(arguments: impl Iterator<Item = String>) -> Plan {
    let mut plan = Plan {
        rounds: 15,
        round_trips: 20_000,
        server_cpu: 0,
        client_cpu: 1,
        stress_seconds: None,
    };
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| panic!("{argument} takes a value"))
        };
        match argument.as_str() {
            "--quick" => (plan.rounds, plan.round_trips) = (3, 2_000),
            "--rounds" => plan.rounds = value().parse().expect("a number of rounds"),
            "--stress" => plan.stress_seconds = Some(value().parse().expect("a number of seconds")),
            "--cpus" => {
                let value = value();
                let (server, client) = value.split_once(',').expect("two CPU numbers: SERVER,CLIENT");
                plan.server_cpu = server.parse().expect("a CPU number");
                plan.client_cpu = client.parse().expect("a CPU number");
            }
            // What `cargo bench NAME` would filter by: there is one benchmark here.
            _ => eprintln!("ignored: {argument}"),
        }
    }
    plan
}
