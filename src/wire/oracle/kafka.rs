//! Kafka's generated classes in a process of their own, asked line by line.

#![allow(
    clippy::disallowed_methods,
    reason = "a test that starts Kafka's code beside it"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Understands what `tests/wire/Oracle.java` documents.
pub struct Kafka {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Kafka {
    pub fn start() -> Kafka {
        let mut process = Command::new("java")
            .args(["-cp", &format!("{}/*", jars())])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/Oracle.java"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("java starts");
        Kafka {
            questions: process.stdin.take().expect("piped"),
            answers: BufReader::new(process.stdout.take().expect("piped")),
            process,
        }
    }

    /// The parts of its answer, or why it has none.
    pub fn ask(&mut self, question: &str) -> Result<Vec<String>, String> {
        writeln!(self.questions, "{question}").expect("Kafka's code listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("Kafka's code answers");
        let mut parts = line.trim_end_matches('\n').split('\t').map(str::to_owned);
        match parts.next().as_deref() {
            Some("ok") => Ok(parts.collect()),
            _ => Err(format!("Kafka: {}", parts.collect::<Vec<_>>().join(" "))),
        }
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // What it was asked has been answered, or the test has failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The directory of Kafka's jars.
pub fn jars() -> String {
    std::env::var("RINGLOG_JARS").expect("RINGLOG_JARS names the directory of Kafka's jars")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
