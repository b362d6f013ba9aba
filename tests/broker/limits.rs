//! What connections may cost: how many there are, how long they are silent, how much they hold.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use ringlog::wire::messages::fetch_request::FetchRequest;
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::produce_request::ProduceRequest;
use tokio::net::TcpSocket;

use crate::administration::{alter, alter_code};
use crate::connections::{TOPIC, create, fetch, produce_to};
use crate::harness::{Broker, PATIENCE, free_address};
use crate::quorum::{describe_request, with_controller_and};
use crate::raw::{Connection, create_topic_request, produce_request};

const METADATA: i16 = 12;
const CREATE: i16 = 7;
const FETCH: i16 = 12;
const PRODUCE: i16 = 12;
const DESCRIBE_QUORUM: i16 = 2;
/// Far longer than a test runs.
const LONG_MS: i32 = 600_000;

#[test]
fn a_connection_that_is_silent_for_too_long_is_closed_and_one_that_is_not_stays() {
    let broker = Broker::start_with(&["connections.max.idle.ms=1500"]);
    let mut silent: Vec<Connection> = (0..10).map(|_| Connection::open(&broker)).collect();
    let mut active = Connection::open(&broker);
    // Sends its request so slowly that it takes much longer than the time allowed.
    let mut slow = Connection::open(&broker);
    let frame = slow.frame(METADATA, &MetadataRequest::default());
    for byte in &frame {
        slow.write(&[*byte]);
        active.call(METADATA, &MetadataRequest::default());
        std::thread::sleep(Duration::from_millis(3_000 / frame.len() as u64));
    }
    slow.answer::<MetadataRequest>(METADATA, 1);
    active.call(METADATA, &MetadataRequest::default());
    for connection in &mut silent {
        connection.expect_closed();
    }
    slow.expect_closed();
    active.expect_closed();
}

#[test]
fn a_client_that_waits_for_its_answer_is_not_idle() {
    let broker = Broker::start_with(&["connections.max.idle.ms=1500"]);
    create(&mut Connection::open(&broker));
    let mut consumer = Connection::open(&broker);
    let sent = consumer.send(FETCH, &fetch(&[3], LONG_MS, 1));
    assert!(consumer.is_silent_for(Duration::from_millis(4_000)));
    produce_to(&mut Connection::open(&broker), TOPIC, 3);
    consumer.answer::<FetchRequest>(FETCH, sent);
    consumer.expect_closed();
}

