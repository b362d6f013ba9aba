//! An echo by a plain thread and system calls, without io_uring.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use crate::{Server, host};

pub fn start(cpu: usize, busy: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        host::pin_to(cpu);
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(busy).unwrap();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => socket
                    .write_all(&buffer[..count])
                    .expect("the socket takes one message"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    });
    Server { address, thread }
}
