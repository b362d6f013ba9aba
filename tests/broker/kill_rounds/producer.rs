//! An idempotent producer that goes on after its broker was killed: with the same id, and with the same sequences for what nobody
//! acknowledged.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ringlog::base::{ProducerEpoch, ProducerId, Timestamp};
use ringlog::wire::batch::BatchBuilder;
use ringlog::wire::compression::Codec;
use ringlog::wire::messages::init_producer_id_request::InitProducerIdRequest;
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::messages::produce_response::ProduceResponse;
use ringlog::wire::{ApiKey, Records, frame};

use super::Topic;
use super::verdict::{Acknowledged, Expected};
use crate::chance::Chance;
use crate::harness::Broker;
use crate::raw::Connection;

/// The last version that names topics by name.
const PRODUCE: i16 = 12;
/// As many as an idempotent producer may have.
const REQUESTS_IN_FLIGHT: usize = 5;
const RECORDS_PER_BATCH_MAX: u64 = 8;
const VALUE_BYTES_MAX: u64 = 4_000;
/// What every value begins with: its number, and who sent it.
const HEAD_BYTES: usize = 16;
/// Of one producer in one partition of a compacted topic.
pub const KEYS: u64 = 64;

/// What the producers of a round have done, and what they are to do.
#[derive(Default)]
pub struct Load {
    /// Of values.
    acknowledged_bytes: AtomicU64,
    is_killed: AtomicBool,
    is_draining: bool,
}

impl Load {
    /// Nothing new is sent: only what was not acknowledged.
    pub fn draining() -> Load {
        Load {
            is_draining: true,
            ..Load::default()
        }
    }

    /// The bytes of the values that were acknowledged.
    pub fn acknowledged_bytes(&self) -> u64 {
        self.acknowledged_bytes.load(Ordering::Relaxed)
    }

    /// Whether the broker may be dead.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Ordering::SeqCst)
    }

    /// From here on a connection may break.
    pub fn may_break(&self) {
        self.is_killed.store(true, Ordering::SeqCst);
    }
}

/// See the module.
pub struct Producer {
    pub topic: &'static Topic,
    /// Among all producers.
    pub index: u64,
    /// Its producer id.
    pub id: ProducerId,
    /// By partition.
    lanes: Vec<Lane>,
    chance: Chance,
}

/// One producer's records for one partition. The number of a record is its sequence too.
#[derive(Default)]
struct Lane {
    acknowledged: Vec<Acknowledged>,
    /// Batches that were sent and not acknowledged, oldest first. At most as many as there are requests in flight.
    unacknowledged: VecDeque<Range<u64>>,
    /// How many of them have been sent on this connection.
    sent_here: usize,
    next_number: u64,
}

impl Producer {
    /// One with a new id.
    pub fn new(broker: &Broker, topic: &'static Topic, index: u64, seed: u64) -> Producer {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let answer = Connection::open(broker).call(0, &request);
        assert_eq!(answer.error_code, 0);
        Producer {
            topic,
            index,
            id: ProducerId(answer.producer_id),
            lanes: (0..topic.partitions).map(|_| Lane::default()).collect(),
            chance: Chance(seed ^ ((index + 1) << 32)),
        }
    }

    /// Sends until the broker is killed, or until all is acknowledged that was ever sent.
    pub fn run(&mut self, broker: SocketAddr, load: &Load) {
        match self.send_and_receive(broker, load) {
            Ok(()) => {}
            Err(_) if load.is_killed.load(Ordering::SeqCst) => {}
            Err(error) => panic!("a connection broke while the broker ran: {error}"),
        }
    }

