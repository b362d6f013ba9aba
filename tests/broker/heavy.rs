//! Requests that would hold a core, and what other connections notice of them: nothing.

use std::time::{Duration, Instant};

use ringlog::base::Timestamp;
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::alter_configs_request::{self, AlterConfigsRequest};
use ringlog::wire::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::delete_topics_request::DeleteTopicsRequest;
use ringlog::wire::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use ringlog::wire::messages::describe_topic_partitions_request::{
    DescribeTopicPartitionsRequest, TopicRequest,
};
use ringlog::wire::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use ringlog::wire::messages::find_coordinator_request::FindCoordinatorRequest;
use ringlog::wire::messages::incremental_alter_configs_request::{self, IncrementalAlterConfigsRequest};
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ringlog::wire::messages::metadata_request::MetadataRequest;
use ringlog::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::{ApiKey, ErrorCode, Records, Request};

use crate::harness::{Broker, PATIENCE};
use crate::raw::{Connection, create_topic, create_topic_request};

const TOPIC: &str = "heavy";

/// Before topic ids.
const PRODUCE: i16 = 12;
const METADATA: i16 = 12;

fn batch(codec: Codec, value: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuilder::new(codec);
    batch.add(Timestamp(1_703_462_400_000), None, Some(value), &[]);
    batch.build().to_vec()
}

/// These partitions of the topic with these records, in this order.
fn produce<'a>(partitions: impl IntoIterator<Item = (i32, Option<&'a [u8]>)>) -> ProduceRequest<'a> {
    let partitions = partitions
        .into_iter()
        .map(|(index, records)| PartitionProduceData {
            index,
            records: records.map(Records::Wire),
        });
    let topic = TopicProduceData {
        name: TOPIC.into(),
        partition_data: partitions.collect(),
        ..Default::default()
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![topic].into(),
        ..Default::default()
    }
}

#[test]
fn ten_million_topics_in_a_request_are_refused_and_cost_nothing() {
    let broker = Broker::start();
    let mut client = Connection::open(&broker);
    let mut bystander = Connection::open(&broker);
    bystander.call(METADATA, &MetadataRequest::default());
    let before_kib = broker.resident_kib();
    // Version 9 and on: a name of one byte, no partition, no tag.
    const TOPICS: usize = 10_000_000;
    let mut frame = client.frame(PRODUCE, &ProduceRequest::default());
    // In the place of no topics, and of no tags behind them.
    frame.truncate(frame.len() - 2);
    frame.extend([0x81, 0xad, 0xe2, 0x04]);
    frame.extend([2, b't', 1, 0].repeat(TOPICS));
    frame.push(0);
    let size = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    client.write(&frame);
    client.expect_closed();
    bystander.call(METADATA, &MetadataRequest::default());
    // The frame itself may still be there, and nothing more.
    let held_kib = broker.resident_kib().saturating_sub(before_kib) as usize;
    assert!(held_kib * 1024 < 2 * frame.len(), "{held_kib} KiB");
    let is_told = || broker.stderr().contains("a request may name 262144 in all");
    assert!(
        (0..500).any(|_| is_told() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }),
        "it is told why"
    );
}

#[test]
fn batches_that_take_long_to_walk_let_others_in_between() {
    // Seconds of a core.
    let bomb = batch(Codec::Zstd, &vec![0; 64 << 20]);
    is_walked_beside_others(&bomb, 40);
}

#[test]
fn one_batch_that_takes_long_to_walk_lets_others_in_between() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        is_walked_beside_others(&batch(codec, &vec![0; 90 << 20]), 1);
    }
}

fn is_walked_beside_others(bomb: &[u8], partitions: i32) {
    let broker = Broker::start_with(&["ringlog.cores=1", "message.max.bytes=10000000"]);
    let mut pair = Pair::of(&broker);
    create_topic(&mut pair.client, TOPIC, partitions);
    let request = produce((0..partitions).map(|index| (index, Some(bomb))));
    let is_fair = pair.sees_turns(|pair| {
        let (answer, is_fair) = pair.call(PRODUCE, &request);
        let topic = answer.responses.iter().next().expect("the topic's answer");
        assert_eq!(topic.partition_responses.len(), partitions as usize);
        let mut outcomes = topic.partition_responses.iter();
        assert!(outcomes.all(|partition| partition.error_code == 0));
        is_fair
    });
    assert!(is_fair, "all were walked before anyone else was served");
}

