//! What the host looked like: CPU pinning, and `/proc`'s counters of CPU time and steal.

use std::time::Duration;

/// Binds the calling thread to one CPU.
pub fn pin(cpu: usize) -> Result<(), String> {
    // SAFETY: the set is a plain bit field that lives through the call, and `cpu` is checked against its size.
    let done = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if cpu >= 8 * size_of::<libc::cpu_set_t>() {
            return Err(format!("there is no CPU {cpu}"));
        }
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) == 0
    };
    if done {
        Ok(())
    } else {
        Err(format!(
            "cannot run on CPU {cpu}: {}",
            std::io::Error::last_os_error()
        ))
    }
}

/// Makes the thread's timed sleeps exact to about a microsecond instead of Linux's default of 50.
pub fn exact_timers() {
    // SAFETY: a call without pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
}

/// Lets every other thread of this CPU go first, at once (sched(7), SCHED_IDLE).
pub fn stand_back() -> Result<(), String> {
    schedule(libc::SCHED_IDLE, 0).map_err(|error| format!("cannot stand back: {error}"))
}

/// Lets this thread go before every other of its CPU, at once (sched(7), SCHED_FIFO at the lowest of its priorities). One that never
/// sleeps would be stopped for 50 ms of each second.
pub fn go_first() -> Result<(), String> {
    schedule(libc::SCHED_FIFO, 1).map_err(|error| format!("cannot go first: {error}"))
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> std::io::Result<()> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameter lives through the call.
    match unsafe { libc::sched_setscheduler(0, policy, &param) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// The CPU counters at one moment.
pub struct Snapshot {
    /// Per CPU: its number, busy ticks, stolen ticks, all ticks.
    cpus: Vec<(usize, u64, u64, u64)>,
    broker: Option<Duration>,
    own: Duration,
}

/// What happened between two snapshots.
pub struct Usage {
    /// Per CPU: its number, the share of time it was busy, the share stolen by the hypervisor; both 0 to 1.
    pub cpus: Vec<(usize, f64, f64)>,
    /// CPU time of the broker's process, where its pid was given and it lives.
    pub broker: Option<Duration>,
    /// CPU time of this program.
    pub own: Duration,
}

impl Snapshot {
    pub fn take(broker_pid: Option<u32>) -> Snapshot {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        Snapshot {
            cpus: stat.lines().filter_map(cpu_line).collect(),
            broker: broker_pid.and_then(|pid| process_time(&format!("/proc/{pid}/stat"))),
            own: process_time("/proc/self/stat").unwrap_or_default(),
        }
    }

    pub fn usage_since(&self, earlier: &Snapshot) -> Usage {
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let cpus = self.cpus.iter().zip(&earlier.cpus).map(|(now, then)| {
            let all = now.3.saturating_sub(then.3);
            (
                now.0,
                share(now.1.saturating_sub(then.1), all),
                share(now.2.saturating_sub(then.2), all),
            )
        });
        Usage {
            cpus: cpus.collect(),
            broker: self
                .broker
                .zip(earlier.broker)
                .map(|(now, then)| now.saturating_sub(then)),
            own: self.own.saturating_sub(earlier.own),
        }
    }
}

/// `cpuN user nice system idle iowait irq softirq steal …`, in ticks (proc_stat(5)).
fn cpu_line(line: &str) -> Option<(usize, u64, u64, u64)> {
    let (cpu, ticks) = line.strip_prefix("cpu")?.split_once(' ')?;
    let cpu = cpu.parse().ok()?;
    let words = ticks.split_ascii_whitespace();
    let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, steal] = ticks[..] else {
        return None;
    };
    let busy = user + nice + system + irq + softirq;
    Some((cpu, busy, steal, busy + idle + iowait + steal))
}

/// User and system time of all of a process's threads (proc_pid_stat(5), fields 14 and 15).
fn process_time(path: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(path).ok()?;
    // The process's name stands in parentheses and may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    // SAFETY: a call without pointers.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    Some(Duration::from_millis(ticks * 1000 / ticks_per_second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lines_are_told_from_the_total_and_from_the_rest() {
        assert_eq!(cpu_line("cpu1 10 1 5 70 4 2 3 5 0 0"), Some((1, 21, 5, 100)));
        assert_eq!(cpu_line("cpu  10 1 5 70 4 2 3 5 0 0"), None);
        assert_eq!(cpu_line("intr 12345"), None);
    }

    #[test]
    fn own_process_time_is_found() {
        assert!(process_time("/proc/self/stat").is_some());
        assert!(process_time("/proc/self/no-such").is_none());
    }
}
