//! The client: sends a message, spins until all of it has come back, and notes how long that took.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use hdrhistogram::Histogram;

/// Nanoseconds of each of `round_trips` echoes of `bytes` bytes, after a tenth as many to warm up.
pub fn measure(address: SocketAddr, bytes: usize, round_trips: usize) -> Histogram<u64> {
    let mut socket = TcpStream::connect(address).expect("the server listens");
    socket.set_nodelay(true).unwrap();
    socket.set_nonblocking(true).unwrap();
    let message = vec![7; bytes];
    let mut back = vec![0; bytes];
    let mut latencies = Histogram::new(3).unwrap();
    let warm_up = round_trips / 10;
    for n in 0..warm_up + round_trips {
        let begun = Instant::now();
        round_trip(&mut socket, &message, &mut back);
        if n >= warm_up {
            latencies.record(begun.elapsed().as_nanos() as u64).unwrap();
        }
    }
    latencies
}

fn round_trip(socket: &mut TcpStream, message: &[u8], back: &mut [u8]) {
    let sent = socket.write(message).expect("the socket takes one message");
    assert_eq!(sent, message.len());
    let mut got = 0;
    while got < back.len() {
        match socket.read(&mut back[got..]) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(count) => got += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}
