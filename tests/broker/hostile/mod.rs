//! Input that means harm, or means nothing: each line of the table in docs/compatibility.md on a bare socket. Whatever comes, the
//! outcome is the one that stands there, the log stays short, and other clients notice nothing.

mod bytes;
mod rows;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use ringlog::wire::ErrorCode;
use ringlog::wire::messages::fetch_request::FetchRequest;
use ringlog::wire::messages::metadata_request::MetadataRequest;

use crate::connections::{TOPIC, create, fetch, produce_to};
use crate::harness::{Broker, PATIENCE};
use crate::raw::Connection;

use bytes::{api_versions, fetch_versions_of};
use rows::{Row, rows};

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
const FETCH: i16 = 12;
const METADATA: i16 = 12;
/// Far longer than the test runs.
const LONG_MS: i32 = 600_000;
/// How often each input comes.
const TIMES: usize = 5;
/// A core logs one line a second of what its clients do wrong.
const CORES: u64 = 2;

/// What becomes of an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The connection is closed without an answer.
    Closed,
    /// There is an answer, whose error code, if it has one at this place, is none.
    Served(Option<usize>),
    /// The answer has this error code at this place.
    Error(ErrorCode, usize),
    /// Neither: the rest is waited for.
    Waits,
}

impl Outcome {
    /// As the table says it.
    fn told(self) -> String {
        match self {
            Outcome::Closed => "closed".into(),
            Outcome::Served(_) => "served".into(),
            Outcome::Error(code, _) => code.name().into(),
            Outcome::Waits => "waits for the rest".into(),
        }
    }
}

#[test]
fn what_is_sent_in_error_or_in_anger_gets_what_the_table_says_and_nobody_else_notices() {
    let broker = Broker::start();
    let started = Instant::now();
    let (mut bystander, mut waiting) = (Connection::open(&broker), Connection::open(&broker));
    create(&mut bystander);
    let waits = waiting.send(FETCH, &fetch(&[3], LONG_MS, 1));
    for row in rows() {
        for _ in 0..TIMES {
            let found = outcome(&broker, &row);
            assert_eq!(found, row.outcome, "{}", row.what);
            bystander.call(METADATA, &MetadataRequest::default());
        }
    }
    produce_to(&mut bystander, TOPIC, 3);
    waiting.answer::<FetchRequest>(FETCH, waits);
    let lines = broker.stderr().matches(" WARN ").count() as u64;
    let lines_max = CORES * (started.elapsed().as_secs() + 1);
    assert!(
        (1..=lines_max).contains(&lines),
        "{lines} lines in {:?}",
        started.elapsed()
    );
}

#[test]
fn the_table_and_these_tests_name_the_same_inputs() {
    let page = std::fs::read_to_string(TABLE).unwrap();
    let cells = |line: &str| {
        line.trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_string())
            .collect::<Vec<_>>()
    };
    let section = page
        .split("## Broken and hostile input")
        .nth(1)
        .expect("the section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let told: BTreeMap<String, String> = lines
        .map(cells)
        .filter(|cells| cells[0] != "input")
        .map(|cells| (cells[0].clone(), cells[1].clone()))
        .collect();
    let tried: BTreeMap<String, String> = rows()
        .iter()
        .map(|row| (row.what.to_string(), row.outcome.told()))
        .collect();
    for (what, outcome) in &tried {
        assert_eq!(told.get(what), Some(outcome), "{what}");
    }
    assert_eq!(told.keys().collect::<Vec<_>>(), tried.keys().collect::<Vec<_>>());
}

/// A version on either side of those that are served closes the connection, for every API but ApiVersions.
#[test]
fn versions_that_are_not_served_close_the_connection() {
    let broker = Broker::start();
    let mut bystander = Connection::open(&broker);
    for (key, first, last) in fetch_versions_of(&broker) {
        for version in [first - 1, last + 1, i16::MAX, i16::MIN] {
            let mut stream = connect(&broker);
            let header = bytes::header(key, version, Some("x"));
            stream.write_all(&bytes::framed(&[&header, &[0; 64]])).unwrap();
            let answered = stream.read(&mut [0]).unwrap_or(0) > 0;
            assert_eq!(answered, key == 18, "API {key} version {version}");
        }
    }
    bystander.call(METADATA, &MetadataRequest::default());
}

#[test]
fn what_was_asked_before_the_client_stopped_sending_is_answered() {
    let broker = Broker::start();
    let mut stream = connect(&broker);
    for _ in 0..20 {
        stream.write_all(&api_versions()).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let one = 4 + u32::from_be_bytes(answers[..4].try_into().unwrap()) as usize;
    assert_eq!(answers.len(), 20 * one);
}

#[test]
fn what_came_before_the_broken_request_is_answered_and_nothing_behind_it() {
    let broker = Broker::start();
    let mut stream = connect(&broker);
    let broken = bytes::framed(&[&bytes::header(9_999, 0, None)]);
    stream
        .write_all(&[api_versions(), broken, api_versions()].concat())
        .unwrap();
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    let one = 4 + u32::from_be_bytes(answers[..4].try_into().unwrap()) as usize;
    assert_eq!(answers.len(), one);
}

fn connect(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(broker.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// What the broker does with a row's input; what it should do is only used to know where to look.
fn outcome(broker: &Broker, row: &Row) -> Outcome {
    let mut stream = connect(broker);
    for piece in row.input.chunks(row.piece_bytes) {
        // A connection that is closed already takes no more.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    if row.outcome == Outcome::Waits {
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        return match stream.read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Outcome::Waits,
            _ => Outcome::Closed,
        };
    }
    let mut size = [0; 4];
    if stream.read_exact(&mut size).is_err() {
        return Outcome::Closed;
    }
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer).expect("a whole answer");
    assert_eq!(answer[..4], bytes::CORRELATION_ID.to_be_bytes(), "{}", row.what);
    let code_at = |at: usize| ErrorCode(i16::from_be_bytes(answer[at..at + 2].try_into().unwrap()));
    match row.outcome {
        Outcome::Error(_, at) => Outcome::Error(code_at(at), at),
        Outcome::Served(Some(at)) if code_at(at) != ErrorCode::NONE => Outcome::Error(code_at(at), at),
        _ => Outcome::Served(match row.outcome {
            Outcome::Served(at) => at,
            _ => None,
        }),
    }
}