#[test]
fn a_client_that_takes_no_answer_is_idle() {
    let broker = Broker::start_with(&["connections.max.idle.ms=300", "message.max.bytes=2000000"]);
    let mut producer = Connection::open(&broker);
    create(&mut producer);
    let records = large_batch();
    for _ in 0..4 {
        let sent = producer.send(PRODUCE, &produce_request(TOPIC, &[0], &records));
        producer.answer::<ProduceRequest>(PRODUCE, sent);
    }
    let mut reader = Connection::open(&broker);
    const ANSWERS: usize = 20;
    for _ in 0..ANSWERS {
        reader.send(FETCH, &fetch(&[0], 0, 1));
    }
    let deadline = Instant::now() + PATIENCE;
    while !ends_of(&broker).is_empty() {
        assert!(Instant::now() < deadline, "the reader is still served");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was under way comes, and no more.
    let mut rest = Vec::new();
    let _ = reader.stream().read_to_end(&mut rest);
    assert!(rest.len() < ANSWERS * records.len(), "{} bytes", rest.len());
}

#[test]
fn past_max_connections_a_new_one_waits_until_another_ends() {
    let broker = Broker::start_with(&["max.connections=4"]);
    // Several rounds, so that either core waits for the other's.
    for _ in 0..5 {
        let mut there: Vec<Connection> = (0..4).map(|_| Connection::open(&broker)).collect();
        for connection in &mut there {
            connection.call(METADATA, &MetadataRequest::default());
        }
        let mut late = Connection::open(&broker);
        let sent = late.send(METADATA, &MetadataRequest::default());
        assert!(late.is_silent_for(Duration::from_millis(100)));
        for connection in &mut there {
            connection.call(METADATA, &MetadataRequest::default());
        }
        drop(there.remove(2));
        late.answer::<MetadataRequest>(METADATA, sent);
    }
}

#[test]
fn limits_that_are_set_while_the_broker_runs_count_at_once() {
    const BROKER: i8 = 4;
    const SET: i8 = 0;
    let broker = Broker::start();
    let mut there: Vec<Connection> = (0..4).map(|_| Connection::open(&broker)).collect();
    for connection in &mut there {
        connection.call(METADATA, &MetadataRequest::default());
    }
    alter(&mut there[0], BROKER, "", &[("max.connections", SET, Some("4"))]);
    let mut late = Connection::open(&broker);
    let sent = late.send(METADATA, &MetadataRequest::default());
    assert!(late.is_silent_for(Duration::from_millis(100)));
    alter(&mut there[0], BROKER, "", &[("max.connections", SET, Some("5"))]);
    late.answer::<MetadataRequest>(METADATA, sent);
    let per_address = [("max.connections.per.ip", SET, Some("5"))];
    alter(&mut there[0], BROKER, "", &per_address);
    Connection::open(&broker).expect_closed();
}

#[test]
fn limits_that_let_nobody_in_are_refused() {
    const INVALID_REQUEST: i16 = 42;
    const BROKER: i8 = 4;
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    let (per_address, overrides) = ("max.connections.per.ip", "max.connections.per.ip.overrides");
    let mut changed = |resource: &str, changes: &[(&'static str, i8, Option<&'static str>)]| {
        alter_code(&mut connection, BROKER, resource, changes)
    };
    for resource in ["", "1"] {
        assert_eq!(
            changed(resource, &[("max.connections", SET, Some("0"))]),
            INVALID_REQUEST
        );
        assert_eq!(
            changed(resource, &[(per_address, SET, Some("0"))]),
            INVALID_REQUEST
        );
        let but_for_one = [
            (per_address, SET, Some("0")),
            (overrides, SET, Some("127.0.0.1:9")),
        ];
        assert_eq!(changed(resource, &but_for_one), 0);
        assert_eq!(changed(resource, &[(overrides, DELETE, None)]), INVALID_REQUEST);
        assert_eq!(changed(resource, &[(overrides, SET, Some(""))]), INVALID_REQUEST);
        let both = [(overrides, DELETE, None), (per_address, DELETE, None)];
        assert_eq!(changed(resource, &both), 0);
    }
    Connection::open(&broker).call(METADATA, &MetadataRequest::default());
}

#[test]
fn an_address_has_no_more_connections_than_it_may() {
    let limit = "max.connections.per.ip=3";
    let broker = Broker::start_with(&[limit]);
    let mut there: Vec<Connection> = (0..3).map(|_| Connection::open(&broker)).collect();
    for connection in &mut there {
        connection.call(METADATA, &MetadataRequest::default());
    }
    for _ in 0..5 {
        Connection::open(&broker).expect_closed();
    }
    there.pop();
    served_in_the_end(|| Connection::open(&broker));
    drop(broker);
    let overrides = "max.connections.per.ip.overrides=127.0.0.2:1";
    let broker = Broker::start_with(&[limit, overrides]);
    let from_two = || Connection::over(connect_from(Ipv4Addr::new(127, 0, 0, 2), broker.address));
    let mut first = from_two();
    first.call(METADATA, &MetadataRequest::default());
    from_two().expect_closed();
    let mut other = Connection::open(&broker);
    other.call(METADATA, &MetadataRequest::default());
    drop(first);
    served_in_the_end(from_two);
    assert!(broker.stderr().contains("its address has the 1 connections"));
}

/// The broker hears of a connection's end a little later than its client.
fn served_in_the_end(open: impl Fn() -> Connection) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut connection = open();
        let frame = connection.frame(METADATA, &MetadataRequest::default());
        let written = connection.stream().write_all(&frame);
        if written.is_ok() && connection.stream().read_exact(&mut [0; 4]).is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "it is never let in");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A broker with a listener for clients and, at the second address, one of the brokers.