    /// What a partition must hold of it.
    pub fn expected(&self, partition: i32) -> Expected<'_> {
        let lane = &self.lanes[partition as usize];
        Expected {
            acknowledged: &lane.acknowledged,
            sent: lane.next_number,
            keys: self.topic.is_compacted().then_some(KEYS),
        }
    }

    fn send_and_receive(&mut self, broker: SocketAddr, load: &Load) -> io::Result<()> {
        let mut connection = Connection::over(TcpStream::connect(broker)?);
        self.lanes.iter_mut().for_each(|lane| lane.sent_here = 0);
        let mut in_flight = VecDeque::new();
        loop {
            while in_flight.len() < REQUESTS_IN_FLIGHT {
                let lanes = self.choose(load.is_draining);
                if lanes.is_empty() {
                    break;
                }
                self.send(&mut connection, &lanes)?;
                in_flight.push_back(lanes);
            }
            let Some(lanes) = in_flight.pop_front() else {
                return Ok(());
            };
            let answer = connection.try_read_frame()?;
            let bytes = self.acknowledge(&lanes, &answer);
            load.acknowledged_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The partitions of the next request: at least one, unless there is nothing left to send.
    fn choose(&mut self, is_draining: bool) -> Vec<usize> {
        let has_more = |lane: &Lane| !is_draining || lane.sent_here < lane.unacknowledged.len();
        let mut able: Vec<usize> = (0..self.lanes.len())
            .filter(|n| has_more(&self.lanes[*n]))
            .collect();
        let wanted = 1 + self.chance.below(able.len().max(1) as u64) as usize;
        while able.len() > wanted {
            able.swap_remove(self.chance.below(able.len() as u64) as usize);
        }
        able
    }

    fn send(&mut self, connection: &mut Connection, lanes: &[usize]) -> io::Result<()> {
        let batches: Vec<Vec<u8>> = lanes.iter().map(|lane| self.next_batch(*lane)).collect();
        let partitions = lanes
            .iter()
            .zip(&batches)
            .map(|(lane, batch)| PartitionProduceData {
                index: *lane as i32,
                records: Some(Records::Wire(batch)),
            });
        let topic = TopicProduceData {
            name: self.topic.name.into(),
            partition_data: partitions.collect(),
            ..Default::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![topic].into(),
            ..Default::default()
        };
        let frame = connection.frame(PRODUCE, &request);
        connection.try_write(&frame)
    }

    /// What is to be sent again, and only then something new.
    fn next_batch(&mut self, lane: usize) -> Vec<u8> {
        let records = 1 + self.chance.below(RECORDS_PER_BATCH_MAX);
        let numbers = self.lanes[lane].next_numbers(records);
        let mut batch = BatchBuilder::new(Codec::None).producer(
            self.id,
            ProducerEpoch(0),
            i32::try_from(numbers.start).expect("a sequence"),
        );
        for number in numbers {
            let key = self.topic.key(self.index, number);
            let value = value(self.index, number);
            batch.add(time(number), key.as_deref(), Some(&value), &[]);
        }
        batch.build().to_vec()
    }

    /// Takes note of an answer; how many bytes of values it acknowledges.
    fn acknowledge(&mut self, lanes: &[usize], answer: &[u8]) -> u64 {
        let decoded = frame::decode_response::<ProduceResponse<'_>>(ApiKey::PRODUCE, PRODUCE, answer);
        let (_, answer) = decoded.expect("an answer");
        let topic = answer.responses.iter().next().expect("the topic");
        assert_eq!(topic.partition_responses.len(), lanes.len());
        let mut bytes = 0;
        for (partition, lane) in topic.partition_responses.iter().zip(lanes) {
            let name = self.topic.name;
            assert_eq!(partition.index, *lane as i32);
            assert_eq!(
                partition.error_code, 0,
                "{name}-{lane}: producer {} is refused: {partition:?}",
                self.id.0
            );
            let numbers = self.lanes[*lane].acknowledge(partition.base_offset);
            bytes += numbers.map(|number| value_bytes(number) as u64).sum::<u64>();
        }
        bytes
    }
}

impl Lane {
    fn next_numbers(&mut self, records: u64) -> Range<u64> {
        if self.sent_here == self.unacknowledged.len() {
            let end = self.next_number + records;
            self.unacknowledged.push_back(self.next_number..end);
            self.next_number = end;
        }
        self.sent_here += 1;
        self.unacknowledged[self.sent_here - 1].clone()
    }

    fn acknowledge(&mut self, offset: i64) -> Range<u64> {
        let numbers = self.unacknowledged.pop_front().expect("it was sent");
        self.sent_here -= 1;
        self.acknowledged.push(Acknowledged {
            numbers: numbers.clone(),
            offset,
        });
        numbers
    }
}

/// Old enough to go, if anything went by its age.
pub fn time(number: u64) -> Timestamp {
    Timestamp(1_703_462_400_000 + number as i64)
}

/// What a producer's record of that number holds: its head, and bytes that tell it from its neighbours.
pub fn value(producer: u64, number: u64) -> Vec<u8> {
    let mut value = vec![number as u8; value_bytes(number)];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value[8..HEAD_BYTES].copy_from_slice(&producer.to_be_bytes());
    value
}

fn value_bytes(number: u64) -> usize {
    HEAD_BYTES + Chance(number).below(VALUE_BYTES_MAX) as usize
}

/// The number and the producer that a value names.
pub fn head(value: &[u8]) -> (u64, u64) {
    let part = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().expect("eight bytes"));
    (part(0), part(8))
}
