//! Many producers of one durable partition, each waiting for its own batch: those that come during a flush share the next one.

use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Instant;

use ringlog::io;

use crate::durable::SETTINGS;
use crate::figure::{Figure, Pass};
use crate::host::Ticks;
use crate::one_core::{OneCore, batch_of};
use crate::{Plan, disk, one_core};

const PRODUCERS: usize = 64;
const BATCH_BYTES: usize = 4 << 10;

const OURS: &str = "log";

pub fn measure(plan: &Plan) {
    let each = plan.group_batches;
    let title =
        format!("durable appends of {BATCH_BYTES} B, {PRODUCERS} producers, {each} batches each a round");
    let variants = ["64 writes, fdatasync", OURS, "64 writes, fdatasync again"];
    let figure = Figure::take(title, "batches/s", &variants, plan.rounds, |variant| {
        disk::settle();
        one_core::run(plan, move || pass(variant, each))
    });
    figure.print(None);
}

async fn pass(variant: &'static str, each: usize) -> Pass {
    let dir = disk::dir();
    match variant {
        OURS => {
            let core = Rc::new(OneCore::start(dir.path(), SETTINGS).await);
            // The first flush is of new names too.
            core.append_durably(batch_of(BATCH_BYTES)).await;
            let pass = timed(each, async || produce(&core, each).await).await;
            let core = Rc::into_inner(core).expect("every producer has ended");
            core.stop().await;
            pass
        }
        _ => {
            let (file, batch) = (disk::new_file(dir.path()), batch_of(BATCH_BYTES));
            timed(each, async || {
                let mut at = 0;
                for _ in 0..each {
                    for _ in 0..PRODUCERS {
                        file.write_all_at(&batch, at).expect("writes");
                        at += batch.len() as u64;
                    }
                    file.sync_data().expect("flushes");
                }
            })
            .await
        }
    }
}

async fn produce(core: &Rc<OneCore>, each: usize) {
    let batch = batch_of(BATCH_BYTES);
    let producer = || {
        let (core, batch) = (core.clone(), batch.clone());
        io::spawn(async move {
            for _ in 0..each {
                core.append_durably(batch.clone()).await;
            }
        })
    };
    let producers: Vec<_> = (0..PRODUCERS).map(|_| producer()).collect();
    for producer in producers {
        producer.await;
    }
}

async fn timed(each: usize, work: impl AsyncFnOnce()) -> Pass {
    let (before, begun) = (Ticks::now(), Instant::now());
    work().await;
    Pass {
        value: (PRODUCERS * each) as f64 / begun.elapsed().as_secs_f64(),
        latencies: None,
        ticks: Ticks::now().since(&before),
    }
}
