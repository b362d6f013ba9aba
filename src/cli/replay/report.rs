//! What a replay has done so far: counts and acknowledgement latency.

use std::cell::RefCell;
use std::fmt::Write;
use std::io::IsTerminal;
use std::rc::Rc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::base::Instant;
use crate::client::Delivery;
use crate::io;

/// The longest latency told apart, in ns: longer than any delivery timeout anyone waits for.
const LATENCY_MAX_NS: u64 = 3_600_000_000_000;
/// How often progress is shown on a terminal, and how often in a file, where each time is a line.
const SHOW_EVERY: Duration = Duration::from_secs(1);
const SHOW_EVERY_LINES: u32 = 5;

/// The counts of one replay.
pub struct Report {
    started: Instant,
    sent: u64,
    acknowledged: u64,
    /// From the time a record was due to its acknowledgement, in ns.
    latency: Histogram<u64>,
    has_acks: bool,
    finished: bool,
    /// When progress was last shown, and what was acknowledged then.
    shown: (Instant, u64),
}

impl Report {
    /// Counts from zero. `has_acks`: whether acknowledgements mean anything.
    pub fn new(now: Instant, has_acks: bool) -> Report {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("the bounds are valid");
        Report {
            started: now,
            sent: 0,
            acknowledged: 0,
            latency,
            has_acks,
            finished: false,
            shown: (now, 0),
        }
    }

    /// The first record is about to be sent.
    pub fn start(&mut self, now: Instant) {
        self.started = now;
        self.shown = (now, 0);
    }

    /// A record was handed to the producer.
    pub fn send(&mut self) {
        self.sent += 1;
    }

    /// A batch was acknowledged.
    pub fn acknowledge(&mut self, delivery: &Delivery<'_>) {
        self.acknowledged += delivery.due.len() as u64;
        for due in delivery.due {
            let latency = delivery.at.since(*due).as_nanos();
            self.latency
                .saturating_record(u64::try_from(latency).unwrap_or(u64::MAX).max(1));
        }
    }

    /// No more progress is shown.
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The counts, and the rate since they were last asked for.
    fn progress(&mut self, now: Instant) -> String {
        let (then, acknowledged) = std::mem::replace(&mut self.shown, (now, self.acknowledged));
        let rate = (self.acknowledged - acknowledged) as f64 / now.since(then).as_secs_f64().max(0.001);
        format!(
            "{} sent, {} acknowledged, {}/s",
            grouped(self.sent),
            grouped(self.acknowledged),
            grouped(rate as u64)
        )
    }

    /// The final counts, as lines.
    pub fn summary(&self, now: Instant) -> String {
        let seconds = now.since(self.started).as_secs_f64();
        let rate = self.acknowledged as f64 / seconds.max(0.001);
        let mut text = format!(
            "{} records sent, {} acknowledged in {seconds:.3} s ({}/s)\n",
            grouped(self.sent),
            grouped(self.acknowledged),
            grouped(rate as u64)
        );
        if self.has_acks && !self.latency.is_empty() {
            text += "ack latency:";
            for (name, percentile) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)] {
                let value = micros(self.latency.value_at_percentile(percentile));
                write!(text, " {name} {value} us,").expect("a string takes everything");
            }
            writeln!(text, " max {} us", micros(self.latency.max())).expect("a string takes everything");
        }
        text
    }
}

/// Shows progress on standard error until the report is finished.
pub async fn show_progress(report: Rc<RefCell<Report>>) {
    let terminal = std::io::stderr().is_terminal();
    let every = if terminal {
        SHOW_EVERY
    } else {
        SHOW_EVERY * SHOW_EVERY_LINES
    };
    loop {
        io::sleep(every).await;
        let mut report = report.borrow_mut();
        if report.finished {
            return;
        }
        match terminal {
            // Back to the line's start and clear it: the next one, or the summary, takes its place.
            true => eprint!("{}\x1b[K\r", report.progress(io::now())),
            false => eprintln!("{}", report.progress(io::now())),
        }
    }
}

fn micros(nanos: u64) -> String {
    format!("{:.1}", nanos as f64 / 1e3)
}

/// Digits in groups of three: 1,234,567.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Offset, PartitionIndex};

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (68_792, "68,792"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn latency_counts_from_when_a_record_was_due() {
        let at = |ms: u64| Instant(ms * 1_000_000);
        let mut report = Report::new(at(0), true);
        report.send();
        report.send();
        let (topic, partition, base_offset) = ("t", PartitionIndex(0), Offset(0));
        report.acknowledge(&Delivery {
            topic,
            partition,
            base_offset,
            due: &[at(1), at(9)],
            at: at(10),
        });
        let summary = report.summary(at(2000));
        assert!(
            summary.starts_with("2 records sent, 2 acknowledged in 2.000 s (1/s)\n"),
            "{summary}"
        );
        let (_, max) = summary.split_once("max ").unwrap();
        assert!(max.starts_with("900") || max.starts_with("899"), "{summary}");
    }
}
