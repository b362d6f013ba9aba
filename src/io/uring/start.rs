//! Starting the cores: the checks that explain a refusal, one thread and executor for each core, and their end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Once};
use std::time::Duration;

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use io_uring::IoUring;

use super::super::{Options, StartError};
use super::buffers::Pool;
use super::core::{self, Core};
use super::ring::Ring;
use super::shared::Shared;
use super::watchdog::{self, Watchdog};
use super::{driver, task};
use crate::base::CoreId;

/// The oldest kernel with DEFER_TASKRUN.
const KERNEL_MIN: (u32, u32) = (6, 1);
/// What glommio demands of RLIMIT_MEMLOCK, and what the rings of one core take at the most.
const MEMLOCK_MIN_BYTES: u64 = 512 * 1024;
/// Below so many open files a start warns.
const DESCRIPTORS_FEW: u64 = 4096;
/// The executor's own rings and registered memory are not used, so they are as small as it allows.
const EXECUTOR_RING_DEPTH: usize = 8;
const EXECUTOR_MEMORY_BYTES: usize = 64 * 1024;
/// The executor's preemption. It can park with runnable tasks when this has just fired, so it should never fire.
const PREEMPT_INTERVAL: Duration = Duration::from_secs(3600);
/// If the executor ever parks by mistake, this timer of its own ends that. Costs nothing while it doesn't: the executor
/// looks at its timers only between two spells of running tasks, and the driver makes one spell last.
const RESCUE_INTERVAL: Duration = Duration::from_millis(10);

/// The cores that [`start`] started.
#[must_use = "cores that nobody joins end with the process"]
pub struct Running {
    threads: Vec<std::thread::JoinHandle<()>>,
    watchdog: Watchdog,
    shared: Arc<Shared>,
}

/// Starts `main(core)` on each core. The cores end when the `main` of each has returned: tasks that are still spawned then
/// are dropped. A core whose `main` has returned keeps serving its tasks until the last one's has.
///
/// # Errors
/// When the machine doesn't allow what the loop needs. Nothing of `main` has run then.
pub fn start<F, Fut>(options: Options, main: F) -> Result<Running, StartError>
where
    F: Fn(CoreId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    check_limits(&options)?;
    install_panic_hook();
    let worker_cpus = worker_cpus(&options)?;
    let shared = Arc::new(Shared::new(options.cores.len()));
    let (ready, started) = mpsc::channel();
    let mut gates = Vec::new();
    let mut threads = Vec::new();
    for (index, &cpu) in options.cores.iter().enumerate() {
        let id = CoreId(index as u16);
        let (go, gate) = mpsc::channel();
        let (shared, ready, options, main) = (shared.clone(), ready.clone(), options.clone(), main.clone());
        let thread = std::thread::Builder::new()
            .name(format!("core-{index}"))
            .spawn(move || {
                let place = Place {
                    cpu,
                    worker_cpus,
                    options: &options,
                };
                core_thread(id, place, shared, &ready, &gate, main);
            })
            .map_err(|error| refused("starting a core's thread", &error))?;
        threads.push(thread);
        gates.push(go);
    }
    drop(ready);
    // Each core reports once. On a refusal the gates are dropped, and the cores that did start end unused.
    for _ in &threads {
        started.recv().unwrap_or(Err(StartError::Os {
            doing: "starting a core",
            reason: "its thread ended".into(),
        }))?;
    }
    let watchdog = watchdog::start(shared.clone());
    for go in gates {
        // A core that is gone has panicked, which joining it reports.
        let _ = go.send(());
    }
    Ok(Running {
        threads,
        watchdog,
        shared,
    })
}

impl Running {
    /// Waits until every core has ended. Blocks the calling thread, which is none of them.
    pub fn join(self) {
        let mut panicked = None;
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                panicked = Some(panic);
            }
        }
        self.watchdog.stop(&self.shared);
        // Only test builds get here: in a release build the panic has ended the process.
        if let Some(panic) = panicked {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Where a core's thread and the kernel's workers for it run.
struct Place<'a> {
    cpu: usize,
    /// `None` where nothing is pinned.
    worker_cpus: Option<libc::cpu_set_t>,
    options: &'a Options,
}