#[test]
fn many_partitions_are_made_and_deleted_beside_others() {
    const PARTITIONS: i32 = 1_000;
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut pair = Pair::of(&broker);
    let mut made = 0;
    let is_fair = pair.sees_turns(|pair| {
        made += 1;
        let (answer, is_fair) = pair.call(7, &create_topic_request(&format!("many-{made}"), PARTITIONS));
        assert_eq!(answer.topics.iter().next().expect("its answer").error_code, 0);
        is_fair
    });
    assert!(is_fair, "all were made before anyone else was served");
    let mut deleted = 0;
    let is_fair = pair.sees_turns(|pair| {
        deleted += 1;
        let name = format!("many-{deleted}");
        if deleted > made {
            create_topic(&mut pair.client, &name, PARTITIONS);
        }
        let request = DeleteTopicsRequest {
            topic_names: vec![name.into()].into(),
            timeout_ms: 10_000,
            ..Default::default()
        };
        let (answer, is_fair) = pair.call(5, &request);
        assert_eq!(answer.responses.iter().next().expect("its answer").error_code, 0);
        is_fair
    });
    assert!(is_fair, "all were deleted before anyone else was served");
}

#[test]
fn requests_that_name_very_much_let_others_in_between() {
    const NAMES: usize = 250_000;
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut pair = Pair::of(&broker);
    create_topic(&mut pair.client, TOPIC, 1);
    let partitions = (0..NAMES as i32).map(|partition| FetchPartition {
        partition,
        ..Default::default()
    });
    let fetch = FetchRequest {
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![FetchTopic {
            topic: TOPIC.into(),
            partitions: partitions.collect(),
            ..Default::default()
        }]
        .into(),
        ..Default::default()
    };
    let fetched = pair.call_beside_others(11, &fetch);
    let topic = fetched.responses.iter().next().expect("the topic");
    assert_eq!(topic.partitions.len(), NAMES);
    let names = || (0..NAMES).map(|n| format!("unknown-{n}"));
    let topic = |name: String| TopicRequest { name: name.into() };
    let describe = DescribeTopicPartitionsRequest {
        topics: names().map(topic).collect(),
        response_partition_limit: 2_000,
        cursor: None,
    };
    let described = pair.call_beside_others(0, &describe);
    assert_eq!(described.topics.len(), NAMES);
    let list = ListOffsetsRequest {
        topics: vec![ListOffsetsTopic {
            name: TOPIC.into(),
            partitions: (0..NAMES).map(|_| ListOffsetsPartition::default()).collect(),
        }]
        .into(),
        ..Default::default()
    };
    pair.call_beside_others(4, &list);
    let epochs = OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: TOPIC.into(),
            partitions: (0..NAMES).map(|_| OffsetForLeaderPartition::default()).collect(),
        }]
        .into(),
        ..Default::default()
    };
    let found = pair.call_beside_others(4, &epochs);
    let topic = found.topics.iter().next().expect("the topic");
    assert_eq!(topic.partitions.len(), NAMES);
}

