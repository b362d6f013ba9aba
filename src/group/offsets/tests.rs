use super::*;

const RETENTION_MS: i64 = 1_000;
const ID: TopicId = TopicId([1; 16]);
const OTHER_ID: TopicId = TopicId([2; 16]);
const P0: PartitionIndex = PartitionIndex(0);
const P1: PartitionIndex = PartitionIndex(1);
const NOBODY: ProducerId = ProducerId::NONE;
const ALICE: ProducerId = ProducerId(10);
const BOB: ProducerId = ProducerId(11);

fn commit_of(topic: &str, partition: PartitionIndex, offset: i64) -> Commit<'_> {
    Commit {
        topic,
        topic_id: TopicId::ZERO,
        partition,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(3),
        metadata: Some("m"),
    }
}

fn rules_at(now: i64) -> CommitRules {
    CommitRules {
        now: Timestamp(now),
        kind: CommitKind::PLAIN,
        metadata_length_max: 4,
    }
}

fn anyone(_: &Commit<'_>) -> Result<(), ()> {
    Ok(())
}

/// A group's offsets with the log that they are replayed from.
struct Bench {
    offsets: Offsets,
    log_end: i64,
}

impl Bench {
    fn new() -> Self {
        Bench {
            offsets: Offsets::of_group("g"),
            log_end: 0,
        }
    }

    fn replay(&mut self, producer: ProducerId, records: Vec<GroupRecord<'static>>) {
        for record in records {
            let GroupRecord::OffsetCommit(key, value) = record else {
                panic!("not an offset: {record:?}");
            };
            self.offsets
                .replay(Offset(self.log_end), producer, &key, value.as_ref());
            self.log_end += 1;
        }
    }

    fn commit(&mut self, producer: ProducerId, commit: Commit<'_>, now: i64) {
        let kind = match producer {
            ProducerId::NONE => CommitKind::PLAIN,
            _ => CommitKind::Transactional,
        };
        let rules = CommitRules {
            kind,
            ..rules_at(now)
        };
        let decision = self.offsets.commit([commit], &rules, anyone).expect("allowed");
        assert_eq!(decision.answer, [Ok(())]);
        self.replay(producer, decision.records);
    }

    fn fetched(&self, topic: &str, partition: PartitionIndex) -> Option<i64> {
        match self.offsets.fetch(topic, TopicId::ZERO, partition, false) {
            Fetched::Committed(committed) => Some(committed.offset.0),
            Fetched::Nothing => None,
            Fetched::Unstable => panic!("not asked for"),
        }
    }

    fn is_stable(&self, topic: &str, partition: PartitionIndex) -> bool {
        self.offsets.fetch(topic, TopicId::ZERO, partition, true) != Fetched::Unstable
    }
}

/// The topics and partitions whose tombstones these are.
fn tombstones(records: &[GroupRecord<'_>]) -> Vec<(String, i32)> {
    let tombstone = |record: &GroupRecord<'_>| match record {
        GroupRecord::OffsetCommit(key, None) if key.group == "g" => (key.topic.to_string(), key.partition),
        _ => panic!("not a tombstone of the group: {record:?}"),
    };
    records.iter().map(tombstone).collect()
}

#[test]
fn what_was_committed_is_fetched_in_full() {
    let mut bench = Bench::new();
    let commit = Commit {
        topic_id: ID,
        ..commit_of("t", P0, 42)
    };
    bench.commit(NOBODY, commit, 100);
    let committed = CommittedOffset {
        offset: Offset(42),
        leader_epoch: LeaderEpoch(3),
        metadata: "m".into(),
        committed_at: Timestamp(100),
        expires_at: None,
        topic_id: ID,
        recorded_at: Offset(0),
    };
    let fetched = |topic, id, partition| bench.offsets.fetch(topic, id, partition, false);
    assert_eq!(fetched("t", ID, P0), Fetched::Committed(&committed));
    assert_eq!(fetched("t", TopicId::ZERO, P0), Fetched::Committed(&committed));
    assert_eq!(fetched("t", OTHER_ID, P0), Fetched::Nothing, "a topic made anew");
    assert_eq!(fetched("t", ID, P1), Fetched::Nothing);
    assert_eq!(fetched("u", ID, P0), Fetched::Nothing);
}

#[test]
fn an_offset_without_a_topic_id_is_any_topics_of_that_name() {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    assert!(matches!(
        bench.offsets.fetch("t", OTHER_ID, P0, false),
        Fetched::Committed(_)
    ));
}