/// One core's thread, from its start to its end.
fn core_thread<F, Fut>(
    id: CoreId,
    place: Place<'_>,
    shared: Arc<Shared>,
    ready: &mpsc::Sender<Result<(), StartError>>,
    gate: &mpsc::Receiver<()>,
    main: F,
) where
    F: Fn(CoreId) -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    CORE_NAME.set(Some(id));
    let _end_all = EndAllOnPanic(shared.clone());
    let options = place.options;
    let (executor, core) = match start_core(id, &place, shared) {
        Ok(started) => started,
        Err(error) => {
            // The receiver is gone when another core has failed first.
            let _ = ready.send(Err(error));
            return;
        }
    };
    let sent = ready.send(Ok(()));
    if sent.is_err() || gate.recv().is_err() {
        return;
    }
    let profile = options.profile;
    let stall_limit = options.stall_limit;
    executor.run(async move {
        let entered = core::enter(core.clone());
        let rescue = glommio::spawn_local(rescue(core.clone()));
        let future = main(id);
        let shared = core.shared.clone();
        task::spawn_detached(async move {
            future.await;
            end_main(&shared, id);
        });
        driver::drive(core, profile, stall_limit).await;
        drop(rescue);
        drop(entered);
    });
}

/// In test builds, where a panic doesn't end the process: without this core the others would wait forever.
struct EndAllOnPanic(Arc<Shared>);

impl Drop for EndAllOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mains_running.store(0, Ordering::SeqCst);
        }
    }
}

/// A core's `main` has returned. The last one ends every core's loop.
fn end_main(shared: &Shared, id: CoreId) {
    let left = shared
        .mains_running
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    if left == Ok(1) {
        core::with(|core| {
            for peer in 0..shared.cores.len() {
                let peer = CoreId(peer as u16);
                if peer != id {
                    core.wake_peer(peer);
                }
            }
        });
    }
}

/// Makes the executor and the ring of the calling thread's core.
fn start_core(
    id: CoreId,
    place: &Place<'_>,
    shared: Arc<Shared>,
) -> Result<(LocalExecutor, Rc<Core>), StartError> {
    let options = place.options;
    let placement = if options.pin {
        Placement::Fixed(place.cpu)
    } else {
        Placement::Unbound
    };
    let executor = LocalExecutorBuilder::new(placement)
        .name("core")
        .io_memory(EXECUTOR_MEMORY_BYTES)
        .ring_depth(EXECUTOR_RING_DEPTH)
        .preempt_timer(PREEMPT_INTERVAL)
        .make()
        .map_err(|error| {
            let system = match &error {
                glommio::GlommioError::IoError(error) => error.raw_os_error(),
                _ => None,
            };
            no_memory_or("starting a core's executor", system, &error, options)
        })?;
    // SAFETY: plain numbers. Without it the kernel may end each timed sleep up to 50 µs late.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
    let refused = |doing| move |error: io::Error| no_memory_or(doing, error.raw_os_error(), &error, options);
    let ring = Ring::new().map_err(refused("making a core's io_uring"))?;
    if let Some(cpus) = &place.worker_cpus {
        ring.let_workers_run_on(cpus)
            .map_err(refused("placing the io_uring workers"))?;
    }
    let pool = Pool::new().map_err(refused("mapping a core's receive buffers"))?;
    // SAFETY: `Core` owns both, and drops the ring first.
    unsafe { pool.register(ring.uring()) }.map_err(refused("registering a core's receive buffers"))?;
    shared.of(id).publish_ring(ring.fd());
    let core = Rc::new(Core {
        id,
        shared,
        ring: RefCell::new(ring),
        pool,
        tasks: Rc::default(),
        timers: RefCell::default(),
        mailboxes: RefCell::default(),
        yielded: RefCell::default(),
    });
    Ok((executor, core))
}

/// Counts the times the executor got its thread back from the driver, and by being there bounds them.
async fn rescue(core: Rc<Core>) {
    loop {
        glommio::timer::sleep(RESCUE_INTERVAL).await;
        core.published().stats.executor_parks.add(1);
    }
}

