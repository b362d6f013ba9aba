//! One producer that waits for each batch to be on stable storage before it sends the next.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use bytes::Bytes;
use hdrhistogram::Histogram;
use ringlog::io::OpenOptions;
use ringlog::io::fs::File;

use crate::figure::{Figure, Pass, histogram};
use crate::host::Ticks;
use crate::one_core::{OneCore, batch_of};
use crate::{Plan, disk, one_core};

pub const SETTINGS: &[&str] = &["ringlog.ack=durable"];
const BATCH_BYTES: usize = 1 << 10;
/// Not counted: the first writes of a file.
const WARM_UP: usize = 20;

const FLOOR: &str = "write, fdatasync";
const OURS: &str = "log";
const RING: &str = "ring's write, flush";

pub fn measure(plan: &Plan) {
    let samples = plan.durable_samples;
    let title = format!("durable append of {BATCH_BYTES} B, one producer, {samples} a round");
    let variants = [FLOOR, OURS, RING, "write, fdatasync again"];
    let figure = Figure::take(title, "us each", &variants, plan.rounds, |variant| {
        disk::settle();
        one_core::run(plan, move || pass(variant, samples))
    });
    figure.print(None);
    figure.print_percentiles();
}

async fn pass(variant: &'static str, samples: usize) -> Pass {
    let dir = disk::dir();
    let batch = batch_of(BATCH_BYTES);
    match variant {
        OURS => {
            let core = OneCore::start(dir.path(), SETTINGS).await;
            let pass = timed(samples, async |_| core.append_durably(batch.clone()).await).await;
            core.stop().await;
            pass
        }
        RING => {
            let file = File::open_now(dir.path().join("ring"), OpenOptions::read_write_create_new());
            let (file, batch) = (file.expect("a new file"), Bytes::from(batch));
            timed(samples, async |n| {
                let at = (n * BATCH_BYTES) as u64;
                file.write_at(at, batch.clone()).await.expect("writes");
                file.sync_data().await.expect("flushes");
            })
            .await
        }
        _ => {
            let file = disk::new_file(dir.path());
            timed(samples, async |n| {
                file.write_all_at(&batch, (n * BATCH_BYTES) as u64)
                    .expect("writes");
                file.sync_data().expect("flushes");
            })
            .await
        }
    }
}

async fn timed(samples: usize, one: impl AsyncFn(usize)) -> Pass {
    for n in 0..WARM_UP {
        one(n).await;
    }
    let mut latencies: Histogram<u64> = histogram();
    let (before, begun) = (Ticks::now(), Instant::now());
    for n in WARM_UP..WARM_UP + samples {
        let begun = Instant::now();
        one(n).await;
        latencies.saturating_record(begun.elapsed().as_nanos() as u64);
    }
    Pass {
        value: begun.elapsed().as_secs_f64() * 1e6 / samples as f64,
        latencies: Some(latencies),
        ticks: Ticks::now().since(&before),
    }
}
