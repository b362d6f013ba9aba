//! Requests on a bare socket: in any version, cut anywhere, whole or not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::Bytes;
use ringlog::wire::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use ringlog::wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use ringlog::wire::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use ringlog::wire::messages::produce_response::ProduceResponse;
use ringlog::wire::{Encode, Message, Records, Request, frame};

use crate::harness::{Broker, PATIENCE};

/// One connection.
pub struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    pub fn open(broker: &Broker) -> Connection {
        Connection::over(TcpStream::connect(broker.address).expect("connects"))
    }

    pub fn over(stream: TcpStream) -> Connection {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            stream,
            correlation_id: 0,
        }
    }

    /// Sends a request and decodes its answer, to the last byte.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response<'static> {
        let correlation_id = self.send(version, request);
        self.answer::<R>(version, correlation_id)
    }

    /// Sends a request and returns its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let frame = self.frame(version, request);
        self.write(&frame);
        self.correlation_id
    }

    /// The next request's frame, its size included, not sent.
    pub fn frame<R: Request>(&mut self, version: i16, request: &R) -> Vec<u8> {
        self.correlation_id += 1;
        encoded(R::KEY.0, version, self.correlation_id, request)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.try_write(bytes).unwrap();
    }

    /// Writes to a broker that may be killed meanwhile.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next answer, which must be the one to `correlation_id`.
    pub fn answer<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response<'static> {
        let answer = self.read_frame().leak();
        let (found, body) = frame::decode_response::<R::Response<'static>>(R::KEY, version, answer)
            .unwrap_or_else(|error| panic!("{} version {version}: {error}", R::KEY));
        assert_eq!(
            found, correlation_id,
            "answers come in the order of their requests"
        );
        let again = encoded_answer(R::KEY.0, version, found, &body);
        assert_eq!(
            again[4..],
            *answer,
            "{} version {version} to its last byte",
            R::KEY
        );
        body
    }

    /// The next frame, without its size.
    pub fn read_frame(&mut self) -> Vec<u8> {
        self.try_read_frame().expect("a whole answer")
    }

    /// The next frame of a broker that may be killed meanwhile.
    pub fn try_read_frame(&mut self) -> std::io::Result<Vec<u8>> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Breaks the connection with a reset instead of an end.
    pub fn reset(self) {
        let linger = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: the pointer and the length name `linger`.
        let result = unsafe {
            libc::setsockopt(
                self.stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of_val(&linger) as libc::socklen_t,
            )
        };
        assert_eq!(result, 0);
    }

    /// Whether nothing arrives for `quiet`.
    pub fn is_silent_for(&mut self, quiet: Duration) -> bool {
        self.stream.set_read_timeout(Some(quiet)).unwrap();
        let silent = self.stream.peek(&mut [0]).is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Whether nothing has arrived by now.
    pub fn is_silent(&self) -> bool {
        self.peek_now().is_err()
    }

    /// The socket itself.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// How much of one byte is there, without a wait for it.
    fn peek_now(&self) -> std::io::Result<usize> {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        peeked
    }

    /// Whether the broker has closed the connection.
    pub fn is_closed(&self) -> bool {
        match self.peek_now() {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Waits until the broker closes the connection without a further byte.
    pub fn expect_closed(&mut self) {
        match self.stream.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => panic!("an answer where the connection should close"),
            // A reset, because the broker had not read everything.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

fn encoded(key: i16, version: i16, correlation_id: i32, body: &impl Encode) -> Vec<u8> {
    let segments = frame::encode_request(key, version, correlation_id, Some("raw"), body);
    joined(segments.expect("the version has every field"))
}

fn encoded_answer<'a>(key: i16, version: i16, correlation_id: i32, body: &impl Message<'a>) -> Vec<u8> {
    joined(frame::encode_response(key, version, correlation_id, body).expect("what was decoded"))
}

fn joined(segments: Vec<Bytes>) -> Vec<u8> {
    segments.concat()
}

/// The same records for each of these partitions.
pub fn produce_request<'a>(topic: &'a str, partitions: &[i32], records: &'a [u8]) -> ProduceRequest<'a> {
    let partition = |index: &i32| PartitionProduceData {
        index: *index,
        records: Some(Records::Wire(records)),
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: [TopicProduceData {
            name: topic.into(),
            partition_data: partitions.iter().map(partition).collect(),
            ..Default::default()
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    }
}

/// A topic of so many partitions.
pub fn create_topic_request(name: &str, partitions: i32) -> CreateTopicsRequest<'static> {
    let topic = CreatableTopic {
        name: name.to_owned().into(),
        num_partitions: partitions,
        replication_factor: 1,
        ..Default::default()
    };
    CreateTopicsRequest {
        topics: vec![topic].into(),
        ..Default::default()
    }
}

/// Creates a topic, which must succeed.
pub fn create_topic(connection: &mut Connection, name: &str, partitions: i32) {
    let answer = connection.call(7, &create_topic_request(name, partitions));
    assert_eq!(answer.topics.iter().next().expect("its answer").error_code, 0);
}

/// Every partition of the request has its records.
pub fn expect_appended(answer: &ProduceResponse<'_>) {
    assert!(!answer.responses.is_empty());
    for topic in answer.responses.iter() {
        for partition in topic.partition_responses.iter() {
            assert_eq!(partition.error_code, 0, "partition {}", partition.index);
        }
    }
}

/// The offset of partition 0 at a time, or at one of Kafka's special times.
pub fn list_offsets_request(topic: &str, timestamp: i64) -> ListOffsetsRequest<'_> {
    ListOffsetsRequest {
        replica_id: -1,
        topics: [ListOffsetsTopic {
            name: topic.into(),
            partitions: [ListOffsetsPartition {
                timestamp,
                ..Default::default()
            }]
            .into_iter()
            .collect(),
        }]
        .into_iter()
        .collect(),
        ..Default::default()
    }
}
