//! Mailboxes that are full and a peer core that is slow: whoever asks waits, back to its socket; nothing is lost, and nobody waits for ever.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringlog::base::Timestamp;
use ringlog::client::HostPort;
use ringlog::client::admin::{self, NewTopic};
use ringlog::io;
use ringlog::io::net::{Reader, Stream, Writer, resolve_now};
use ringlog::io::sim::Faults;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ringlog::wire::messages::list_offsets_response::ListOffsetsResponse;
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::messages::produce_response::ProduceResponse;
use ringlog::wire::{Encode, ErrorCode, Records, Str, frame};

use crate::kit::{Setup, connect};
use crate::seeds;

const TOPIC: &str = "pressure";
/// Enough that each of two cores owns some, whatever the seed.
const PARTITIONS: i32 = 32;
const CONNECTIONS: usize = 12;
/// Of each connection, all sent without waiting. A core may have 256 requests outstanding with another; these are many times as many.
const REQUESTS: usize = 24;
/// Each request asks for so many partitions.
const AT_ONCE: i32 = 8;
const PRODUCE: i16 = 12;
const LIST_OFFSETS: i16 = 7;
/// Virtual time after which nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(900);

/// One message fits into a mailbox, and takes longer than everything else together.
fn slow_mail() -> Faults {
    Faults {
        mailbox_messages_max: 1,
        mail_nanos: 10_000..2_000_000,
        ..Faults::none()
    }
}

#[test]
fn whoever_asks_a_slow_core_waits_and_everything_is_answered_once_and_in_order() {
    seeds::each(
        "whoever_asks_a_slow_core_waits_and_everything_is_answered_once_and_in_order",
        |seed| {
            let mut setup = started(seed, slow_mail());
            let clients: Vec<_> = (0..CONNECTIONS)
                .map(|client| {
                    let bootstrap = setup.bootstrap();
                    let host = setup.sim.add_host(1);
                    setup.sim.run(host, move || ask_all_at_once(bootstrap, client))
                })
                .collect();
            let have_ended = || clients.iter().all(|client| client.has_ended());
            assert!(
                setup.sim.pass_until(PATIENCE, have_ended),
                "a request is never answered"
            );
            let produced: usize = clients.iter().filter_map(|client| client.take()).sum();
            setup.expect_running();
            assert_eq!(records_in_all(&setup), produced, "each was appended once");
            setup.stop();
        },
    );
}

#[test]
fn the_socket_of_a_client_whose_requests_wait_is_not_read_and_is_again_when_they_are_answered() {
    seeds::each(
        "the_socket_of_a_client_whose_requests_wait_is_not_read_and_is_again_when_they_are_answered",
        |seed| {
            let mut setup = started(seed, Faults::none());
            // As good as never.
            setup.sim.set_faults(Faults {
                mail_nanos: 100_000_000_000..100_000_000_001,
                ..Faults::none()
            });
            let sent = Arc::new(AtomicUsize::new(0));
            let host = setup.sim.add_host(1);
            let flood = setup.sim.run(host, {
                let (bootstrap, sent) = (setup.bootstrap(), sent.clone());
                move || flood(bootstrap, sent)
            });
            setup.sim.pass(Duration::from_secs(30));
            let taken_bytes = sent.load(Ordering::Relaxed);
            assert!(
                taken_bytes > 0 && !flood.has_ended(),
                "{taken_bytes} bytes were taken, all: {}",
                flood.has_ended()
            );
            assert!(taken_bytes < TAKEN_BYTES_MAX, "{taken_bytes} bytes were taken");
            setup.sim.pass(Duration::from_secs(10));
            assert_eq!(sent.load(Ordering::Relaxed), taken_bytes, "and no more");
            setup.sim.set_faults(Faults::none());
            assert!(setup.sim.pass_until(PATIENCE, || flood.has_ended()), "it goes on");
            let answered = flood.take().expect("it ended");
            setup.expect_running();
            assert_eq!(records_in_all(&setup), answered * AT_ONCE as usize);
            setup.stop();
        },
    );
}

/// What a flood sends in one request, and how often: more than anyone takes.
const FLOOD_VALUE_BYTES: usize = 8 << 10;
const FLOOD_REQUESTS: usize = 250;
/// A full queue of 64 requests, 8 MiB of them at most, and what the two sockets and the network hold.
const TAKEN_BYTES_MAX: usize = (8 << 20) + (1 << 20);

fn started(seed: u64, faults: Faults) -> Setup {
    let mut setup = Setup::new(seed, faults, &[]);
    setup.start();
    let host = setup.sim.add_host(1);
    let bootstrap = setup.bootstrap();
    let created = setup.sim.run(host, move || create(bootstrap));
    assert!(setup.sim.pass_until(PATIENCE, || created.has_ended()), "no topic");
    setup
}

async fn create(bootstrap: HostPort) {
    let cluster = connect(bootstrap).await;
    let topic = NewTopic {
        name: TOPIC.into(),
        partitions: Some(PARTITIONS),
        replication_factor: None,
        configs: Vec::new(),
    };
    admin::create_topic(&cluster, &topic)
        .await
        .expect("an honest world");
}

async fn open(bootstrap: &HostPort) -> (Reader, Writer) {
    let address = resolve_now(&bootstrap.host, bootstrap.port).expect("an address")[0];
    Stream::connect(address).await.expect("an honest world").split()
}

