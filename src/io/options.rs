//! How the cores are started, and why they could not be.

use std::fmt;
use std::time::Duration;

/// How [`run`](super::run) lays out the cores.
#[derive(Clone, Debug)]
pub struct Options {
    /// CPU numbers; the index in this list is the `CoreId`. At least one.
    pub cores: Vec<usize>,
    /// What a core does when it has nothing to do.
    pub profile: Profile,
    /// A pass of the core's loop longer than this counts as a stall.
    pub stall_limit: Duration,
    /// Whether each core's thread is bound to its CPU. Without it the numbers in `cores` only count.
    pub pin: bool,
}

impl Options {
    /// `cores` unpinned cores that park: for tests and for the command line's client commands.
    pub fn unpinned(cores: usize) -> Options {
        Options {
            cores: (0..cores).collect(),
            profile: Profile::Park,
            stall_limit: Options::STALL_LIMIT_DEFAULT,
            pin: false,
        }
    }

    /// 10 ms: longer than any scheduler slice of a healthy pass, shorter than what a user would call a hang.
    pub const STALL_LIMIT_DEFAULT: Duration = Duration::from_millis(10);
}

/// What a core does when no task is runnable, no mailbox holds a message and no operation waits to be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Sleep in the kernel until something happens. About 11 µs of wake-up for each quiet spell; no CPU when idle.
    Park,
    /// Look again for `spin`, then sleep.
    Adaptive {
        /// How long a core goes on looking after the last thing that happened.
        spin: Duration,
    },
    /// Never sleep: one CPU for each core, always at 100 %.
    Busy,
}

/// What the process was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM or SIGINT: stop cleanly.
    Stop,
    /// SIGUSR1: print what is counted.
    Report,
}

/// The time of [`timeout`](super::timeout) ran out before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for Elapsed {}

/// Why the cores could not start. Its text is the one message for the user: which limit, its value, how to lift it.
#[derive(Debug)]
pub enum StartError {
    /// `Options::cores` was empty, or names more cores than a `CoreId` can number.
    CoreCount(usize),
    /// The running kernel is older than the first one with everything the loop needs.
    KernelTooOld {
        /// The release string of the running kernel.
        release: String,
    },
    /// `kernel.io_uring_disabled` forbids io_uring to this process.
    UringDisabled {
        /// 1: only for privileged processes and one group; 2: for everyone.
        value: u32,
    },
    /// The kernel answers EPERM or ENOSYS although the sysctl allows it: a seccomp filter, or a kernel without io_uring.
    UringForbidden {
        /// The error number's text.
        reason: String,
    },
    /// `RLIMIT_MEMLOCK` is too small.
    Memlock {
        /// The hard limit, in bytes.
        limit_bytes: u64,
        /// What the loop needs, in bytes.
        needed_bytes: u64,
    },
    /// A requested CPU does not exist, or this process may not run on it.
    Cpu {
        /// The CPU that was asked for.
        cpu: usize,
        /// The CPUs this process may run on, as ranges.
        allowed: String,
    },
    /// Any other refusal of the operating system.
    Os {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        reason: String,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::CoreCount(count) => {
                write!(
                    f,
                    "{count} cores were asked for: between 1 and {} can run",
                    u16::MAX
                )
            }
            StartError::KernelTooOld { release } => write!(
                f,
                "the Linux kernel is {release}, and 6.1 is the oldest that works (io_uring with DEFER_TASKRUN): \
                 boot a newer kernel"
            ),
            StartError::UringDisabled { value } => write!(
                f,
                "io_uring is switched off: the sysctl kernel.io_uring_disabled is {value}, and must be 0: as root, \
                 `sysctl kernel.io_uring_disabled=0`{}",
                if *value == 1 {
                    "; or add this user to the group of kernel.io_uring_group"
                } else {
                    ""
                }
            ),
            StartError::UringForbidden { reason } => write!(
                f,
                "io_uring is forbidden to this process (io_uring_setup: {reason}), although kernel.io_uring_disabled \
                 allows it: a seccomp filter, most often a container's default profile: allow io_uring_setup, \
                 io_uring_enter and io_uring_register in it (docker: `--security-opt seccomp=unconfined`)"
            ),
            StartError::Memlock {
                limit_bytes,
                needed_bytes,
            } => write!(
                f,
                "the limit of locked memory (RLIMIT_MEMLOCK) is {} KiB, and {} KiB are needed for these cores: raise it with \
                 `ulimit -l {}` in the shell that starts the broker, `LimitMEMLOCK=` in its systemd unit, or \
                 `memlock` in /etc/security/limits.conf",
                limit_bytes / 1024,
                needed_bytes / 1024,
                needed_bytes / 1024
            ),
            StartError::Cpu { cpu, allowed } => write!(
                f,
                "CPU {cpu} was asked for, and this process may run on CPUs {allowed} only: choose among those, or \
                 widen the process's CPU set (taskset, cgroup cpuset, `CPUAffinity=` in its systemd unit)"
            ),
            StartError::Os { doing, reason } => write!(f, "{doing}: {reason}"),
        }
    }
}

impl std::error::Error for StartError {}