#[test]
fn changes_that_name_very_much_are_refused_beside_others() {
    const NAMES: usize = 250_000;
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut pair = Pair::of(&broker);
    let names = || (0..NAMES).map(|n| format!("unknown-{n}"));
    let are_refused = |codes: &mut dyn Iterator<Item = i16>| {
        let codes: Vec<i16> = codes.collect();
        assert_eq!(codes.len(), NAMES);
        assert!(codes.iter().all(|code| *code == ErrorCode::POLICY_VIOLATION.0));
    };

    let delete = DeleteTopicsRequest {
        topic_names: names().map(Into::into).collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let deleted = pair.call_beside_others(5, &delete);
    are_refused(&mut deleted.responses.iter().map(|result| result.error_code));

    let new_topic = |name: String| CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let create = CreateTopicsRequest {
        topics: names().map(new_topic).collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let created = pair.call_beside_others(7, &create);
    are_refused(&mut created.topics.iter().map(|result| result.error_code));

    let grown_topic = |name: String| CreatePartitionsTopic {
        name: name.into(),
        count: 2,
        ..Default::default()
    };
    let grow = CreatePartitionsRequest {
        topics: names().map(grown_topic).collect(),
        timeout_ms: 10_000,
        ..Default::default()
    };
    let grown = pair.call_beside_others(3, &grow);
    are_refused(&mut grown.results.iter().map(|result| result.error_code));

    let resource = |name: String| alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: name.into(),
        ..Default::default()
    };
    let alter = AlterConfigsRequest {
        resources: names().map(resource).collect(),
        validate_only: false,
    };
    let altered = pair.call_beside_others(2, &alter);
    are_refused(&mut altered.responses.iter().map(|result| result.error_code));

    let resource = |name: String| incremental_alter_configs_request::AlterConfigsResource {
        resource_type: 2,
        resource_name: name.into(),
        ..Default::default()
    };
    let alter = IncrementalAlterConfigsRequest {
        resources: names().map(resource).collect(),
        validate_only: false,
    };
    let altered = pair.call_beside_others(1, &alter);
    are_refused(&mut altered.responses.iter().map(|result| result.error_code));
}

/// A client that asks much of a core, and another of the same core.
struct Pair {
    client: Connection,
    bystander: Connection,
}

impl Pair {
    fn of(broker: &Broker) -> Pair {
        Pair {
            client: Connection::open(broker),
            bystander: Connection::open(broker),
        }
    }

    /// The client's answer, and whether the bystander was served in the middle.
    fn call<R: Request>(&mut self, version: i16, request: &R) -> (R::Response<'static>, bool) {
        let correlation_id = self.client.send(version, request);
        // The first may come before the client's request does, the others not.
        for _ in 0..3 {
            self.bystander.call(METADATA, &MetadataRequest::default());
        }
        let is_fair = self.client.is_silent();
        (self.client.answer::<R>(version, correlation_id), is_fair)
    }

    /// The client's answer; until it comes the bystander is served far more often than while the request arrives.
    fn call_beside_others<R: Request>(&mut self, version: i16, request: &R) -> R::Response<'static> {
        const FAR_MORE: usize = 20;
        let correlation_id = self.client.send(version, request);
        let mut served = 0;
        while self.client.is_silent() {
            self.bystander.call(METADATA, &MetadataRequest::default());
            served += 1;
        }
        let answer = self.client.answer::<R>(version, correlation_id);
        assert!(served > FAR_MORE, "others were served {served} times");
        answer
    }

    /// Whether one of many tries saw the bystander served: under load it may come too late, but not every time.
    fn sees_turns(&mut self, mut call: impl FnMut(&mut Pair) -> bool) -> bool {
        (0..20).any(|_| call(self))
    }
}

#[test]
fn answers_to_many_requests_that_nobody_reads_are_not_all_made() {
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut bystander = Connection::open(&broker);
    bystander.call(METADATA, &MetadataRequest::default());
    let before_kib = broker.resident_kib();
    // 24 KB each, and an answer of 132 KB: 84 MB of answers to 15 MB of requests.
    let mut clients: Vec<Connection> = (0..10).map(|_| Connection::open(&broker)).collect();
    for client in &mut clients {
        for _ in 0..64 {
            client.send(PRODUCE, &produce((0..4_000).map(|index| (index, None))));
        }
    }
    for _ in 0..200 {
        bystander.call(METADATA, &MetadataRequest::default());
        std::thread::sleep(Duration::from_millis(5));
    }
    let held_kib = broker.resident_kib().saturating_sub(before_kib);
    assert!(held_kib < 64 * 1024, "{held_kib} KiB");
}

#[test]
fn large_requests_of_many_clients_are_answered_one_at_a_time() {
    const EPOCHS: i16 = 4;
    // Half of the connections are on the core that doesn't own the partition, and ask the other.
    let broker = Broker::start_with(&["ringlog.cores=2"]);
    let mut bystander = Connection::open(&broker);
    create_topic(&mut bystander, TOPIC, 1);
    let before_kib = broker.resident_kib();
    let partitions = (0..100_000).map(|_| OffsetForLeaderPartition::default());
    let topic = OffsetForLeaderTopic {
        topic: TOPIC.into(),
        partitions: partitions.collect(),
    };
    let request = OffsetForLeaderEpochRequest {
        topics: vec![topic].into(),
        ..Default::default()
    };
    let mut clients: Vec<Connection> = (0..20).map(|_| Connection::open(&broker)).collect();
    // 1.7 MB each, and an answer of 2 MB.
    for client in &mut clients {
        client.send(EPOCHS, &request);
    }
    for _ in 0..200 {
        bystander.call(METADATA, &MetadataRequest::default());
        std::thread::sleep(Duration::from_millis(5));
    }
    let held_kib = broker.resident_kib().saturating_sub(before_kib);
    assert!(held_kib < 96 * 1024, "{held_kib} KiB");
    for client in &mut clients {
        client.answer::<OffsetForLeaderEpochRequest>(EPOCHS, 1);
    }
}