/// Sends everything, then reads the answers; how many records were appended.
async fn ask_all_at_once(bootstrap: HostPort, client: usize) -> usize {
    let (mut reader, mut writer) = open(&bootstrap).await;
    let asked: Vec<bool> = (0..REQUESTS).map(|at| !(client + at).is_multiple_of(5)).collect();
    let frames = asked
        .iter()
        .enumerate()
        .flat_map(|(at, produces)| match produces {
            true => encoded(0, PRODUCE, at, &produce(client + at, b"tick")),
            false => encoded(2, LIST_OFFSETS, at, &list_offsets()),
        });
    let frames: Vec<Bytes> = frames.collect();
    let sending = io::spawn(async move { writer.send(frames).await.map(|()| writer) });
    let mut produced = 0;
    for (at, produces) in asked.iter().enumerate() {
        let answer = next_frame(&mut reader).await;
        if *produces {
            expect_appended(&answer, at);
            produced += AT_ONCE as usize;
        } else {
            let answer = frame::decode_response::<ListOffsetsResponse<'_>>(2, LIST_OFFSETS, &answer);
            let (correlation_id, answer) = answer.expect("an answer");
            assert_eq!(correlation_id, at as i32, "in the order of the requests");
            assert_eq!(answer.topics.iter().count(), 1);
        }
    }
    sending.await.expect("an honest world");
    produced
}

/// Sends large requests as long as anyone takes them, and reads the answers; how many requests were answered.
async fn flood(bootstrap: HostPort, sent: Arc<AtomicUsize>) -> usize {
    let (mut reader, mut writer) = open(&bootstrap).await;
    let is_over = Rc::new(Cell::new(false));
    let over = is_over.clone();
    let sending = io::spawn(async move {
        let value = vec![7; FLOOD_VALUE_BYTES];
        for at in 0..FLOOD_REQUESTS {
            let segments = encoded(0, PRODUCE, at, &produce(at, &value));
            let bytes: usize = segments.iter().map(Bytes::len).sum();
            writer.send(segments).await.expect("an honest world");
            sent.fetch_add(bytes, Ordering::Relaxed);
        }
        over.set(true);
        writer
    });
    for at in 0..FLOOD_REQUESTS {
        expect_appended(&next_frame(&mut reader).await, at);
    }
    sending.await;
    assert!(is_over.get());
    FLOOD_REQUESTS
}

fn expect_appended(answer: &[u8], at: usize) {
    let answer = frame::decode_response::<ProduceResponse<'_>>(0, PRODUCE, answer);
    let (correlation_id, answer) = answer.expect("an answer");
    assert_eq!(correlation_id, at as i32, "in the order of the requests");
    let partitions = answer.responses.iter().flat_map(|topic| {
        let codes = topic
            .partition_responses
            .iter()
            .map(|partition| partition.error_code);
        codes.collect::<Vec<_>>()
    });
    let codes: Vec<i16> = partitions.collect();
    assert_eq!(codes, [ErrorCode::NONE.0; AT_ONCE as usize]);
}

async fn next_frame(reader: &mut Reader) -> Vec<u8> {
    let size = reader.recv_exact(Default::default(), 4).await.expect("an answer");
    let size = u32::from_be_bytes(size[..].try_into().expect("four bytes"));
    let answer = reader.recv_exact(Default::default(), size as usize).await;
    answer.expect("a whole answer").to_vec()
}

fn encoded(key: i16, version: i16, correlation_id: usize, body: &impl Encode) -> Vec<Bytes> {
    frame::encode_request(key, version, correlation_id as i32, Some("pressure"), body).expect("it encodes")
}

/// A record for each of some partitions, others each time.
fn produce(turn: usize, value: &[u8]) -> ProduceRequest<'static> {
    let mut batch = BatchBuilder::new(Codec::None);
    batch.add(Timestamp(1_703_462_400_000), None, Some(value), &[]);
    let records = batch.build();
    let partition = |at: i32| PartitionProduceData {
        index: (turn as i32 + at) % PARTITIONS,
        records: Some(Records::Segments(vec![records.clone()])),
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![TopicProduceData {
            name: Str::Borrowed(TOPIC),
            partition_data: (0..AT_ONCE).map(partition).collect(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    }
}

/// The end of every partition.
fn list_offsets() -> ListOffsetsRequest<'static> {
    let partition = |index| ListOffsetsPartition {
        partition_index: index,
        timestamp: -1,
        ..Default::default()
    };
    ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: Str::Borrowed(TOPIC),
            partitions: (0..PARTITIONS).map(partition).collect(),
        }]
        .into(),
        ..Default::default()
    }
}

/// How many records all partitions hold.
fn records_in_all(setup: &Setup) -> usize {
    let host = setup.sim.add_host(1);
    let bootstrap = setup.bootstrap();
    let ends = setup.sim.run(host, move || async move {
        let (mut reader, mut writer) = open(&bootstrap).await;
        let asked = writer.send(encoded(2, LIST_OFFSETS, 0, &list_offsets())).await;
        asked.expect("an honest world");
        let answer = next_frame(&mut reader).await;
        let answer = frame::decode_response::<ListOffsetsResponse<'_>>(2, LIST_OFFSETS, &answer);
        let (_, answer) = answer.expect("an answer");
        let topic = answer.topics.iter().next().expect("the topic");
        topic
            .partitions
            .iter()
            .map(|partition| partition.offset as usize)
            .sum()
    });
    assert!(
        setup.sim.pass_until(PATIENCE, || ends.has_ended()),
        "the ends cannot be asked for"
    );
    ends.take().expect("it ended")
}
