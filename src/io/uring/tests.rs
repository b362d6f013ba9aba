//! The real build against the real kernel: loopback, temporary files, two cores.

mod files;
mod mail;
mod sockets;
mod tasks;

use std::sync::{Arc, Mutex};

use super::*;
use crate::base::CoreId;
use crate::io::{Counters, OpenOptions, Options, Profile, Signal, run, sleep, timeout};

/// Runs `main` on one parking core and gives what it returned.
fn on_one_core<T: Send + 'static, Fut: Future<Output = T> + 'static>(
    main: impl FnOnce() -> Fut + Send + 'static,
) -> T {
    on_one_core_as(Profile::Park, main)
}

fn on_one_core_as<T: Send + 'static, Fut: Future<Output = T> + 'static>(
    profile: Profile,
    main: impl FnOnce() -> Fut + Send + 'static,
) -> T {
    let main = Arc::new(Mutex::new(Some(main)));
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let options = Options {
        profile,
        ..Options::unpinned(1)
    };
    run(options, move |_| {
        let main = main.lock().unwrap().take().expect("one core");
        let place = place.clone();
        async move {
            let value = main().await;
            *place.lock().unwrap() = Some(value);
            assert_eq!(counters().broken_sleeps(), 0);
        }
    })
    .unwrap();
    let value = result.lock().unwrap().take();
    value.expect("main has run to its end")
}

/// Runs `main(core, port)` on `cores` cores joined by a mesh, and gives the counters as core 0 saw them at its end.
fn on_a_mesh<M, Fut>(
    cores: usize,
    capacity: usize,
    profile: Profile,
    main: impl Fn(CoreId, mesh::Port<M>) -> Fut + Clone + Send + 'static,
) -> Counters
where
    M: Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let ports: Vec<_> = mesh::build::<M>(cores, capacity).into_iter().map(Some).collect();
    let ports = Arc::new(Mutex::new(ports));
    let seen = Arc::new(Mutex::new(Counters::default()));
    let place = seen.clone();
    let options = Options {
        profile,
        ..Options::unpinned(cores)
    };
    run(options, move |core| {
        let port = ports.lock().unwrap()[core.index()]
            .take()
            .expect("each core runs once");
        let (main, place) = (main.clone(), place.clone());
        async move {
            main(core, port).await;
            if core == CoreId(0) {
                *place.lock().unwrap() = counters();
            }
        }
    })
    .unwrap();
    let counters = seen.lock().unwrap().clone();
    assert_eq!(counters.broken_sleeps(), 0, "{counters}");
    counters
}
