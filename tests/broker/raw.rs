//! Requests that no client library here sends, laid out by hand.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::{Broker, PATIENCE};

const INIT_PRODUCER_ID: i16 = 22;

/// One connection.
pub struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    pub fn open(broker: &Broker) -> Connection {
        let stream = TcpStream::connect(broker.address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection {
            stream,
            correlation: 0,
        }
    }

    /// InitProducerId v0 of a producer without transactions: a producer id that nobody else has.
    pub fn init_producer_id(&mut self) -> i64 {
        let mut body = Vec::new();
        body.extend((-1i16).to_be_bytes()); // no transactional id
        body.extend(60_000i32.to_be_bytes());
        let answer = self.call(INIT_PRODUCER_ID, 0, &body);
        let error = i16::from_be_bytes(answer[4..6].try_into().unwrap());
        assert_eq!(error, 0, "InitProducerId's error code");
        i64::from_be_bytes(answer[6..14].try_into().unwrap())
    }

    /// Sends a request with header version 1 and returns the answer behind its header version 0.
    fn call(&mut self, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
        self.correlation += 1;
        let mut request = Vec::new();
        request.extend(key.to_be_bytes());
        request.extend(version.to_be_bytes());
        request.extend(self.correlation.to_be_bytes());
        request.extend(3i16.to_be_bytes());
        request.extend(b"raw");
        request.extend(body);
        self.stream
            .write_all(&(request.len() as u32).to_be_bytes())
            .unwrap();
        self.stream.write_all(&request).unwrap();

        let mut size = [0; 4];
        self.stream.read_exact(&mut size).expect("an answer");
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.stream.read_exact(&mut answer).expect("a whole answer");
        assert_eq!(answer[..4], self.correlation.to_be_bytes(), "correlation id");
        answer.split_off(4)
    }
}