/// Why a core's part was refused. The kernel counts rings as locked memory and says ENOMEM past the limit.
fn no_memory_or(
    doing: &'static str,
    errno: Option<i32>,
    error: &dyn std::fmt::Display,
    options: &Options,
) -> StartError {
    if errno == Some(libc::ENOMEM) {
        return StartError::Memlock {
            limit_bytes: memlock().rlim_cur,
            needed_bytes: MEMLOCK_MIN_BYTES * options.cores.len() as u64,
        };
    }
    StartError::Os {
        doing,
        reason: error.to_string(),
    }
}

/// Looks for the limits whose refusal the system would not explain.
fn check_limits(options: &Options) -> Result<(), StartError> {
    let count = options.cores.len();
    if count == 0 || count > usize::from(u16::MAX) {
        return Err(StartError::CoreCount(count));
    }
    let release = kernel_release();
    if kernel_version(&release).is_some_and(|version| version < KERNEL_MIN) {
        return Err(StartError::KernelTooOld { release });
    }
    check_uring()?;
    check_memlock()?;
    raise_descriptors();
    if options.pin {
        check_cpus(&options.cores)?;
    }
    Ok(())
}

/// Makes the smallest ring, to see whether io_uring is allowed at all.
fn check_uring() -> Result<(), StartError> {
    let Err(error) = IoUring::new(1) else {
        return Ok(());
    };
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => {
            let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
            match sysctl.trim().parse() {
                Ok(value) if value > 0 => Err(StartError::UringDisabled { value }),
                _ => Err(StartError::UringForbidden {
                    reason: error.to_string(),
                }),
            }
        }
        Some(libc::ENOMEM) => check_memlock().and(Err(refused("making an io_uring", &error))),
        _ => Err(refused("making an io_uring", &error)),
    }
}

/// Raises the soft limit as far as the hard one allows; an error when that is too low.
fn check_memlock() -> Result<(), StartError> {
    let limit = memlock();
    if limit.rlim_cur >= MEMLOCK_MIN_BYTES {
        return Ok(());
    }
    let raised = libc::rlimit {
        rlim_cur: limit.rlim_max,
        rlim_max: limit.rlim_max,
    };
    // SAFETY: `raised` is a valid limit, no higher than the hard one.
    let ok = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raised) } == 0;
    if ok && raised.rlim_cur >= MEMLOCK_MIN_BYTES {
        return Ok(());
    }
    Err(StartError::Memlock {
        limit_bytes: limit.rlim_max,
        needed_bytes: MEMLOCK_MIN_BYTES,
    })
}

fn memlock() -> libc::rlimit {
    limit_of(libc::RLIMIT_MEMLOCK)
}

fn limit_of(resource: libc::__rlimit_resource_t) -> libc::rlimit {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place for the answer.
    unsafe { libc::getrlimit(resource, &mut limit) };
    limit
}

/// Raises the soft limit of open files to the hard one: each partition keeps a file open, and each connection is one.
fn raise_descriptors() {
    let mut limit = limit_of(libc::RLIMIT_NOFILE);
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: a valid limit, no higher than the hard one. Where it fails the old one stands.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    if limit.rlim_max < DESCRIPTORS_FEW {
        tracing::warn!(
            "the limit of open files (RLIMIT_NOFILE) is {}: each partition and each connection needs one; raise it with \
             `ulimit -Hn` or LimitNOFILE=",
            limit.rlim_max
        );
    }
}

/// How many open files this process may have, sockets included.
pub fn descriptors_max() -> usize {
    usize::try_from(limit_of(libc::RLIMIT_NOFILE).rlim_cur).unwrap_or(usize::MAX)
}

fn check_cpus(cpus: &[usize]) -> Result<(), StartError> {
    let allowed = read_allowed_cpus().map_err(|error| refused("reading the process's CPU set", &error))?;
    match cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        None => Ok(()),
        Some(&cpu) => Err(StartError::Cpu {
            cpu,
            allowed: ranges(allowed.into_iter()),
        }),
    }
}

/// The CPUs that this process may run on, rising.
///
/// # Errors
/// What the kernel said when it could not be asked.
pub fn allowed_cpus() -> Result<Vec<usize>, StartError> {
    read_allowed_cpus().map_err(|error| refused("reading the process's CPU set", &error))
}

