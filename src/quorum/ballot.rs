//! `quorum-state`: the term and the vote on disk, as Kafka keeps them (`FileQuorumStateStore`, JSON with `data_version` 0 or 1).

use crate::base::{LeaderEpoch, NodeId, TopicId};
use crate::io::fs;
use crate::log::LogError;
use crate::log::checkpoint::Malformed;
use crate::log::{at, read_text_now};
use crate::metadata::{KRAFT_VERSION_WITH_VOTERS, Membership};
use serde_json::{Value, json};
use std::path::Path;

/// The file's name, in the metadata log's directory.
pub const FILE: &str = "quorum-state";

/// Kafka's "nobody".
const NOBODY: i64 = -1;

/// A term above this leaves no room for the elections to come.
pub const EPOCH_MAX: LeaderEpoch = LeaderEpoch(i32::MAX - 1_000_000);

/// What a node last knew of elections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// The term.
    pub epoch: LeaderEpoch,
    /// Who leads in it, if that is known.
    pub leader: Option<NodeId>,
    /// Whom this node voted for in it.
    pub voted: Option<NodeId>,
}

impl Ballot {
    /// Whom the node may not betray in this term. Kafka forgets the vote once there is a leader.
    pub fn vote(&self) -> Option<NodeId> {
        self.voted.or(self.leader)
    }

    /// Reads the file in the metadata log's directory; term 0 when it is missing.
    pub fn read_now(dir: &Path) -> Result<Ballot, LogError> {
        read_text_now(&dir.join(FILE), decode).map(Option::unwrap_or_default)
    }

    /// Writes it, durably.
    pub fn write_now(&self, dir: &Path, membership: &Membership) -> Result<(), LogError> {
        let path = dir.join(FILE);
        at(
            &path,
            fs::write_whole_now(&path, self.encode(membership).as_bytes()),
        )
    }

    /// As Kafka writes it: a leader's own vote is not named beside it.
    fn encode(&self, membership: &Membership) -> String {
        let id = |node: Option<NodeId>| node.map_or(NOBODY, |node| node.0.into());
        let voted = if self.leader.is_some() { None } else { self.voted };
        let directory = |node: NodeId| membership.voters.iter().find(|voter| voter.node == node);
        let file = if membership.kraft_version >= KRAFT_VERSION_WITH_VOTERS {
            let directory = voted
                .and_then(directory)
                .map_or(TopicId::ZERO, |voter| voter.directory);
            json!({
                "leaderId": id(self.leader),
                "leaderEpoch": self.epoch.0,
                "votedId": id(voted),
                "votedDirectoryId": directory.to_string(),
                "data_version": 1,
            })
        } else {
            let voters: Vec<Value> = self
                .leader
                .iter()
                .map(|node| json!({"voterId": node.0}))
                .collect();
            json!({
                "clusterId": "",
                "leaderId": id(self.leader),
                "leaderEpoch": self.epoch.0,
                "votedId": id(voted),
                "appliedOffset": 0,
                "currentVoters": voters,
                "data_version": 0,
            })
        };
        file.to_string()
    }
}

/// Reads the file's text.
pub fn decode(text: &str) -> Result<Ballot, Malformed> {
    let expected = |expected| Malformed { line: 1, expected };
    let file: Value = serde_json::from_str(text).map_err(|_| expected("Kafka's JSON of a quorum's state"))?;
    let number = |name| file.get(name).and_then(Value::as_i64);
    if !matches!(number("data_version"), Some(0 | 1)) {
        return Err(expected("data_version 0 or 1"));
    }
    let epoch = number("leaderEpoch").filter(|epoch| (0..=i64::from(EPOCH_MAX.0)).contains(epoch));
    let epoch = epoch.ok_or(expected("leaderEpoch, from 0 and with room above it"))?;
    let node = |name, what| match number(name) {
        None => Err(expected(what)),
        Some(NOBODY) => Ok(None),
        Some(id) => match i32::try_from(id) {
            Ok(id) if id >= 0 => Ok(Some(NodeId(id))),
            _ => Err(expected(what)),
        },
    };
    Ok(Ballot {
        epoch: LeaderEpoch(epoch as i32),
        leader: node("leaderId", "leaderId, a node's id or -1")?,
        voted: node("votedId", "votedId, a node's id or -1")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKAS_V1: &str = r#"{"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
    const KAFKAS_V0: &str = r#"{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;

    fn leading(epoch: i32) -> Ballot {
        Ballot {
            epoch: LeaderEpoch(epoch),
            leader: Some(NodeId(1)),
            voted: Some(NodeId(1)),
        }
    }

    #[test]
    fn both_of_kafkas_forms_are_read_and_written() {
        let with_voters = Membership::of_one(NodeId(1), TopicId([3; 16]), Vec::new());
        for (kafkas, membership) in [(KAFKAS_V1, &with_voters), (KAFKAS_V0, &Membership::default())] {
            let read = decode(kafkas).unwrap();
            assert_eq!((read.epoch, read.vote()), (LeaderEpoch(3), Some(NodeId(1))));
            let ours: Value = serde_json::from_str(&leading(3).encode(membership)).unwrap();
            assert_eq!(ours, serde_json::from_str::<Value>(kafkas).unwrap());
        }
    }

    #[test]
    fn a_vote_without_a_leader_names_its_directory() {
        let directory = TopicId([3; 16]);
        let membership = Membership::of_one(NodeId(1), directory, Vec::new());
        let ballot = Ballot {
            leader: None,
            ..leading(7)
        };
        let text = ballot.encode(&membership);
        assert!(text.contains(&directory.to_string()), "{text}");
        assert_eq!(decode(&text), Ok(ballot));
    }

    #[test]
    fn what_kafka_could_not_have_written_is_refused_with_what_was_expected() {
        let table = [
            ("", "JSON"),
            ("{}", "data_version"),
            (&KAFKAS_V1.replace("n\":1", "n\":2"), "data_version"),
            (&KAFKAS_V1.replace(":3,", ":-3,"), "leaderEpoch"),
            (&KAFKAS_V1.replace(":3,", ":2147483647,"), "leaderEpoch"),
            (&KAFKAS_V1.replace("leaderId\":1", "leaderId\":\"1\""), "leaderId"),
            (&KAFKAS_V1.replace("votedId\":-1", "votedId\":-2"), "votedId"),
        ];
        for (text, expected) in table {
            let problem = decode(text).unwrap_err();
            assert!(
                problem.expected.contains(expected),
                "{text}: {}",
                problem.expected
            );
        }
    }

    #[test]
    fn the_file_is_there_after_a_write_and_term_0_without_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Ballot::read_now(dir.path()).unwrap(), Ballot::default());
        leading(5).write_now(dir.path(), &Membership::default()).unwrap();
        assert_eq!(Ballot::read_now(dir.path()).unwrap().epoch, LeaderEpoch(5));
    }
}
