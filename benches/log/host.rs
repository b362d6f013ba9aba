//! What the machine's CPUs did while something was measured, to 10 ms: over all rounds of a figure that is enough.

use std::fs;
use std::ops::AddAssign;

/// One reading of /proc/stat: for each CPU its ticks in total, idle, and stolen by the hypervisor (proc_stat(5)).
#[derive(Clone, Debug, Default)]
pub struct Ticks(Vec<[u64; 3]>);

impl Ticks {
    /// The counters now.
    pub fn now() -> Ticks {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let of_one = |line: &&str| line.starts_with("cpu") && !line.starts_with("cpu ");
        let row = |line: &str| {
            let words = line.split_whitespace().skip(1).take(8);
            let ticks: Vec<u64> = words.flat_map(str::parse).collect();
            let at = |n: usize| ticks.get(n).copied().unwrap_or(0);
            [ticks.iter().sum(), at(3) + at(4), at(7)]
        };
        Ticks(text.lines().filter(of_one).map(row).collect())
    }

    /// What has passed since `before`.
    pub fn since(&self, before: &Ticks) -> Ticks {
        let passed = |(now, then): (&[u64; 3], &[u64; 3])| [0, 1, 2].map(|n| now[n].saturating_sub(then[n]));
        Ticks(self.0.iter().zip(&before.0).map(passed).collect())
    }

    /// How busy each CPU was, and how much of its time was stolen.
    pub fn shown(&self) -> String {
        let share = |part: u64, row: &[u64; 3]| 100.0 * part as f64 / row[0].max(1) as f64;
        let all = |of: &dyn Fn(&[u64; 3]) -> String| self.0.iter().map(of).collect::<Vec<_>>().join(" ");
        let busy = all(&|row| format!("{:.0}", share(row[0] - row[1] - row[2], row)));
        let stolen = all(&|row| format!("{:.2}", share(row[2], row)));
        format!("CPUs busy {busy} %, stolen {stolen} %")
    }
}

impl AddAssign<&Ticks> for Ticks {
    fn add_assign(&mut self, other: &Ticks) {
        if self.0.is_empty() {
            self.0.resize(other.0.len(), [0; 3]);
        }
        for (sum, part) in self.0.iter_mut().zip(&other.0) {
            (0..3).for_each(|n| sum[n] += part[n]);
        }
    }
}