#[test]
fn each_partition_is_answered_and_a_text_too_long_holds_up_no_other() {
    let with = |metadata| Commit {
        metadata,
        ..commit_of("t", P0, 1)
    };
    // Four characters, of five UTF-16 units; four units of twelve bytes.
    let texts = [
        None,
        Some("1234"),
        Some("12345"),
        Some("abc🦀"),
        Some("€€€€"),
        Some(""),
    ];
    let offsets = Offsets::of_group("g");
    let decision = offsets
        .commit(texts.map(with), &rules_at(0), anyone)
        .expect("allowed");
    let too_large = Err(CommitError::MetadataTooLarge);
    assert_eq!(
        decision.answer,
        [Ok(()), Ok(()), too_large, too_large, Ok(()), Ok(())]
    );
    let written = decision.records.iter().map(|record| match record {
        GroupRecord::OffsetCommit(_, Some(value)) => value.metadata.as_ref(),
        _ => panic!("not an offset: {record:?}"),
    });
    assert_eq!(written.collect::<Vec<_>>(), ["", "1234", "€€€€", ""]);
    assert_eq!(
        CommitError::MetadataTooLarge.code(),
        ErrorCode::OFFSET_METADATA_TOO_LARGE
    );
}

#[test]
fn a_member_that_may_not_commit_one_partition_commits_none() {
    let commits = [commit_of("t", P0, 1), commit_of("t", P1, 1)];
    let may_commit = |commit: &Commit<'_>| match commit.partition {
        P0 => Ok(()),
        _ => Err(ErrorCode::STALE_MEMBER_EPOCH),
    };
    let decision = Offsets::of_group("g").commit(commits, &rules_at(0), may_commit);
    assert_eq!(decision, Err(ErrorCode::STALE_MEMBER_EPOCH));
}

#[test]
fn only_old_requests_say_when_an_offset_expires() {
    let expires = |kind| {
        let rules = CommitRules {
            kind,
            ..rules_at(100)
        };
        let commit = Commit {
            topic_id: ID,
            ..commit_of("t", P0, 1)
        };
        let decision = Offsets::of_group("g").commit([commit], &rules, anyone);
        match &decision.expect("allowed").records[..] {
            [GroupRecord::OffsetCommit(_, Some(value))] => (value.expire_timestamp, value.topic_id),
            other => panic!("not an offset: {other:?}"),
        }
    };
    assert_eq!(expires(CommitKind::PLAIN), (-1, ID));
    assert_eq!(expires(CommitKind::Plain { retention_ms: 50 }), (150, ID));
    let for_ever = CommitKind::Plain {
        retention_ms: i64::MAX,
    };
    assert_eq!(expires(for_ever), (i64::MAX, ID));
    assert_eq!(expires(CommitKind::Transactional), (-1, TopicId::ZERO));
}

#[test]
fn a_transactions_offsets_count_when_it_commits_and_are_gone_when_it_aborts() {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    bench.commit(ALICE, commit_of("t", P0, 2), 0);
    bench.commit(ALICE, commit_of("t", P1, 2), 0);
    bench.commit(BOB, commit_of("u", P0, 3), 0);
    assert_eq!(
        bench.offsets.open_transactions().collect::<Vec<_>>(),
        [ALICE, BOB]
    );
    assert_eq!(bench.fetched("t", P0), Some(1));
    assert_eq!(bench.fetched("t", P1), None);
    assert!(!bench.is_stable("t", P0) && !bench.is_stable("t", P1) && !bench.is_stable("u", P0));
    assert!(bench.is_stable("u", P1));

    bench.offsets.replay_commit_marker(ALICE);
    assert_eq!(
        [bench.fetched("t", P0), bench.fetched("t", P1)],
        [Some(2), Some(2)]
    );
    assert!(bench.is_stable("t", P0) && !bench.is_stable("u", P0));

    bench.offsets.replay_abort_marker(BOB);
    assert_eq!(bench.fetched("u", P0), None);
    assert!(bench.is_stable("u", P0));
    bench.offsets.replay_commit_marker(BOB);
    assert_eq!(bench.fetched("u", P0), None, "a marker of nothing");
}

#[test]
fn of_two_commits_the_one_behind_counts_whenever_its_transaction_ends() {
    let mut bench = Bench::new();
    bench.commit(ALICE, commit_of("t", P0, 5), 0);
    bench.commit(BOB, commit_of("t", P0, 6), 0);
    bench.commit(ALICE, commit_of("t", P1, 5), 0);
    bench.commit(NOBODY, commit_of("t", P1, 4), 0);
    bench.offsets.replay_commit_marker(BOB);
    assert!(!bench.is_stable("t", P0), "one of two has ended");
    bench.offsets.replay_commit_marker(ALICE);
    assert_eq!(bench.fetched("t", P0), Some(6));
    assert_eq!(bench.fetched("t", P1), Some(4));
}

