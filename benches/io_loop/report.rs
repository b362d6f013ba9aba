//! What was measured, and how it is told: percentiles over all rounds, and ratios of pairs of the same round.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// What is echoed, and whether the server spins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub bytes: usize,
    pub busy: bool,
}

impl Case {
    pub fn all() -> [Case; 4] {
        [(128, true), (128, false), (4096, true), (4096, false)].map(|(bytes, busy)| Case { bytes, busy })
    }

    fn name(self) -> String {
        format!("{:>4} B {}", self.bytes, profile(self.busy))
    }
}

fn profile(busy: bool) -> &'static str {
    if busy { "busy" } else { "park" }
}

/// Who echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    Raw,
    Ours,
    Thread,
    RawAgain,
}

impl Variant {
    pub const ALL: [Variant; 4] = [Variant::Raw, Variant::Ours, Variant::Thread, Variant::RawAgain];

    fn name(self) -> &'static str {
        match self {
            Variant::Raw => "raw",
            Variant::Ours => "ours",
            Variant::Thread => "thread",
            Variant::RawAgain => "raw again",
        }
    }
}

#[derive(Default)]
pub struct Results {
    /// One histogram for each round.
    echoes: BTreeMap<(Case, Variant), Vec<Histogram<u64>>>,
    mailboxes: BTreeMap<bool, Vec<Histogram<u64>>>,
}

impl Results {
    pub fn echo(&mut self, round: usize, case: Case, variant: Variant, latencies: Histogram<u64>) {
        let rounds = self.echoes.entry((case, variant)).or_default();
        assert_eq!(rounds.len(), round, "each round measures each variant once");
        rounds.push(latencies);
    }

    pub fn mailbox(&mut self, busy: bool, latencies: Histogram<u64>) {
        self.mailboxes.entry(busy).or_default().push(latencies);
    }

    pub fn print(&self) {
        println!(
            "{:<26} {:>9} {:>9} {:>9}   (µs, all rounds)",
            "echo", "p50", "p99", "p99.9"
        );
        for ((case, variant), rounds) in &self.echoes {
            println!(
                "{:<26} {}",
                format!("{} {}", case.name(), variant.name()),
                percentiles(rounds)
            );
        }
        println!();
        println!("{:<32} {:>22} {:>22}", "ratio, median (min..max)", "p50", "p99.9");
        for case in Case::all() {
            for over in [Variant::Ours, Variant::Thread, Variant::RawAgain] {
                let (over_rounds, raw_rounds) =
                    (&self.echoes[&(case, over)], &self.echoes[&(case, Variant::Raw)]);
                println!(
                    "{:<32} {:>22} {:>22}",
                    format!("{} {} / raw", case.name(), over.name()),
                    ratios(over_rounds, raw_rounds, 0.5),
                    ratios(over_rounds, raw_rounds, 0.999)
                );
            }
        }
        println!();
        println!(
            "{:<26} {:>9} {:>9} {:>9}   (µs, all rounds)",
            "mailbox, two hops", "p50", "p99", "p99.9"
        );
        for (&busy, rounds) in self.mailboxes.iter().rev() {
            println!("{:<26} {}", profile(busy), percentiles(rounds));
        }
        println!();
    }
}

fn percentiles(rounds: &[Histogram<u64>]) -> String {
    let mut all = Histogram::<u64>::new(3).unwrap();
    for round in rounds {
        all.add(round).unwrap();
    }
    let us = |quantile| all.value_at_quantile(quantile) as f64 / 1_000.0;
    format!("{:>9.2} {:>9.2} {:>9.2}", us(0.5), us(0.99), us(0.999))
}

/// The ratios of the rounds' pairs: their median, least and greatest.
fn ratios(over: &[Histogram<u64>], under: &[Histogram<u64>], quantile: f64) -> String {
    let pair = |(over, under): (&Histogram<u64>, &Histogram<u64>)| {
        over.value_at_quantile(quantile) as f64 / under.value_at_quantile(quantile).max(1) as f64
    };
    let mut ratios: Vec<f64> = over.iter().zip(under).map(pair).collect();
    ratios.sort_by(f64::total_cmp);
    match ratios.as_slice() {
        [] => "-".into(),
        [least, ..] => {
            let (median, most) = (ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
            format!("{median:.3} ({least:.3}..{most:.3})")
        }
    }
}