#[test]
fn who_leaves_most_unread_goes_before_it_takes_all_memory() {
    const COORDINATORS: i16 = 4;
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut bystander = Connection::open(&broker);
    // 262 KB, and an answer of 20 MB.
    let request = FindCoordinatorRequest {
        coordinator_keys: (0..262_000).map(|_| "".into()).collect(),
        ..Default::default()
    };
    let mut clients: Vec<Connection> = (0..60).map(|_| Connection::open(&broker)).collect();
    for client in &mut clients {
        client.send(COORDINATORS, &request);
    }
    let deadline = Instant::now() + PATIENCE;
    let mut held_kib = 0;
    while !broker.stderr().contains("bytes of answers") {
        assert!(Instant::now() < deadline, "nobody has to go");
        bystander.call(METADATA, &MetadataRequest::default());
        held_kib = held_kib.max(broker.resident_kib());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(held_kib < 768 * 1024, "{held_kib} KiB");
    bystander.call(METADATA, &MetadataRequest::default());
}

#[test]
fn a_request_that_pauses_is_not_overtaken_by_the_next_of_its_connection() {
    let broker = Broker::start_with(&["ringlog.cores=1"]);
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, 1);
    let (first, second) = (batch(Codec::None, b"first"), batch(Codec::None, b"second"));
    // Two hundred thousand partitions that do not exist stand before the one that does.
    let unknown = (1..200_000).map(|index| (index, None));
    let long = client.frame(PRODUCE, &produce(unknown.chain([(0, Some(&first[..]))])));
    let short = client.frame(PRODUCE, &produce([(0, Some(&second[..]))]));
    client.write(&[long, short].concat());
    let base_offset = |client: &mut Connection, correlation_id| {
        let answer = client.answer::<ProduceRequest>(PRODUCE, correlation_id);
        let topic = answer.responses.iter().next().expect("the topic's answer");
        let partitions: Vec<_> = topic.partition_responses.iter().collect();
        let last = partitions.last().expect("the partition's answer");
        assert_eq!(last.error_code, 0);
        last.base_offset
    };
    assert_eq!(base_offset(&mut client, 2), 0);
    assert_eq!(base_offset(&mut client, 3), 1);
}

#[test]
fn a_client_id_need_not_be_there_nor_be_text() {
    let broker = Broker::start();
    for client_id in [&[0xff, 0xff][..], &[0, 2, 0xff, 0xfe]] {
        let mut client = Connection::open(&broker);
        let header = [
            &ApiKey::METADATA.0.to_be_bytes()[..],
            &[0, 1, 0, 0, 0, 1],
            client_id,
        ]
        .concat();
        let frame = [&header[..], &[0, 0, 0, 0]].concat();
        client.write(&[&(frame.len() as i32).to_be_bytes()[..], &frame].concat());
        let answer = client.answer::<MetadataRequest>(1, 1);
        assert_eq!(answer.brokers.len(), 1);
    }
}

#[test]
fn a_resource_that_is_named_very_often_is_described_once() {
    let broker = Broker::start();
    let mut client = Connection::open(&broker);
    let resource = || DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
        configuration_keys: None,
    };
    let request = DescribeConfigsRequest {
        resources: (0..60_000).map(|_| resource()).collect(),
        include_synonyms: true,
        include_documentation: true,
    };
    let answer = client.call(4, &request);
    let results: Vec<_> = answer.results.iter().map(|result| result.error_code).collect();
    assert_eq!(results, [0]);
}

#[test]
fn a_fetch_of_very_many_partitions_that_are_not_there_does_not_wait() {
    let broker = Broker::start();
    let mut client = Connection::open(&broker);
    create_topic(&mut client, TOPIC, 1);
    let fetch = |partitions: i32| {
        let partition = |partition| FetchPartition {
            partition,
            ..Default::default()
        };
        let topic = FetchTopic {
            topic: TOPIC.into(),
            partitions: (0..partitions).map(partition).collect(),
            ..Default::default()
        };
        FetchRequest {
            // Far longer than a test runs.
            max_wait_ms: 600_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic].into(),
            ..Default::default()
        }
    };
    let answer = client.call(11, &fetch(20_000));
    let topic = answer.responses.iter().next().expect("the topic");
    assert_eq!(topic.partitions.iter().count(), 20_000);
    // A few of them are waited with.
    client.send(11, &fetch(100));
    assert!(client.is_silent_for(Duration::from_millis(300)));
}
