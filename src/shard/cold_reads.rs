//! Reads behind the tail: a few workers per core, so that a miss waits for the disk and nobody else does.
//!
//! What was read counts against the core's backfill budget until it was sent. Beyond the budget every read still goes on, a
//! small piece at a time: readers that don't read their answers take the memory, not the service, from the others.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::io;
use crate::io::local::{Sender, oneshot};
use crate::log::ReadPlan;

/// Reads under way at once on one core.
const WORKERS: usize = 8;

/// Bytes of one core that were read from files and not sent yet, before reads become small.
const BACKFILL_BYTES_MAX: usize = 32 << 20;
/// What one request may read from files while the budget lasts.
const READ_BYTES_MAX: usize = 2 << 20;
/// And beyond it.
const READ_BYTES_BEYOND: usize = 64 << 10;

/// One read and who gets its outcome.
struct Job {
    plan: ReadPlan,
    done: Sender<std::io::Result<Bytes>>,
}

/// The line of jobs of one core.
#[derive(Default)]
pub struct ColdReads {
    line: RefCell<Line>,
    /// Bytes read and not sent. Answers may be sent, and dropped, on another core.
    unsent_bytes: Arc<AtomicUsize>,
}

/// What was read, as long as someone holds it.
struct Unsent {
    bytes: Bytes,
    all: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for Unsent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
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

    /// How many bytes one request may read now.
    pub fn allowance(&self) -> usize {
        if self.unsent_bytes.load(Ordering::Relaxed) < BACKFILL_BYTES_MAX {
            READ_BYTES_MAX
        } else {
            READ_BYTES_BEYOND
        }
    }

    /// Reads as planned, after the jobs that came before.
    pub async fn read(&self, plan: ReadPlan) -> std::io::Result<Bytes> {
        let (sender, receiver) = oneshot();
        self.submit(Job { plan, done: sender });
        receiver
            .await
            .unwrap_or_else(|| Err(std::io::ErrorKind::Interrupted.into()))
    }

    /// The line is never longer than the requests that may be outstanding: one of each connection here, and the credits of
    /// the other cores.
    fn submit(&self, job: Job) {
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
            if job.done.is_closed() {
                continue;
            }
            let outcome = job.plan.run().await.map(|bytes| self.unsent(bytes));
            let _ = job.done.send(outcome);
        }
    }

    /// Counts `bytes` until they are dropped.
    fn unsent(&self, bytes: Bytes) -> Bytes {
        self.unsent_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Unsent {
            bytes,
            all: self.unsent_bytes.clone(),
        })
    }

    async fn next_job(&self) -> Job {
        let (sender, receiver) = oneshot();
        self.line.borrow_mut().idle.push(sender);
        receiver
            .await
            .expect("the line keeps every idle worker's sender until it sends")
    }
}
