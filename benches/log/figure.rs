//! A figure: what several variants came to in interleaved rounds, and how it is told.

use hdrhistogram::Histogram;

use crate::host::Ticks;

/// A percentile counts with so many samples above it.
const SAMPLES_ABOVE_MIN: u64 = 100;

/// What one variant came to in one round.
pub struct Pass {
    /// In the figure's unit.
    pub value: f64,
    /// Of single operations, in nanoseconds, where they were taken.
    pub latencies: Option<Histogram<u64>>,
    /// What the CPUs did meanwhile.
    pub ticks: Ticks,
}

/// See the module.
pub struct Figure {
    title: String,
    unit: &'static str,
    /// The floor first.
    variants: Vec<(&'static str, Vec<Pass>)>,
}

impl Figure {
    /// Measures each variant once in every round. The order turns, so that no variant is always the first after a pause.
    pub fn take(
        title: String,
        unit: &'static str,
        variants: &[&'static str],
        rounds: usize,
        mut pass: impl FnMut(&'static str) -> Pass,
    ) -> Figure {
        let mut figure = Figure {
            title,
            unit,
            variants: variants.iter().map(|name| (*name, Vec::new())).collect(),
        };
        for round in 0..rounds {
            for step in 0..variants.len() {
                let (name, passes) = &mut figure.variants[(round + step) % variants.len()];
                passes.push(pass(name));
            }
        }
        figure
    }

    /// Prints what every variant came to, and what each is to the floor. `bytes` of one operation turn microseconds into GB/s too.
    pub fn print(&self, bytes: Option<usize>) {
        println!("\n{}, {}", self.title, self.unit);
        for (name, passes) in &self.variants {
            let values = Spread::of(passes.iter().map(|pass| pass.value));
            let rate = bytes.map_or(String::new(), |bytes| {
                format!("  {:6.3} GB/s", bytes as f64 / values.median / 1e3)
            });
            let mut ticks = Ticks::default();
            passes.iter().for_each(|pass| ticks += &pass.ticks);
            println!("  {name:<32} {}{rate}  {}", values.shown(), ticks.shown());
        }
        let (floor_name, floor) = &self.variants[0];
        for (name, passes) in &self.variants[1..] {
            let pairs = passes.iter().zip(floor);
            let ratios = Spread::of(pairs.map(|(pass, floor)| pass.value / floor.value));
            println!("  {:<48} {}", format!("{name} / {floor_name}"), ratios.shown());
        }
    }

    /// Prints percentiles of single operations: of all rounds together, and the ratios of the rounds' own.
    pub fn print_percentiles(&self) {
        for (label, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            for (name, passes) in &self.variants {
                println!("  {label} {name:<28} {}", self.percentile(passes, quantile));
            }
        }
    }

    fn percentile(&self, passes: &[Pass], quantile: f64) -> String {
        let (floor_name, floor) = &self.variants[0];
        let all = merged(passes);
        let latency = at(&all, quantile);
        let together = latency / at(&merged(floor), quantile);
        let own = |pass: &Pass| pass.latencies.as_ref().map_or(f64::NAN, |own| at(own, quantile));
        let rounds = Spread::of(
            passes
                .iter()
                .zip(floor)
                .map(|(pass, floor)| own(pass) / own(floor)),
        );
        let above = (all.len() as f64 * (1.0 - quantile)) as u64;
        let doubt = match above >= SAMPLES_ABOVE_MIN {
            true => String::new(),
            false => format!("  (only {above} samples above it)"),
        };
        format!(
            "{:9.1} us  / {floor_name}: all together {together:5.2}, rounds {}{doubt}",
            latency / 1e3,
            rounds.shown()
        )
    }
}

fn merged(passes: &[Pass]) -> Histogram<u64> {
    let mut all = histogram();
    for latencies in passes.iter().filter_map(|pass| pass.latencies.as_ref()) {
        all.add(latencies).expect("of the same bounds");
    }
    all
}

fn at(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile).max(1) as f64
}

/// For nanoseconds up to a minute, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("good bounds")
}

/// The median of some values, with the least and the most.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |n: usize| values.get(n).copied().unwrap_or(f64::NAN);
        Spread {
            median: at(values.len() / 2),
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }

    fn shown(&self) -> String {
        format!("{:9.3} ({:.3}..{:.3})", self.median, self.least, self.most)
    }
}
