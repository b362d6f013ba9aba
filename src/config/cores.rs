//! `ringlog.cores`: which CPUs run a shard.

use std::collections::BTreeSet;

/// How a message says what `ringlog.cores` takes.
pub(super) const EXPECTED: &str =
    "`all`, a count such as 4, or a list of CPU numbers such as 0-3,8 (one CPU: 8-8)";

/// The largest CPU number that can be named: Linux's own limit (NR_CPUS) is 8192.
const CPU_NUMBER_MAX: usize = 8191;

/// Which CPUs run a shard, as the user said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// Every CPU that the process may use.
    All,
    /// The first so many of them; at least 1.
    Count(usize),
    /// Exactly these, in rising order, never empty.
    List(Vec<usize>),
}

impl Cores {
    /// Reads the setting's value; `None` when it isn't one.
    pub(super) fn parse(value: &str) -> Option<Cores> {
        if value == "all" {
            return Some(Cores::All);
        }
        if let Ok(count) = value.parse::<usize>() {
            return (1..=CPU_NUMBER_MAX + 1)
                .contains(&count)
                .then_some(Cores::Count(count));
        }
        let mut cpus = BTreeSet::new();
        for part in value.split(',').map(str::trim) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
            if first > last || last > CPU_NUMBER_MAX {
                return None;
            }
            cpus.extend(first..=last);
        }
        Some(Cores::List(cpus.into_iter().collect()))
    }

    /// The CPUs to run on, given those that the process may use (rising). The error names what is missing.
    pub fn choose(&self, allowed: &[usize]) -> Result<Vec<usize>, String> {
        match self {
            Cores::All => Ok(allowed.to_vec()),
            Cores::Count(count) if *count <= allowed.len() => Ok(allowed[..*count].to_vec()),
            Cores::Count(count) => Err(format!(
                "ringlog.cores = {count}, but this process may use only {} CPUs",
                allowed.len()
            )),
            Cores::List(cpus) => match cpus.iter().find(|cpu| !allowed.contains(cpu)) {
                None => Ok(cpus.clone()),
                Some(cpu) => Err(format!(
                    "ringlog.cores names CPU {cpu}, which this process may not use"
                )),
            },
        }
    }
}

/// Whether the setting's value can be read.
pub(super) fn is_valid(value: &str) -> bool {
    Cores::parse(value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_counts_and_lists() {
        let table = [
            ("all", Some(Cores::All)),
            ("1", Some(Cores::Count(1))),
            ("0", None),
            ("8193", None),
            ("0-3,8", Some(Cores::List(vec![0, 1, 2, 3, 8]))),
            ("8, 1,1-2", Some(Cores::List(vec![1, 2, 8]))),
            ("8-8", Some(Cores::List(vec![8]))),
            ("3-1", None),
            ("0-9999999999", None),
            ("", None),
            ("-1", None),
            ("a", None),
            ("1,,2", None),
        ];
        for (value, expected) in table {
            assert_eq!(Cores::parse(value), expected, "{value:?}");
        }
    }

    #[test]
    fn chooses_among_the_allowed_cpus_or_says_what_is_missing() {
        let allowed = [2, 3, 7];
        assert_eq!(Cores::All.choose(&allowed), Ok(vec![2, 3, 7]));
        assert_eq!(Cores::Count(2).choose(&allowed), Ok(vec![2, 3]));
        assert_eq!(Cores::List(vec![3, 7]).choose(&allowed), Ok(vec![3, 7]));
        assert!(
            Cores::Count(4)
                .choose(&allowed)
                .unwrap_err()
                .contains("only 3 CPUs")
        );
        assert!(
            Cores::List(vec![3, 4])
                .choose(&allowed)
                .unwrap_err()
                .contains("CPU 4")
        );
    }
}