fn with_brokers_listener(settings: &[&str]) -> (Broker, SocketAddr) {
    let second = free_address();
    let mut broker = Broker::not_started(settings);
    let listeners = format!("listeners=CLIENTS://{},BROKERS://{second}", broker.address);
    broker.set(&[
        &listeners,
        "listener.security.protocol.map=CLIENTS:PLAINTEXT,BROKERS:PLAINTEXT",
        "inter.broker.listener.name=BROKERS",
    ]);
    broker.start_again();
    (broker, second)
}

#[test]
fn the_brokers_listener_is_not_kept_closed_by_the_others_clients() {
    let (broker, second) = with_brokers_listener(&["max.connections=3", "connections.max.idle.ms=-1"]);
    let mut there: Vec<Connection> = (0..3).map(|_| Connection::open(&broker)).collect();
    for connection in &mut there {
        connection.call(METADATA, &MetadataRequest::default());
    }
    let mut late = Connection::open(&broker);
    let sent = late.send(METADATA, &MetadataRequest::default());
    for _ in 0..2 {
        let mut of_broker = Connection::over(TcpStream::connect(second).unwrap());
        of_broker.call(METADATA, &MetadataRequest::default());
        there.push(of_broker);
    }
    // Two clients had to go, and the one that waits still does.
    let deadline = Instant::now() + PATIENCE;
    while there[..3]
        .iter()
        .filter(|connection| connection.is_closed())
        .count()
        < 2
    {
        assert!(Instant::now() < deadline, "nobody went");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(late.is_silent_for(Duration::from_millis(100)));
    for of_broker in &mut there[3..] {
        of_broker.call(METADATA, &MetadataRequest::default());
    }
    drop(there);
    late.answer::<MetadataRequest>(METADATA, sent);
}

#[test]
fn the_controllers_listener_is_counted_apart_from_the_clients() {
    let (broker, controller) = with_controller_and(&["max.connections=3", "max.connections.per.ip=4"]);
    let mut there: Vec<Connection> = (0..3).map(|_| Connection::open(&broker)).collect();
    for connection in &mut there {
        connection.call(METADATA, &MetadataRequest::default());
    }
    let mut late = Connection::open(&broker);
    let sent = late.send(METADATA, &MetadataRequest::default());
    assert!(late.is_silent_for(Duration::from_millis(100)));
    let mut of_controller = Connection::over(TcpStream::connect(controller).unwrap());
    of_controller.call(DESCRIBE_QUORUM, &describe_request());
    for connection in &mut there {
        connection.call(METADATA, &MetadataRequest::default());
    }
    drop(there);
    late.answer::<MetadataRequest>(METADATA, sent);
}

#[test]
fn a_change_goes_through_though_its_connection_has_to_go() {
    let (mut broker, second) = with_brokers_listener(&["max.connections=1"]);
    for round in 0..60 {
        let mut doomed = Connection::open(&broker);
        doomed.call(METADATA, &MetadataRequest::default());
        doomed.send(CREATE, &create_topic_request(&format!("topic-{round}"), 1));
        std::thread::sleep(Duration::from_micros(round * 50));
        let mut of_broker = Connection::over(TcpStream::connect(second).unwrap());
        of_broker.call(METADATA, &MetadataRequest::default());
    }
    let mut of_broker = Connection::over(TcpStream::connect(second).unwrap());
    let created = of_broker.call(CREATE, &create_topic_request("after-all", 1));
    let topic = created.topics.iter().next().expect("the topic's answer");
    assert_eq!((topic.error_code, &topic.error_message), (0, &None));
    assert!(broker.stop().success());
}

#[test]
fn what_comes_behind_a_request_that_waits_is_not_read_without_end() {
    let broker = Broker::start();
    let mut connection = Connection::open(&broker);
    create(&mut Connection::open(&broker));
    connection.send(FETCH, &fetch(&[0], LONG_MS, 1));
    // Requests of 4 MiB, most of it bytes that nobody looks at.
    let mut frame = connection.frame(METADATA, &MetadataRequest::default());
    frame.resize(4 << 20, 0);
    let size = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    let before_kib = broker.resident_kib();
    let stream = connection.stream();
    stream
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut written = 0;
    while written < 60 * frame.len() {
        match stream.write(&frame[written % frame.len()..]) {
            Ok(bytes) => written += bytes,
            Err(_) => break,
        }
    }
    // The system's own buffers take some ten MiB of it.
    assert!(written < 12 * frame.len(), "{written} bytes were taken");
    let held_kib = broker.resident_kib().saturating_sub(before_kib);
    assert!(held_kib < 24 << 10, "{held_kib} KiB are held");
}

/// As many connections as the system allows this process, up to 10,000: that have asked something and are silent; that wait at the
/// end of a partition; and that have sent the beginning of a request of 100 MB.
#[test]
fn ten_thousand_idle_connections_cost_less_than_200_mib() {
    const WANTED: u64 = 10_000;
    // This process's own files, and the broker's.
    const OTHERS: u64 = 200;
    let descriptors_max = raise_descriptors();
    let connections = WANTED.min(descriptors_max - OTHERS);
    assert!(
        connections == WANTED || std::env::var_os("CI").is_none(),
        "the system lets a process have {descriptors_max} descriptors"
    );
    let mut broker = Broker::not_started(&[]);
    broker.limit_descriptors(descriptors_max);
    broker.start_again();
    create(&mut Connection::open(&broker));
    let before_kib = broker.resident_kib();
    let show = |what: &str, broker: &Broker| {
        let resident_kib = broker.resident_kib();
        let each = (resident_kib - before_kib) * 1024 / connections.max(1);
        eprintln!("{connections} connections, {what}: {resident_kib} KiB resident, {each} bytes each");
        assert!(resident_kib < 200 << 10, "{what}");
    };
    let mut idle = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(&broker);
        connection.call(METADATA, &MetadataRequest::default());
        idle.push(connection);
    }
    show("silent", &broker);
    for connection in &mut idle {
        connection.send(FETCH, &fetch(&[0], LONG_MS, 1));
    }
    let mut bystander = Connection::open(&broker);
    bystander.call(METADATA, &MetadataRequest::default());
    show("waiting at the end of a partition", &broker);
    produce_to(&mut bystander, TOPIC, 0);
    for connection in &mut idle {
        connection.answer::<FetchRequest>(FETCH, 2);
        connection.write(&[&100_000_000i32.to_be_bytes()[..], &[0; 200]].concat());
    }
    bystander.call(METADATA, &MetadataRequest::default());
    show("within a request", &broker);
    assert!(broker.stop().success());
}

