//! Appends to the page cache: what a core needs for a batch, from its bytes on, against pwrite of the same bytes.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use bytes::BytesMut;
use ringlog::io;

use crate::figure::{Figure, Pass};
use crate::host::Ticks;
use crate::one_core::{OneCore, batch_of};
use crate::{Plan, disk, one_core};

const BATCH_BYTES: [usize; 3] = [128, 1 << 10, 64 << 10];
/// Of small batches fewer bytes are written in a round.
const BATCHES_MAX: usize = 200_000;
/// Between two of these the core's other tasks get their turn, as between requests.
const TURN_BYTES: usize = 64 << 10;
/// Small, so that batches leave the tail as others come.
const SETTINGS: &[&str] = &["ringlog.tail.cache.bytes=1048576"];

const FLOOR: &str = "pwrite";
const OURS: &str = "log";

pub fn measure(plan: &Plan) {
    for bytes in BATCH_BYTES {
        let count = (plan.append_bytes / bytes).min(BATCHES_MAX);
        let title = format!("append of {bytes} B batches, {count} a round");
        let variants = [FLOOR, OURS, "pwrite again"];
        let figure = Figure::take(title, "us each", &variants, plan.rounds, |variant| {
            disk::settle();
            one_core::run(plan, move || pass(variant, bytes, count))
        });
        figure.print(Some(bytes));
    }
}

async fn pass(variant: &'static str, bytes: usize, count: usize) -> Pass {
    let dir = disk::dir();
    let batch = batch_of(bytes);
    let batches = vec![batch; count];
    match variant {
        OURS => {
            let core = OneCore::start(dir.path(), SETTINGS).await;
            let pass = append(&core, batches).await;
            core.stop().await;
            pass
        }
        _ => {
            let file = disk::new_file(dir.path());
            timed(count, async || {
                let mut at = 0;
                for batch in &batches {
                    file.write_all_at(batch, at).expect("writes");
                    at += batch.len() as u64;
                }
            })
            .await
        }
    }
}

async fn append(core: &OneCore, batches: Vec<BytesMut>) -> Pass {
    let count = batches.len();
    timed(count, async move || {
        let mut since_turn = 0;
        for batch in batches {
            since_turn += batch.len();
            let committed = core.append(batch);
            assert!(committed.is_none(), "it counts at once");
            if since_turn >= TURN_BYTES {
                since_turn = 0;
                io::yield_now().await;
            }
        }
    })
    .await
}

async fn timed(count: usize, work: impl AsyncFnOnce()) -> Pass {
    let (before, begun) = (Ticks::now(), Instant::now());
    work().await;
    let took = begun.elapsed();
    Pass {
        value: took.as_secs_f64() * 1e6 / count as f64,
        latencies: None,
        ticks: Ticks::now().since(&before),
    }
}
