//! Every message and version against Kafka's own generated code: random values, bytes both ways, and field by field
//! what they mean. Its JSON bears the fields' names, so two swapped fields of one type are found.
//!
//! `RINGLOG_JARS` names the directory of Kafka's jars; `scripts/test` fetches them. A failure prints the command that
//! repeats it, which is this with `RINGLOG_ORACLE_CASE` set to a message, a version and a seed.

pub(crate) mod kafka;
mod schemas;
mod shown;

use serde_json::Value;

use kafka::Kafka;
use shown::Shown;

use crate::wire::subjects::{Read, SUBJECTS, Subject};

/// Values of each message and version, each way.
const VALUES: u64 = 40;

/// One value of one message.
struct Case<'s> {
    subject: &'s Subject,
    version: i16,
    seed: u64,
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn kafka_reads_what_we_write_as_we_meant_it() {
    let mut kafka = Kafka::start();
    for case in cases() {
        let ours = (case.subject.sample)(case.seed, case.version);
        let command = format!(
            "read {} {} {}",
            case.subject.name,
            case.version,
            kafka::hex(&ours)
        );
        let answer = kafka
            .ask(&command)
            .and_then(|answer| check(&case, &ours, &answer));
        answer.unwrap_or_else(|why| case.fail(&why));
    }
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn we_read_what_kafka_writes_as_it_meant_it() {
    let mut kafka = Kafka::start();
    for case in cases() {
        let command = format!("make {} {} {}", case.subject.name, case.version, case.seed);
        let answer = kafka.ask(&command).and_then(|answer| {
            let theirs = kafka::unhex(answer.get(1).ok_or("an answer without bytes")?);
            check(&case, &theirs, &answer)
        });
        answer.unwrap_or_else(|why| case.fail(&why));
    }
}

#[test]
#[ignore = "needs Kafka's jars: scripts/test runs it"]
fn every_message_has_kafkas_versions() {
    let mut kafka = Kafka::start();
    for subject in SUBJECTS {
        let answer = kafka
            .ask(&format!("versions {}", subject.name))
            .expect("known to Kafka");
        let ours = [
            subject.versions.start().to_string(),
            subject.versions.end().to_string(),
        ];
        assert_eq!(answer, ours, "{}", subject.name);
    }
}

/// All that are to be tried, or the one that was asked for.
fn cases() -> Vec<Case<'static>> {
    let asked = std::env::var("RINGLOG_ORACLE_CASE").ok();
    let all = SUBJECTS.iter().flat_map(|subject| {
        let versions = subject.versions.clone();
        versions.flat_map(move |version| {
            (0..VALUES).map(move |seed| Case {
                subject,
                version,
                seed,
            })
        })
    });
    match asked {
        None => all.collect(),
        Some(asked) => {
            let words: Vec<&str> = asked.split(' ').collect();
            let [name, version, seed] = words[..] else {
                panic!("not a message, a version and a seed: {asked}")
            };
            let subject = SUBJECTS
                .iter()
                .find(|subject| subject.name == name)
                .expect("one of the messages");
            let (version, seed) = (version.parse().expect("a version"), seed.parse().expect("a seed"));
            vec![Case {
                subject,
                version,
                seed,
            }]
        }
    }
}

impl Case<'_> {
    fn fail(&self, why: &str) -> ! {
        let Case {
            subject,
            version,
            seed,
        } = self;
        panic!(
            "{name} version {version}, seed {seed}: {why}\nagain: RINGLOG_JARS={jars} RINGLOG_ORACLE_CASE='{name} {version} {seed}' \
             cargo test --lib wire::oracle -- --ignored",
            name = subject.name,
            jars = kafka::jars(),
        );
    }
}

/// What Kafka says of `bytes` is what we say: the JSON of their meaning, and the bytes that it writes for that.
fn check(case: &Case<'_>, bytes: &[u8], answer: &[String]) -> Result<(), String> {
    let [json, again] = answer else {
        return Err(format!("{} parts of an answer", answer.len()));
    };
    if kafka::unhex(again) != bytes {
        return Err(format!("Kafka writes {again} for {}", kafka::hex(bytes)));
    }
    let read = (case.subject.read)(bytes, case.version);
    let Read { shown, again, left } = read.map_err(|error| format!("we can't read it: {error}"))?;
    if left > 0 {
        return Err(format!("we leave {left} bytes unread"));
    }
    if again != bytes {
        return Err(format!(
            "we write {} for {}",
            kafka::hex(&again),
            kafka::hex(bytes)
        ));
    }
    let theirs: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let ours = Shown::parse(&shown);
    ours.compare(&theirs)
        .map_err(|why| format!("{why}\nwe read {shown}\nKafka reads {json}"))
}