/// Allows this process as many open files as the system does.
fn raise_descriptors() -> u64 {
    // SAFETY: all-zero bytes are a valid limit, which the call fills.
    let hard = unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_max
    };
    crate::harness::limit(libc::RLIMIT_NOFILE, hard).expect("up to the hard limit");
    hard
}

#[test]
fn vanished_peers_are_asked_for_signs_of_life() {
    let broker = Broker::start();
    let _connection = Connection::open(&broker);
    let deadline = Instant::now() + PATIENCE;
    // The broker's end; `02` is the keepalive timer.
    while !ends_of(&broker).iter().any(|timer| timer == "02") {
        assert!(Instant::now() < deadline, "{:?}", ends_of(&broker));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The timers of the broker's ends of established connections, as in /proc/net/tcp.
fn ends_of(broker: &Broker) -> Vec<String> {
    let port = format!(":{:04X}", broker.address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let established = |columns: &Vec<&str>| columns[1].ends_with(&port) && columns[3] == "01";
    table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(established)
        .map(|columns| columns[5][..2].to_string())
        .collect()
}

fn connect_from(source: Ipv4Addr, target: SocketAddr) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::V4(source), 0)).unwrap();
        socket.connect(target).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

fn large_batch() -> Vec<u8> {
    let mut batch = ringlog::wire::batch::BatchBuilder::new(ringlog::wire::compression::Codec::None);
    let at = ringlog::base::Timestamp(1_703_462_400_000);
    batch.add(at, None, Some(&vec![7; 1 << 20]), &[]);
    batch.build().to_vec()
}
