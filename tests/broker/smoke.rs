//! A broker's life in one short test each: what the inner loop runs.

use std::net::TcpStream;

use crate::client::{create_topic, end_offset, number, partition, read_all, send, values};
use crate::harness::{Broker, PATIENCE, Running};

#[tokio::test]
async fn a_record_goes_in_and_comes_out() {
    let mut broker = Broker::start();
    create_topic(&broker, "first-light", 2).await;
    for index in 0..2 {
        let sent: Vec<Vec<u8>> = (0..10).map(number).collect();
        send(&partition(&broker, "first-light", index).await, sent.clone()).await;
        assert_eq!(values(&read_all(&broker, "first-light", index).await), sent);
    }
    assert!(broker.stop().success(), "a stop by SIGTERM is a success");
}

#[test]
fn the_ready_line_tells_address_directory_cores_and_time() {
    let broker = Broker::start();
    let stdout = broker.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines.len(), 1, "one line: {stdout}");
    let line = lines[0];
    for part in [
        broker.bootstrap(),
        broker.data().display().to_string(),
        " ms".into(),
        "core".into(),
        "ringlog ".into(),
    ] {
        assert!(line.contains(&part), "{part:?} in {line:?}");
    }
    TcpStream::connect(broker.address).expect("ready means ready");
}

#[tokio::test]
async fn a_clean_stop_keeps_everything() {
    let mut broker = Broker::start();
    create_topic(&broker, "kept", 3).await;
    for round in 0..3usize {
        for index in 0..3 {
            let offsets = send(&partition(&broker, "kept", index).await, [number(round)]).await;
            assert_eq!(offsets, [round as i64]);
        }
        assert!(broker.stop().success());
        broker.start_again();
        assert_eq!(end_offset(&broker, "kept", 2).await, Some(round as i64 + 1));
    }
    assert_eq!(
        values(&read_all(&broker, "kept", 0).await),
        [number(0), number(1), number(2)]
    );
}

#[test]
fn a_second_broker_on_the_directory_or_the_port_is_refused() {
    let broker = Broker::start();
    let elsewhere = Broker::not_started(&[]);

    let mut same_directory = elsewhere.command();
    same_directory.args(["-o", &format!("log.dirs={}", broker.data().display())]);
    let ended = Running::spawn(&mut same_directory).wait();
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains(&broker.data().display().to_string()),
        "names the directory: {}",
        ended.stderr
    );

    let mut same_port = elsewhere.command();
    same_port.args(["-o", &format!("listeners=PLAINTEXT://{}", broker.address)]);
    let ended = Running::spawn(&mut same_port).wait();
    assert!(!ended.status.success());
    assert!(
        ended.stderr.contains(&broker.address.port().to_string()),
        "names the port: {}",
        ended.stderr
    );
}

#[test]
fn a_broker_with_an_open_connection_stops_in_time() {
    let mut broker = Broker::start();
    let idle = TcpStream::connect(broker.address).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(broker.stop().success());
}
