//! When each record of a recording is due: the recorded gaps, cut to a cap, divided by the speed.
//!
//! Pure: it is handed the recorded times and answers how long after the start a record is to be sent.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// This many times as fast as it was recorded; positive and finite.
    Times(f64),
    /// As fast as the broker takes it; the recorded times don't matter.
    Max,
    /// One record at a time, evenly, this many a second; positive and finite.
    PerSecond(f64),
}

impl FromStr for Speed {
    type Err = String;

    /// `max`, a factor (`1`, `2.5`, `10x`), or a rate (`5000/s`).
    fn from_str(text: &str) -> Result<Speed, String> {
        let positive = |number: &str| match number.parse::<f64>() {
            Ok(n) if n.is_finite() && n > 0.0 => Ok(n),
            _ => Err(String::from(
                "expected max, a factor like 1 or 2.5, or a rate like 5000/s",
            )),
        };
        if text == "max" {
            Ok(Speed::Max)
        } else if let Some(rate) = text.strip_suffix("/s") {
            positive(rate).map(Speed::PerSecond)
        } else {
            positive(text.strip_suffix('x').unwrap_or(text)).map(Speed::Times)
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Speed::Times(factor) => write!(f, "{factor}"),
            Speed::Max => f.write_str("max"),
            Speed::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

/// The schedule of one replay.
#[derive(Debug)]
pub struct Pacer {
    speed: Speed,
    gap_max: Option<Duration>,
    last_recorded_ns: Option<u64>,
    /// Due time of the last record, after the start, in recorded time (not yet divided by the speed).
    elapsed: Duration,
    records: u64,
}

impl Pacer {
    /// A schedule at `speed` in which no recorded gap counts for more than `gap_max` (`None`: no cap).
    pub fn new(speed: Speed, gap_max: Option<Duration>) -> Pacer {
        Pacer {
            speed,
            gap_max,
            last_recorded_ns: None,
            elapsed: Duration::ZERO,
            records: 0,
        }
    }

    /// When the next record is due, counted from the start of the replay; `None`: at once.
    ///
    /// `recorded_ns` is when the feed had it, in nanoseconds since the Unix epoch. A record without a time, or
    /// with one before its predecessor's (an opening snapshot does that), follows its predecessor at once. The
    /// gap after such a step back counts from the earlier time: it was really there in the recording.
    pub fn due(&mut self, recorded_ns: Option<u64>) -> Option<Duration> {
        let position = self.records;
        self.records += 1;
        match self.speed {
            Speed::Max => None,
            Speed::PerSecond(rate) => Some(saturating_secs(position as f64 / rate)),
            Speed::Times(factor) => {
                self.elapsed = self.elapsed.saturating_add(self.gap(recorded_ns));
                Some(saturating_secs(self.elapsed.as_secs_f64() / factor))
            }
        }
    }

    fn gap(&mut self, recorded_ns: Option<u64>) -> Duration {
        let Some(now) = recorded_ns else {
            return Duration::ZERO;
        };
        let last = self.last_recorded_ns.replace(now).unwrap_or(now);
        let gap = Duration::from_nanos(now.saturating_sub(last));
        self.gap_max.map_or(gap, |cap| gap.min(cap))
    }
}

fn saturating_secs(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn schedule(speed: Speed, gap_max_ms: Option<u64>, recorded_ms: &[Option<u64>]) -> Vec<Option<u64>> {
        let mut pacer = Pacer::new(speed, gap_max_ms.map(Duration::from_millis));
        recorded_ms
            .iter()
            .map(|ms| pacer.due(ms.map(|ms| ms * MS)).map(|due| due.as_micros() as u64))
            .collect()
    }

    #[test]
    fn gaps_are_kept_below_the_cap_and_cut_to_it_above() {
        let recorded = [
            Some(1000),
            Some(1003),
            Some(1008),
            Some(1014),
            Some(9000),
            Some(9001),
        ];
        let due = schedule(Speed::Times(1.0), Some(5), &recorded);
        assert_eq!(due, [0, 3000, 8000, 13000, 18000, 19000].map(Some));
    }

    #[test]
    fn the_cap_applies_before_the_speed() {
        let recorded = [Some(0), Some(4), Some(104)];
        assert_eq!(
            schedule(Speed::Times(2.0), Some(10), &recorded),
            [0, 2000, 7000].map(Some)
        );
        assert_eq!(
            schedule(Speed::Times(0.5), Some(10), &recorded),
            [0, 8000, 28000].map(Some)
        );
    }

    #[test]
    fn without_a_cap_every_gap_counts() {
        assert_eq!(
            schedule(Speed::Times(1.0), None, &[Some(5), Some(86_405)]),
            [0, 86_400_000].map(Some)
        );
    }

    #[test]
    fn missing_times_and_steps_back_make_no_gap() {
        let recorded = [Some(100), Some(40), None, Some(43)];
        assert_eq!(
            schedule(Speed::Times(1.0), Some(5), &recorded),
            [0, 0, 0, 3000].map(Some)
        );
    }

    #[test]
    fn max_sends_at_once_and_a_rate_spaces_evenly() {
        assert_eq!(schedule(Speed::Max, Some(5), &[Some(0), Some(9)]), [None, None]);
        let even = schedule(Speed::PerSecond(1000.0), None, &[None, None, Some(1)]);
        assert_eq!(even, [0, 1000, 2000].map(Some));
    }

    #[test]
    fn long_schedules_do_not_drift() {
        let mut pacer = Pacer::new(Speed::Times(3.0), None);
        let mut last = None;
        for n in 0..1_000_001u64 {
            last = pacer.due(Some(n * 1000));
        }
        let error = last.unwrap().as_secs_f64() - 1.0 / 3.0;
        assert!(error.abs() < 1e-7, "{error}");
    }

    #[test]
    fn speeds_are_read_as_written() {
        let table = [
            ("max", Speed::Max),
            ("1", Speed::Times(1.0)),
            ("2.5", Speed::Times(2.5)),
            ("10x", Speed::Times(10.0)),
            ("5000/s", Speed::PerSecond(5000.0)),
        ];
        for (text, speed) in table {
            assert_eq!(text.parse(), Ok(speed), "{text}");
        }
        for text in ["", "0", "-1", "fast", "inf", "NaN", "/s", "x", "0/s"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
