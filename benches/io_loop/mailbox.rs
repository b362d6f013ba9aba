//! The round trip of a small message through the mailboxes of two cores: two hops.

use std::rc::Rc;
use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use ringlog::base::CoreId;
use ringlog::io::{self, Options, Profile, mesh};

use crate::Plan;

pub fn measure(plan: &Plan, busy: bool) -> Histogram<u64> {
    let options = Options {
        cores: vec![plan.server_cpu, plan.client_cpu],
        profile: if busy { Profile::Busy } else { Profile::Park },
        stall_limit: Options::STALL_LIMIT_DEFAULT,
        pin: true,
    };
    let ports = mesh::build::<u64>(2, 256)
        .into_iter()
        .map(Some)
        .collect::<Vec<_>>();
    let ports = Arc::new(Mutex::new(ports));
    let latencies = Arc::new(Mutex::new(Histogram::new(3).unwrap()));
    let place = latencies.clone();
    let round_trips = plan.round_trips;
    io::run(options, move |core| {
        let port = Rc::new(
            ports.lock().unwrap()[core.index()]
                .take()
                .expect("each core runs once"),
        );
        let place = place.clone();
        async move {
            if core == CoreId(0) {
                *place.lock().unwrap() = ask(&port, round_trips).await;
            } else {
                answer(&port).await;
            }
        }
    })
    .unwrap();
    let latencies = latencies.lock().unwrap();
    latencies.clone()
}

async fn ask(port: &mesh::Port<u64>, round_trips: usize) -> Histogram<u64> {
    let mut latencies = Histogram::new(3).unwrap();
    let warm_up = round_trips / 10;
    for n in 0..warm_up + round_trips {
        let begun = io::now();
        port.send(CoreId(1), n as u64).await;
        let (_, back) = port.recv().await;
        if n >= warm_up {
            latencies
                .record(io::now().since(begun).as_nanos() as u64)
                .unwrap();
        }
        assert_eq!(back, n as u64);
    }
    port.send(CoreId(1), STOP).await;
    latencies
}

const STOP: u64 = u64::MAX;

async fn answer(port: &mesh::Port<u64>) {
    loop {
        let (from, message) = port.recv().await;
        if message == STOP {
            return;
        }
        port.send(from, message).await;
    }
}
