//! How option values are written: durations, pairs, where to begin.

use std::str::FromStr;
use std::time::Duration;

use crate::base::{Offset, Timestamp};

/// Reads `5ms`, `2s`, `250us`, `100ns`, `3m`, or `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let expected = || String::from("expected a duration like 5ms, 2s, 250us or 1m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(expected)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| expected())?;
    let nanos_per_unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        _ => return Err(expected()),
    };
    number
        .checked_mul(nanos_per_unit)
        .map(Duration::from_nanos)
        .ok_or_else(expected)
}

/// `NAME=VALUE`; the value may be empty and may itself hold `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// What stands before the first `=`; not empty.
    pub name: String,
    /// What stands after it.
    pub value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Pair, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Pair {
                name: name.into(),
                value: value.into(),
            }),
            _ => Err(String::from("expected NAME=VALUE")),
        }
    }
}

/// Where a reader begins in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record kept.
    Earliest,
    /// After the newest.
    Latest,
    /// This offset.
    At(Offset),
    /// The first record with this timestamp or a later one.
    Time(Timestamp),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Start, String> {
        let number = |digits: &str| match digits.parse::<i64>() {
            Ok(n) if n >= 0 => Ok(n),
            _ => Err(String::from(
                "expected earliest, latest, an offset, or @ and milliseconds since 1970",
            )),
        };
        match text {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            _ => match text.strip_prefix('@') {
                Some(ms) => Ok(Start::Time(Timestamp(number(ms)?))),
                None => Ok(Start::At(Offset(number(text)?))),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let table = [
            ("0", Duration::ZERO),
            ("5ms", Duration::from_millis(5)),
            ("2s", Duration::from_secs(2)),
            ("250us", Duration::from_micros(250)),
            ("7ns", Duration::from_nanos(7)),
            ("3m", Duration::from_secs(180)),
        ];
        for (text, expected) in table {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "ms",
            "-5ms",
            "1.5s",
            "5 ms",
            "99999999999999999999s",
            "9999999999999m",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs() {
        let pair = |name: &str, value: &str| {
            Ok(Pair {
                name: name.into(),
                value: value.into(),
            })
        };
        assert_eq!("a=b".parse(), pair("a", "b"));
        assert_eq!("a=b=c".parse(), pair("a", "b=c"));
        assert_eq!("a=".parse(), pair("a", ""));
        assert!("=b".parse::<Pair>().is_err());
        assert!("ab".parse::<Pair>().is_err());
    }

    #[test]
    fn starts() {
        assert_eq!("earliest".parse(), Ok(Start::Earliest));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        assert_eq!("42".parse(), Ok(Start::At(Offset(42))));
        assert_eq!(
            "@1703462400000".parse(),
            Ok(Start::Time(Timestamp(1_703_462_400_000)))
        );
        for text in ["", "-1", "@", "@x", "newest", "1.5"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