#[test]
fn partitions_of_an_open_transaction_are_unstable_for_who_asks() {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    bench.commit(NOBODY, commit_of("t", P1, 1), 0);
    bench.commit(ALICE, commit_of("t", P1, 2), 0);
    bench.commit(ALICE, commit_of("u", P0, 2), 0);
    let all = |require_stable| {
        let fetched = bench.offsets.fetch_all(require_stable);
        let told = fetched.map(|(topic, partition, fetched)| (topic, partition, fetched.error()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(
        all(false),
        [("t", P0, ErrorCode::NONE), ("t", P1, ErrorCode::NONE)]
    );
    assert_eq!(
        all(true),
        [
            ("t", P0, ErrorCode::NONE),
            ("t", P1, ErrorCode::UNSTABLE_OFFSET_COMMIT)
        ],
        "and what is only pending is not named"
    );
}

#[test]
fn offsets_of_a_subscribed_topic_are_not_deleted() {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    bench.commit(NOBODY, commit_of("u", P0, 1), 0);
    bench.commit(ALICE, commit_of("u", P1, 1), 0);
    let asked = [
        ("t", P0),
        ("u", P0),
        ("u", P1),
        ("u", PartitionIndex(9)),
        ("v", P0),
    ];
    let decision = bench.offsets.delete(asked, |topic| topic == "t");
    let subscribed = Err(DeleteError::Subscribed);
    assert_eq!(decision.answer, [subscribed, Ok(()), Ok(()), Ok(()), Ok(())]);
    assert_eq!(
        tombstones(&decision.records),
        [("u".to_owned(), 0), ("u".to_owned(), 1)]
    );
    assert_eq!(
        DeleteError::Subscribed.code(),
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
    );

    bench.replay(NOBODY, decision.records);
    assert_eq!([bench.fetched("t", P0), bench.fetched("u", P0)], [Some(1), None]);
    assert!(bench.is_stable("u", P1));
    bench.offsets.replay_commit_marker(ALICE);
    assert_eq!(bench.fetched("u", P1), None, "what was pending is deleted too");
}

#[test]
fn a_deleted_group_leaves_nothing() {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    bench.commit(ALICE, commit_of("t", P0, 2), 0);
    bench.commit(ALICE, commit_of("u", P1, 2), 0);
    bench.commit(BOB, commit_of("u", P1, 3), 0);
    let records = bench.offsets.delete_all();
    assert_eq!(tombstones(&records), [("t".to_owned(), 0), ("u".to_owned(), 1)]);
    assert!(!bench.offsets.is_empty());
    bench.replay(NOBODY, records);
    assert!(bench.offsets.is_empty());
    assert_eq!(bench.offsets.open_transactions().count(), 0);
}

#[test]
fn a_deleted_topic_takes_its_own_offsets_and_those_that_name_no_topic_id() {
    let mut bench = Bench::new();
    let partitions = [ID, OTHER_ID, TopicId::ZERO];
    for (index, topic_id) in partitions.into_iter().enumerate() {
        let commit = Commit {
            topic_id,
            ..commit_of("t", PartitionIndex(index as i32), 1)
        };
        bench.commit(NOBODY, commit, 0);
    }
    bench.commit(NOBODY, commit_of("u", P0, 1), 0);
    bench.commit(ALICE, commit_of("t", P0, 2), 0);
    bench.commit(ALICE, commit_of("t", PartitionIndex(7), 2), 0);
    let named = |partition| ("t".to_owned(), partition);
    assert_eq!(
        tombstones(&bench.offsets.delete_topic("t", ID)),
        [named(0), named(2), named(7)]
    );
}

/// Which of the offsets committed at 0, at 500, and with an end at 700, all of `t`, expire at `now`.
fn expired_at(now: i64, holder: Holder) -> Vec<i32> {
    let mut bench = Bench::new();
    bench.commit(NOBODY, commit_of("t", PartitionIndex(0), 1), 0);
    bench.commit(NOBODY, commit_of("t", PartitionIndex(1), 1), 500);
    let rules = CommitRules {
        kind: CommitKind::Plain { retention_ms: 100 },
        ..rules_at(600)
    };
    let commit = commit_of("t", PartitionIndex(2), 1);
    let decision = bench.offsets.commit([commit], &rules, anyone).expect("allowed");
    bench.replay(NOBODY, decision.records);
    let expired = bench
        .offsets
        .expire(Timestamp(now), RETENTION_MS, holder, |_| false);
    let partitions = tombstones(&expired.records);
    partitions.into_iter().map(|(_, partition)| partition).collect()
}

#[test]
fn offsets_expire_by_their_groups_type_and_state() {
    let since = |at| Holder::Empty {
        since: Some(Timestamp(at)),
    };
    let long_ago = Holder::Empty { since: None };
    let cases: [(i64, Holder, &[i32]); 15] = [
        (699, Holder::Simple, &[]),
        (700, Holder::Simple, &[2]),
        (999, Holder::Modern, &[2]),
        (1_000, Holder::Modern, &[0, 2]),
        (1_000, Holder::Simple, &[0, 2]),
        (1_000, Holder::Subscribed, &[0, 2]),
        (1_500, Holder::Subscribed, &[0, 1, 2]),
        (1_000, long_ago, &[0, 2]),
        (1_500, since(501), &[2]),
        (1_500, since(500), &[0, 1, 2]),
        (1_000, since(0), &[0, 1, 2]),
        (i64::MAX, Holder::Busy, &[]),
        (i64::MAX, Holder::Share, &[]),
        (i64::MAX, Holder::Modern, &[0, 1, 2]),
        (i64::MIN, Holder::Modern, &[]),
    ];
    for (now, holder, partitions) in cases {
        assert_eq!(expired_at(now, holder), partitions, "{holder:?} at {now}");
    }
}

#[test]
fn what_is_subscribed_or_pending_does_not_expire() {
    let mut bench = Bench::new();
    for topic in ["t", "u", "v"] {
        bench.commit(NOBODY, commit_of(topic, P0, 1), 0);
    }
    bench.commit(ALICE, commit_of("u", P0, 1), 0);
    let expire = |bench: &Bench| {
        let is_subscribed = |topic: &str| topic == "t";
        bench
            .offsets
            .expire(Timestamp(5_000), RETENTION_MS, Holder::Modern, is_subscribed)
    };
    let expired = expire(&bench);
    assert_eq!(tombstones(&expired.records), [("v".to_owned(), 0)]);
    assert!(!expired.nothing_left);
    bench.offsets.replay_commit_marker(ALICE);
    assert_eq!(
        tombstones(&expire(&bench).records),
        [("u".to_owned(), 0), ("v".to_owned(), 0)]
    );
}

#[test]
fn a_group_may_go_with_its_last_offset_and_not_while_one_is_pending() {
    let nothing_left = |bench: &Bench, holder| {
        let offsets = &bench.offsets;
        offsets
            .expire(Timestamp(5_000), RETENTION_MS, holder, |_| false)
            .nothing_left
    };
    let mut bench = Bench::new();
    assert!(nothing_left(&bench, Holder::Busy), "nothing was ever there");
    assert!(!nothing_left(&bench, Holder::Share), "not judged by its offsets");
    bench.commit(NOBODY, commit_of("t", P0, 1), 0);
    assert!(nothing_left(&bench, Holder::Modern));
    assert!(!nothing_left(&bench, Holder::Busy));
    bench.commit(ALICE, commit_of("u", P0, 1), 0);
    assert!(!nothing_left(&bench, Holder::Modern));
    bench.offsets.replay_abort_marker(ALICE);
    assert!(nothing_left(&bench, Holder::Modern));
}

#[test]
fn a_record_of_the_oldest_kind_is_an_offset_like_any_other() {
    let mut bench = Bench::new();
    let key = LegacyOffsetCommitKey {
        group: "g".into(),
        topic: "t".into(),
        partition: 0,
    };
    let value = LegacyOffsetCommitValue {
        offset: 7,
        metadata: "old".into(),
        commit_timestamp: 9,
    };
    bench.offsets.replay_legacy(Offset(4), NOBODY, &key, Some(&value));
    let committed = CommittedOffset {
        offset: Offset(7),
        leader_epoch: LeaderEpoch::NONE,
        metadata: "old".into(),
        committed_at: Timestamp(9),
        expires_at: None,
        topic_id: TopicId::ZERO,
        recorded_at: Offset(4),
    };
    assert_eq!(
        bench.offsets.fetch("t", ID, P0, true),
        Fetched::Committed(&committed)
    );
    bench.offsets.replay_legacy(Offset(5), NOBODY, &key, None);
    assert!(bench.offsets.is_empty());
}
