//! The machine: pinning, and what its CPUs did meanwhile.

use std::fs;

/// Binds the calling thread to `cpu`.
pub fn pin_to(cpu: usize) {
    // SAFETY: an all-zero set is the empty set, and the calls get its size.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    assert_eq!(result, 0, "this process may not run on CPU {cpu}");
}

/// One reading of /proc/stat: for each CPU the ticks in total, idle, and stolen by the hypervisor.
pub struct Cpus(Vec<[u64; 3]>);

impl Cpus {
    pub fn read() -> Cpus {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let rows = text
            .lines()
            .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
        let row = |line: &str| {
            let ticks: Vec<u64> = line
                .split_whitespace()
                .skip(1)
                .take(8)
                .flat_map(str::parse)
                .collect();
            let idle = ticks.get(3).unwrap_or(&0) + ticks.get(4).unwrap_or(&0);
            [ticks.iter().sum(), idle, *ticks.get(7).unwrap_or(&0)]
        };
        Cpus(rows.map(row).collect())
    }
}

/// How busy `cpus` were between two readings, and how much of their time the hypervisor took.
pub fn print(before: &Cpus, after: &Cpus, cpus: [usize; 2]) {
    for (cpu, role) in cpus.into_iter().zip(["server", "client"]) {
        let (Some(before), Some(after)) = (before.0.get(cpu), after.0.get(cpu)) else {
            continue;
        };
        let total = (after[0] - before[0]).max(1) as f64;
        let idle = (after[1] - before[1]) as f64;
        let steal = (after[2] - before[2]) as f64;
        println!(
            "CPU {cpu} ({role}): busy {:.1} %, stolen {:.2} %",
            100.0 * (1.0 - idle / total),
            100.0 * steal / total
        );
    }
}
