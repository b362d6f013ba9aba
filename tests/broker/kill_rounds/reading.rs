//! All that a partition holds, each record compared with what its producer wrote.

use ringlog::wire::batch::{self, BatchView};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::{ErrorCode, Records, Request, frame};

use super::producer::{head, time, value};
use super::verdict::Found;
use super::{Producer, Topic};
use crate::raw::Connection;

/// The last version that names topics by name.
const FETCH: i16 = 12;
const FETCH_BYTES: i32 = 4 << 20;

/// The records of each of these producers, in the order of the log.
///
/// # Panics
/// When a record is not what its producer wrote, or not where its offset says.
pub fn read_partition(
    connection: &mut Connection,
    topic: &Topic,
    partition: i32,
    producers: &[&Producer],
) -> Vec<Vec<Found>> {
    let mut found = vec![Vec::new(); producers.len()];
    let (mut next, mut end) = (0, 1);
    while next < end {
        connection.send(FETCH, &fetch(topic, partition, next));
        let answer = connection.read_frame();
        type Answer<'a> = <FetchRequest<'static> as Request>::Response<'a>;
        let decoded = frame::decode_response::<Answer<'_>>(FetchRequest::KEY, FETCH, &answer);
        let (_, answer) = decoded.expect("an answer");
        let answered = answer.responses.iter().next().expect("the topic");
        let answered = answered.partitions.iter().next().expect("its partition");
        assert_eq!(
            answered.error_code,
            ErrorCode::NONE.0,
            "{}-{partition} at {next}",
            topic.name
        );
        end = answered.high_watermark;
        let Some(Records::Wire(bytes)) = &answered.records else {
            panic!("no records in an answer")
        };
        let before = next;
        for batch in batch::batches(bytes).map_while(Result::ok) {
            next = take(&batch, topic, next, producers, &mut found);
        }
        assert!(
            next > before || next >= end,
            "{}-{partition}: nothing at {next}, though it ends at {end}",
            topic.name
        );
    }
    found
}

/// Takes the records of a batch; where the next one begins.
fn take(
    batch: &BatchView<'_>,
    topic: &Topic,
    next: i64,
    producers: &[&Producer],
    found: &mut [Vec<Found>],
) -> i64 {
    assert!(batch.crc_is_valid());
    assert!(
        batch.base_offset().0 >= next,
        "batches in the order of their offsets"
    );
    let payload = batch.payload(FETCH_BYTES as usize).expect("not compressed");
    for record in batch.records(&payload) {
        let record = record.expect("a record");
        let got = record.value.expect("a value");
        let (number, producer) = head(got);
        let at = producers.iter().position(|known| known.index == producer);
        let at = at.expect("one of the topic's producers");
        assert_eq!(batch.producer_id(), producers[at].id);
        assert_eq!(
            i64::from(batch.base_sequence()) + i64::from(record.offset_delta),
            number as i64,
            "a record's number is its sequence"
        );
        assert_eq!(record.key, topic.key(producer, number).as_deref());
        assert_eq!(record.timestamp, time(number));
        assert!(
            got == value(producer, number),
            "record {number} of {producer} is whole"
        );
        found[at].push(Found {
            number,
            offset: record.offset.0,
        });
    }
    batch.next_offset().0
}

fn fetch(topic: &Topic, partition: i32, from: i64) -> FetchRequest<'static> {
    let partition = FetchPartition {
        partition,
        fetch_offset: from,
        partition_max_bytes: FETCH_BYTES,
        ..Default::default()
    };
    FetchRequest {
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: topic.name.into(),
            partitions: vec![partition].into(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    }
}
