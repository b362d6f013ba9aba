//! The floor: an echo on a bare io_uring with the ring flags, the multishot receive and the provided buffers of the `io` room,
//! and nothing else: no tasks, no table of operations, one connection.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fd};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::{Server, host};

const BUFFERS: u16 = 256;
const BUFFER_BYTES: usize = 16 * 1024;
const RECEIVE: u64 = 0;
const SEND: u64 = 1;

pub fn start(cpu: usize, busy: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        host::pin_to(cpu);
        let (socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        echo(Fd(socket.as_raw_fd()), busy);
    });
    Server { address, thread }
}

/// Page-aligned room for the kernel's list of buffers.
#[repr(align(4096))]
struct Entries([u8; BUFFERS as usize * size_of::<BufRingEntry>()]);

/// The provided buffers. Leaves the ring before they go.
struct Buffers {
    entries: Box<Entries>,
    memory: Vec<u8>,
    tail: u16,
}

impl Buffers {
    fn at(&self, buffer: u16) -> *const u8 {
        self.memory[usize::from(buffer) * BUFFER_BYTES..].as_ptr()
    }

    fn put(&mut self, buffer: u16) {
        let at = self.at(buffer).addr() as u64;
        let entries = self.entries.0.as_mut_ptr().cast::<BufRingEntry>();
        // SAFETY: the index is within the list, and the kernel has given this entry back.
        unsafe {
            let entry = &mut *entries.add(usize::from(self.tail % BUFFERS));
            entry.set_addr(at);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry.
        unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) }
            .store(self.tail, Ordering::Release);
    }
}

fn echo(socket: Fd, busy: bool) {
    let mut buffers = Buffers {
        entries: Box::new(Entries([0; _])),
        memory: vec![0; usize::from(BUFFERS) * BUFFER_BYTES],
        tail: 0,
    };
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .build(64)
        .unwrap();
    (0..BUFFERS).for_each(|buffer| buffers.put(buffer));
    let entries = buffers.entries.0.as_ptr().addr() as u64;
    // SAFETY: the list outlives the ring: it was declared before it.
    unsafe {
        ring.submitter()
            .register_buf_ring_with_flags(entries, BUFFERS, 0, 0)
    }
    .unwrap();
    push(
        &mut ring,
        opcode::RecvMulti::new(socket, 0).build().user_data(RECEIVE),
    );
    loop {
        if !busy {
            ring.submit_and_wait(1).unwrap();
        } else {
            let submission = ring.submission();
            let enter = !submission.is_empty() || submission.taskrun();
            drop(submission);
            if enter {
                ring.submit().unwrap();
            }
        }
        while let Some(completion) = next(&mut ring) {
            let buffer = cqueue::buffer_select(completion.flags());
            match (completion.user_data(), buffer) {
                (RECEIVE, Some(buffer)) if completion.result() > 0 => {
                    let (at, len) = (buffers.at(buffer), completion.result() as u32);
                    let send =
                        opcode::Send::new(socket, at, len).flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL);
                    push(&mut ring, send.build().user_data(SEND | u64::from(buffer) << 8));
                    assert!(
                        cqueue::more(completion.flags()),
                        "one connection never exhausts the buffers"
                    );
                }
                (RECEIVE, _) => return,
                (sent, _) => buffers.put((sent >> 8) as u16),
            }
        }
    }
}

fn next(ring: &mut IoUring) -> Option<cqueue::Entry> {
    ring.completion().next()
}

fn push(ring: &mut IoUring, entry: squeue::Entry) {
    // SAFETY: the buffers that an entry points to outlive the ring.
    unsafe { ring.submission().push(&entry) }.expect("few operations at a time");
}
