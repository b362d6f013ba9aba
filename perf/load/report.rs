//! A run's figures, for people and for scripts.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::json;

use super::Args;
use super::run::RunResult;

/// The percentiles reported, with their JSON names.
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The figures as lines of text.
pub fn table(args: &Args, result: &RunResult) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| {
        text.write_fmt(args).expect("a string takes everything");
        text.push('\n');
    };
    line(format_args!(
        "{} messages/s x {} B for {} s, {}: {:.0}/s arrived, {} lost",
        args.rate,
        args.size,
        args.seconds,
        if args.park { "parking" } else { "spinning" },
        rate(result),
        result.lost
    ));
    for (name, histogram) in [
        ("delivered", &result.delivered),
        ("acknowledged", &result.acknowledged),
        ("send delay", &result.send_delay),
    ] {
        line(format_args!(
            "{name:>12}: p50 {:>9.1} us   p99 {:>9.1} us   p99.9 {:>9.1} us   max {:>9.1} us",
            micros(histogram, 50.0),
            micros(histogram, 99.0),
            micros(histogram, 99.9),
            histogram.max() as f64 / 1e3
        ));
    }
    for (cpu, busy, steal) in &result.usage.cpus {
        line(format_args!(
            "{:>12}: busy {:>5.1} %   stolen {:.2} %",
            format!("CPU {cpu}"),
            busy * 100.0,
            steal * 100.0
        ));
    }
    if let Some(broker) = result.usage.broker {
        line(format_args!(
            "{:>12}: {:.2} s of CPU",
            "broker",
            broker.as_secs_f64()
        ));
    }
    text
}

/// The same as one line of JSON. Times in microseconds, shares from 0 to 1.
pub fn json_line(args: &Args, result: &RunResult) -> String {
    let cpus =
        result.usage.cpus.iter().map(
            |(cpu, busy, steal)| json!({ "cpu": cpu, "busy": round(*busy, 4), "steal": round(*steal, 4) }),
        );
    json!({
        "label": args.label,
        "rate": args.rate,
        "size": args.size,
        "seconds": args.seconds,
        "acks": args.acks,
        "park": args.park,
        "first": args.first,
        "sent": result.sent,
        "arrived": result.arrived,
        "lost": result.lost,
        "arrived_per_s": round(rate(result), 1),
        "delivered_us": percentiles(&result.delivered),
        "delivered_counts": counts(&result.delivered),
        "acknowledged_us": percentiles(&result.acknowledged),
        "send_delay_us": percentiles(&result.send_delay),
        "cpus": cpus.collect::<Vec<_>>(),
        "broker_cpu_s": result.usage.broker.map(|time| time.as_secs_f64()),
        "own_cpu_s": result.usage.own.as_secs_f64(),
    })
    .to_string()
}

/// Messages a second that arrived while measuring.
fn rate(result: &RunResult) -> f64 {
    let seconds = result.arriving.as_secs_f64();
    if seconds > 0.0 {
        result.delivered.len() as f64 / seconds
    } else {
        0.0
    }
}

fn percentiles(histogram: &Histogram<u64>) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    for (name, percentile) in PERCENTILES {
        object.insert(name.into(), json!(round(micros(histogram, percentile), 1)));
    }
    object.insert("max".into(), json!(round(histogram.max() as f64 / 1e3, 1)));
    object.into()
}

/// `[nanoseconds, messages]` of each value that occurred, so that runs can be pooled.
fn counts(histogram: &Histogram<u64>) -> Vec<[u64; 2]> {
    let recorded = histogram.iter_recorded();
    recorded
        .map(|step| [step.value_iterated_to(), step.count_at_value()])
        .collect()
}

fn micros(histogram: &Histogram<u64>, percentile: f64) -> f64 {
    histogram.value_at_percentile(percentile) as f64 / 1e3
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}
