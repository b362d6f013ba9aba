//! Retention: what is too old goes, the active segment too, and where the log ended is not forgotten.

use std::time::{Duration, Instant};

use crate::delete_records::{PARTITIONS, TOPIC, earliest, produce, with_records};
use crate::harness::Broker;
use crate::raw::Connection;

const RECORDS: i64 = 5;

#[test]
fn a_topic_of_old_records_becomes_empty_and_goes_on_where_it_ended() {
    let mut broker = Broker::start_with(&["log.retention.check.interval.ms=100"]);
    let mut client = with_records(&broker, RECORDS as usize);
    expect_empty(&broker, &mut client);
    broker.kill_and_start_again();
    let mut client = Connection::open(&broker);
    expect_empty(&broker, &mut client);
    for partition in 0..PARTITIONS {
        produce(&mut client, partition);
    }
    let is_next = |partition| earliest(&mut client, partition) >= RECORDS;
    assert!((0..PARTITIONS).all(is_next));
}

/// Nothing is left of any partition but an empty segment at its end.
fn expect_empty(broker: &Broker, client: &mut Connection) {
    let patience = Instant::now() + Duration::from_secs(30);
    let segments = |partition| {
        let dir = broker.data().join(format!("{TOPIC}-{partition}"));
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name.ends_with(".log"));
        names
    };
    for partition in 0..PARTITIONS {
        while earliest(client, partition) < RECORDS || segments(partition) != [format!("{RECORDS:020}.log")] {
            assert!(
                Instant::now() < patience,
                "partition {partition}: {:?}",
                segments(partition)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