fn read_allowed_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` has the size that is named.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the index is below the set's size.
    let allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(allowed).collect())
}

/// Where the kernel's workers run that flush and remove files: they would take the CPU of the core that they work for, because they inherit
/// its binding. On CPUs that no core has, if the process may use such; else wherever there is time.
fn worker_cpus(options: &Options) -> Result<Option<libc::cpu_set_t>, StartError> {
    if !options.pin {
        return Ok(None);
    }
    let allowed = allowed_cpus()?;
    let free = allowed.iter().filter(|cpu| !options.cores.contains(cpu));
    let mut chosen: Vec<usize> = free.copied().collect();
    if chosen.is_empty() {
        chosen = allowed;
    }
    // SAFETY: an all-zero set is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in chosen {
        // SAFETY: the kernel gave the index for a set of this size.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    Ok(Some(set))
}

/// Rising numbers as the kernel's lists write them: `0-3,8`.
fn ranges(numbers: impl Iterator<Item = usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let text = ranges.iter().map(|&(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    text.collect::<Vec<_>>().join(",")
}

fn kernel_release() -> String {
    // SAFETY: all-zero bytes are a valid `utsname`.
    let mut name: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `name` is a valid place for the answer.
    unsafe { libc::uname(&mut name) };
    let release = name.release.iter().take_while(|&&c| c != 0).map(|&c| c as u8);
    String::from_utf8_lossy(&release.collect::<Vec<_>>()).into_owned()
}

/// Major and minor number; `None` when the release isn't written that way.
fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn refused(doing: &'static str, error: &io::Error) -> StartError {
    StartError::Os {
        doing,
        reason: error.to_string(),
    }
}

thread_local! {
    static CORE_NAME: Cell<Option<CoreId>> = const { Cell::new(None) };
}

/// A panic on a core prints one line: core, place, message. In a release build it then ends the process.
fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let elsewhere = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match CORE_NAME.get() {
            None => elsewhere(info),
            Some(core) => {
                let message = info.payload_as_str().unwrap_or("(no message)");
                match info.location() {
                    Some(place) => eprintln!("ringlog: core {core} panicked at {place}: {message}"),
                    None => eprintln!("ringlog: core {core} panicked: {message}"),
                }
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_compared_by_number() {
        assert_eq!(kernel_version("6.18.44-arch1"), Some((6, 18)));
        assert_eq!(kernel_version("6.1"), Some((6, 1)));
        assert!(kernel_version("5.15.0-91-generic").unwrap() < KERNEL_MIN);
        assert_eq!(kernel_version("custom"), None);
    }

    #[test]
    fn cpu_lists_read_as_the_kernel_writes_them() {
        assert_eq!(ranges([0, 1, 2, 3, 8, 10, 11].into_iter()), "0-3,8,10-11");
        assert_eq!(ranges([].into_iter()), "");
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused_by_name() {
        let error = check_cpus(&[100_000]).unwrap_err().to_string();
        assert!(
            error.starts_with("CPU 100000 was asked for, and this process may run on CPUs 0"),
            "{error}"
        );
    }

    #[test]
    fn every_refusal_names_the_limit_its_value_and_the_way_out() {
        let cases = [
            (
                StartError::KernelTooOld {
                    release: "5.15.0".into(),
                },
                ["5.15.0", "6.1", "boot"],
            ),
            (
                StartError::UringDisabled { value: 2 },
                ["io_uring_disabled", "is 2", "sysctl kernel.io_uring_disabled=0"],
            ),
            (
                StartError::UringForbidden {
                    reason: "EPERM".into(),
                },
                ["EPERM", "seccomp", "allow"],
            ),
            (
                StartError::Memlock {
                    limit_bytes: 65536,
                    needed_bytes: MEMLOCK_MIN_BYTES,
                },
                ["RLIMIT_MEMLOCK", "64 KiB", "ulimit -l 512"],
            ),
        ];
        for (error, words) in cases {
            let text = error.to_string();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
            assert!(!text.contains('\n'), "{text}");
        }
    }
}
