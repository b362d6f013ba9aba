//! Signals, as events of core 0.
//!
//! They are blocked in every thread and read from a signalfd, whose readiness the core's ring reports.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;

use io_uring::opcode;
use io_uring::types::Fd;

use super::super::Signal;
use super::ring::{self, Held, OnDrop, check};

/// Blocks the signals that [`next`] delivers, in this thread and those that it starts from now on, and ignores SIGPIPE. Called
/// first thing in `main`: a thread that was started before would die of them.
pub fn block_in_process() {
    let set = delivered();
    // SAFETY: a valid set, and no handler. Neither call can fail with these arguments.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
    }
}

/// The next signal. For one task of one core: core 0 by convention.
///
/// # Panics
/// When the system gives no signalfd, which means that it is out of descriptors at start.
pub async fn next() -> Signal {
    let signals = SIGNALS.with_borrow_mut(|signals| match signals {
        Some(signals) => signals.clone(),
        None => signals.insert(Rc::new(open().expect("a signalfd"))).clone(),
    });
    loop {
        if let Some(signal) = read(&signals) {
            return signal;
        }
        // The read is not left to the ring: it might be given to a worker thread, which would sleep in it forever.
        let entry = opcode::PollAdd::new(Fd(signals.as_raw_fd()), libc::POLLIN as u32).build();
        // SAFETY: the entry holds no pointer, and the descriptor is `signals`.
        let ready = unsafe { ring::begin(entry, Some(signals.clone()), Held::Nothing, OnDrop::Cancel) };
        check(ready.await.0).expect("a signalfd can be polled");
    }
}

thread_local! {
    static SIGNALS: RefCell<Option<Rc<OwnedFd>>> = const { RefCell::new(None) };
}

fn delivered() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set, and the numbers are valid signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGUSR1] {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

fn open() -> io::Result<OwnedFd> {
    let set = delivered();
    // SAFETY: a valid set.
    let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One signal that has arrived, if any.
fn read(signals: &OwnedFd) -> Option<Signal> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: the pointer and the length name `info`.
    let got = unsafe { libc::read(signals.as_raw_fd(), info.as_mut_ptr().cast(), size) };
    if got != size as isize {
        return None;
    }
    // SAFETY: zeroed at first and then filled whole.
    match unsafe { info.assume_init() }.ssi_signo as i32 {
        libc::SIGUSR1 => Some(Signal::Report),
        _ => Some(Signal::Stop),
    }
}
