//! Reads behind the tail: a few workers per core, so that a miss waits for the disk and nobody else does.
//!
//! Jobs wait in a bounded line; who finds it full waits outside, on its own connection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;

use crate::io;
use crate::io::local::{Sender, oneshot};
use crate::log::ReadPlan;

/// Reads under way at once on one core: with 1 MiB a partition, 8 MiB of buffers.
const WORKERS: usize = 8;

/// Gets the outcome of a cold read.
pub type ReadDone = Box<dyn FnOnce(std::io::Result<Bytes>)>;

/// One read and who gets its outcome.
struct Job {
    plan: ReadPlan,
    done: ReadDone,
}

/// The line of jobs of one core.
#[derive(Default)]
pub struct ColdReads {
    line: RefCell<Line>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    idle: Vec<Sender<Job>>,
}

impl ColdReads {
    /// Starts the workers of this core.
    pub fn start() -> Rc<ColdReads> {
        let reads = Rc::new(ColdReads::default());
        for _ in 0..WORKERS {
            io::spawn(reads.clone().work());
        }
        reads
    }

    /// Reads as planned, after the jobs that came before.
    pub async fn read(&self, plan: ReadPlan) -> std::io::Result<Bytes> {
        let (sender, receiver) = oneshot();
        let done = move |outcome| {
            let _ = sender.send(outcome);
        };
        self.submit(plan, Box::new(done));
        receiver
            .await
            .unwrap_or_else(|| Err(std::io::ErrorKind::Interrupted.into()))
    }

    /// The same for who cannot wait: `done` is called with the outcome. The line is never longer than the
    /// requests that may be outstanding: in flight on connections here, and credits of the other cores.
    pub fn submit(&self, plan: ReadPlan, done: ReadDone) {
        let job = Job { plan, done };
        let mut line = self.line.borrow_mut();
        match line.idle.pop() {
            Some(worker) => {
                let _ = worker.send(job);
            }
            None => line.jobs.push_back(job),
        }
    }

    async fn work(self: Rc<Self>) {
        loop {
            let job = self.line.borrow_mut().jobs.pop_front();
            let job = match job {
                Some(job) => job,
                None => self.next_job().await,
            };
            (job.done)(job.plan.run().await);
        }
    }

    async fn next_job(&self) -> Job {
        let (sender, receiver) = oneshot();
        self.line.borrow_mut().idle.push(sender);
        receiver
            .await
            .expect("the line keeps every idle worker's sender until it sends")
    }
}
