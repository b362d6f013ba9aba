//! Two parking cores under a load made to catch a sleep over something runnable: every request crosses sockets, tasks that wake
//! tasks, timers, and the mailboxes in both directions; and clients pause at random, so that cores fall asleep all the time.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ringlog::base::CoreId;
use ringlog::io::{self, Options, Profile, local, mesh, net};

const CONNECTIONS: usize = 8;
const MESSAGE_BYTES: usize = 64;
/// Printed this often, so that a hang shows when it happens.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A number on its way to core 0, which sends it back.
type Hop = u64;

/// Panics, and so fails the run, when a core slept over something.
pub fn run(seconds: u64) {
    let ports = Arc::new(Mutex::new(
        mesh::build::<Hop>(2, 64)
            .into_iter()
            .map(Some)
            .collect::<Vec<_>>(),
    ));
    let bound = net::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
    let address = bound.local_addr();
    let bound = Arc::new(Mutex::new(Some(bound)));
    let options = Options {
        cores: vec![0, 1],
        profile: Profile::Park,
        stall_limit: Duration::from_secs(1),
        pin: true,
    };
    io::run(options, move |core| {
        let port = Rc::new(
            ports.lock().unwrap()[core.index()]
                .take()
                .expect("each core runs once"),
        );
        let bound = bound.clone();
        async move {
            if core == CoreId(1) {
                let bound = bound.lock().unwrap().take().expect("core 1 runs once");
                serve(port, bound);
            } else {
                drive(port, address, Duration::from_secs(seconds)).await;
            }
        }
    })
    .unwrap();
}

/// Core 1: answers each message after a hop over core 0.
fn serve(port: Rc<mesh::Port<Hop>>, bound: net::Bound) {
    let waiting: Rc<RefCell<BTreeMap<Hop, local::Sender<()>>>> = Rc::default();
    let (receiving, woken) = (port.clone(), waiting.clone());
    drop(io::spawn(async move {
        loop {
            let (_, number) = receiving.recv().await;
            let sender = woken
                .borrow_mut()
                .remove(&number)
                .expect("each hop is answered once");
            let _ = sender.send(());
        }
    }));
    drop(io::spawn(async move {
        let mut listener = net::Listener::new(bound).unwrap();
        let next = Rc::new(Cell::new(0));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            drop(io::spawn(connection(
                stream,
                port.clone(),
                waiting.clone(),
                next.clone(),
            )));
        }
    }));
}

async fn connection(
    stream: net::Stream,
    port: Rc<mesh::Port<Hop>>,
    waiting: Rc<RefCell<BTreeMap<Hop, local::Sender<()>>>>,
    next: Rc<Cell<Hop>>,
) {
    let (mut reader, mut writer) = stream.split();
    while let Ok(message) = reader.recv_exact(BytesMut::new(), MESSAGE_BYTES).await {
        let number = next.replace(next.get() + 1);
        let (sender, answered) = local::oneshot();
        waiting.borrow_mut().insert(number, sender);
        port.send(CoreId(0), number).await;
        // A task more, as a request has that crosses rooms.
        io::spawn(async move { answered.await.expect("the receiver never ends") }).await;
        if number.is_multiple_of(7) {
            io::yield_now().await;
        }
        if writer.send(vec![message.freeze()]).await.is_err() {
            return;
        }
    }
}

/// Core 0: sends every hop back, and runs the clients.
async fn drive(port: Rc<mesh::Port<Hop>>, address: std::net::SocketAddr, time: Duration) {
    drop(io::spawn(async move {
        loop {
            let (from, number) = port.recv().await;
            port.send(from, number).await;
        }
    }));
    let end = io::now() + time;
    let done = Rc::new(Cell::new(0_u64));
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| io::spawn(client(address, end, done.clone())))
        .collect();
    let reported = done.clone();
    drop(io::spawn(async move {
        loop {
            io::sleep(REPORT_INTERVAL).await;
            println!("{} round trips\n{}", reported.get(), io::counters());
        }
    }));
    for client in clients {
        client.await;
    }
    let counters = io::counters();
    println!(
        "{} round trips over {CONNECTIONS} connections in {time:?}\n{counters}",
        done.get()
    );
    assert_eq!(counters.broken_sleeps(), 0, "a core slept over something");
}

async fn client(address: std::net::SocketAddr, end: ringlog::base::Instant, done: Rc<Cell<u64>>) {
    let (mut reader, mut writer) = net::Stream::connect(address).await.unwrap().split();
    let message = Bytes::from(vec![7; MESSAGE_BYTES]);
    while io::now() < end {
        writer.send(vec![message.clone()]).await.unwrap();
        reader.recv_exact(BytesMut::new(), MESSAGE_BYTES).await.unwrap();
        done.set(done.get() + 1);
        match io::random_u64() % 64 {
            0 => io::sleep(Duration::from_micros(io::random_u64() % 500)).await,
            1..4 => io::yield_now().await,
            _ => {}
        }
    }
}
