//! Who is let in, who is sent away, and what members are told.

use super::*;

#[test]
fn the_first_member_gets_all_partitions_and_the_log_says_why() {
    let mut world = World::of(&[("t", 3)]);
    let (records, answer) = world.step(Event::Heartbeat(Box::new(join("m", &["t"]))));
    // Who it is, the group's epoch, what it should have, that assignment's epoch, what it has: in Kafka's order.
    assert_eq!(kinds(&records), [5, 3, 7, 6, 8]);
    let answer = answer.unwrap().unwrap();
    assert_eq!(&*answer.member_id, "m");
    assert_eq!(
        answer.member_epoch,
        Epoch(2),
        "a group begins with epoch 1, and its first member makes 2 of it"
    );
    assert_eq!(answer.heartbeat_interval_ms, 5_000);
    assert_eq!(answer.assignment, Some(of("t", 0..3)));
    assert_eq!(world.group.state(), GroupState::Stable);
    let held = &world.member("m").assigned;
    assert!(held.each().all(|(.., epoch)| epoch == Epoch(2)));
    world.check();
    world.check_log();
}

#[test]
fn a_heartbeat_with_nothing_new_writes_nothing_and_says_little() {
    let mut world = World::of(&[("t", 3)]);
    world.join("m", &["t"]);
    let (records, answer) = world.step(Event::Heartbeat(Box::new(beat("m", 2))));
    assert!(records.is_empty());
    let answer = answer.unwrap().unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (Epoch(2), None));
    let full = Heartbeat {
        topic_partitions: Some(of("t", 0..3)),
        member_epoch: Epoch(2),
        ..join("m", &["t"])
    };
    let (records, answer) = world.step(Event::Heartbeat(Box::new(full)));
    assert!(records.is_empty());
    assert_eq!(
        answer.unwrap().unwrap().assignment,
        Some(of("t", 0..3)),
        "a full heartbeat is told all"
    );
}

#[test]
fn a_member_without_an_id_is_given_one_in_version_0_only() {
    let mut world = World::of(&[("t", 1)]);
    let nameless = Heartbeat {
        new_member_id: "drawn".to_owned(),
        ..join("", &["t"])
    };
    assert_eq!(world.refused(nameless.clone()), ErrorCode::INVALID_REQUEST);
    let answer = world
        .send(Heartbeat {
            version: 0,
            ..nameless
        })
        .unwrap();
    assert_eq!(&*answer.member_id, "drawn");
    assert_eq!(
        world.refused(Heartbeat {
            version: 0,
            ..beat("", 2)
        }),
        ErrorCode::INVALID_REQUEST
    );
}

#[test]
fn what_is_not_well_formed_is_refused() {
    let some = |text: &str| Some(text.to_owned());
    let bad = [
        Heartbeat {
            group_id: " ".to_owned(),
            ..join("m", &["t"])
        },
        Heartbeat {
            instance_id: some(""),
            ..join("m", &["t"])
        },
        Heartbeat {
            rack_id: some(" "),
            ..join("m", &["t"])
        },
        Heartbeat {
            rebalance_timeout_ms: -1,
            ..join("m", &["t"])
        },
        Heartbeat {
            topic_partitions: None,
            ..join("m", &["t"])
        },
        Heartbeat {
            topic_partitions: Some(of("t", [0])),
            ..join("m", &["t"])
        },
        Heartbeat {
            subscribed_topic_names: None,
            ..join("m", &[])
        },
        beat("m", -3),
        beat("m", -2),
        beat("", -1),
    ];
    let mut world = World::of(&[("t", 1)]);
    for heartbeat in bad {
        assert_eq!(
            world.refused(heartbeat.clone()),
            ErrorCode::INVALID_REQUEST,
            "{heartbeat:?}"
        );
    }
    let unknown = Heartbeat {
        server_assignor: some("sticky"),
        ..join("m", &["t"])
    };
    assert_eq!(world.refused(unknown), ErrorCode::UNSUPPORTED_ASSIGNOR);
    world.settings.assignors = vec![Assignor::Uniform];
    let not_configured = Heartbeat {
        server_assignor: some("range"),
        ..join("m", &["t"])
    };
    assert_eq!(world.refused(not_configured), ErrorCode::UNSUPPORTED_ASSIGNOR);
    assert_eq!(world.log, []);
}

#[test]
fn a_full_group_lets_in_nobody_but_its_members() {
    let mut world = World::of(&[("t", 1)]);
    world.settings.members_max = 1;
    world.join("a", &["t"]);
    assert_eq!(
        world.refused(join("b", &["t"])),
        ErrorCode::GROUP_MAX_SIZE_REACHED
    );
    world.join("a", &["t"]);
}

#[test]
fn epochs_are_checked() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    assert_eq!(world.refused(beat("stranger", 2)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(
        world.refused(beat("a", 3)),
        ErrorCode::FENCED_MEMBER_EPOCH,
        "newer than it was told"
    );
    world.send(having("a", 2, &of("t", 0..2))).unwrap();
    world.send(having("a", 2, &of("t", [0]))).unwrap();
    assert_eq!(world.member("a").epoch, Epoch(3));
    assert_eq!(
        world.refused(beat("a", 1)),
        ErrorCode::FENCED_MEMBER_EPOCH,
        "two behind"
    );
    assert_eq!(
        world.refused(beat("a", 2)),
        ErrorCode::FENCED_MEMBER_EPOCH,
        "one behind, but doesn't say what it has"
    );
    let too_much = having("a", 2, &of("t", 0..2));
    assert_eq!(
        world.refused(too_much),
        ErrorCode::FENCED_MEMBER_EPOCH,
        "one behind, with what isn't its own"
    );
    // One behind with less than it should have: it lost the last answer.
    let again = Heartbeat {
        topic_partitions: Some(of("t", [0])),
        member_epoch: Epoch(2),
        ..join("a", &["t"])
    };
    let answer = world.send(again).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(3), Some(of("t", [0])))
    );
}

#[test]
fn who_joins_again_keeps_what_it_has() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    let (records, answer) = world.step(Event::Heartbeat(Box::new(join("a", &["t"]))));
    assert!(records.is_empty());
    assert_eq!(answer.unwrap().unwrap().assignment, Some(of("t", 0..2)));
}

#[test]
fn who_leaves_frees_what_it_had_and_the_others_get_it() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    let (records, answer) = world.step(Event::Heartbeat(Box::new(beat("a", -1))));
    assert_eq!(
        kinds(&records),
        [8, 7, 5, 3],
        "three tombstones and the group's epoch"
    );
    let answer = answer.unwrap().unwrap();
    assert_eq!(
        (
            answer.member_epoch,
            answer.heartbeat_interval_ms,
            answer.assignment
        ),
        (Epoch(-1), 0, None)
    );
    assert_eq!(world.group.state(), GroupState::Assigning);
    let answer = world.send(beat("b", 3)).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(4), Some(of("t", 0..2)))
    );
    assert_eq!(world.refused(beat("a", -1)), ErrorCode::UNKNOWN_MEMBER_ID);
    world.check_log();
}

#[test]
fn a_static_member_that_is_away_finds_all_as_it_was() {
    let mut world = World::of(&[("t", 4)]);
    world.send(join_static("a-1", "a", &["t"])).unwrap();
    world.join("b", &["t"]);
    assert_eq!(
        world.refused(join_static("a-2", "a", &["t"])),
        ErrorCode::UNRELEASED_INSTANCE_ID
    );
    world.send(having("a-1", 2, &of("t", 0..2))).unwrap();
    world.send(beat("b", 3)).unwrap();
    let away = Heartbeat {
        instance_id: Some("a".to_owned()),
        ..beat("a-1", -2)
    };
    let (records, answer) = world.step(Event::Heartbeat(Box::new(away)));
    assert_eq!(kinds(&records), [8]);
    assert_eq!(answer.unwrap().unwrap().member_epoch, Epoch(-2));
    let (epoch, target_b) = (world.group.epoch(), world.group.state.targets["b"].clone());
    assert_eq!(
        world.send(beat("b", 3)).unwrap().assignment,
        None,
        "nobody gets what waits"
    );

    let answer = world.send(join_static("a-2", "a", &["t"])).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(3), Some(of("t", 0..2)))
    );
    assert_eq!(world.group.epoch(), epoch, "no new epoch for it");
    assert_eq!(world.group.state.targets["b"], target_b);
    let old = |heartbeat: Heartbeat| Heartbeat {
        instance_id: Some("a".to_owned()),
        ..heartbeat
    };
    assert_eq!(world.refused(old(beat("a-1", 3))), ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(world.refused(old(beat("a-1", -1))), ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(world.refused(beat("a-1", 3)), ErrorCode::UNKNOWN_MEMBER_ID);
    world.check();
    world.check_log();
}

#[test]
fn a_static_member_that_stays_away_is_out_with_its_session() {
    let mut world = World::of(&[("t", 2)]);
    world.send(join_static("a-1", "a", &["t"])).unwrap();
    world
        .send(Heartbeat {
            instance_id: Some("a".to_owned()),
            ..beat("a-1", -2)
        })
        .unwrap();
    world.pass(SESSION_MS);
    assert_eq!(world.group.state(), GroupState::Empty);
    let unknown = Heartbeat {
        instance_id: Some("a".to_owned()),
        ..beat("a-1", -1)
    };
    assert_eq!(world.refused(unknown), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(
        world.send(join_static("a-2", "a", &["t"])).unwrap().assignment,
        Some(of("t", 0..2))
    );
    world.check_log();
}

#[test]
fn a_silent_member_is_out_and_who_calls_is_not() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    world.pass(30_000);
    world.send(beat("b", 3)).unwrap();
    world.pass(15_001);
    assert_eq!(world.refused(beat("a", 2)), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(world.send(beat("b", 3)).unwrap().assignment, Some(of("t", 0..2)));
    world.check_log();
}

#[test]
fn many_silent_members_are_put_out_a_batch_at_a_time() {
    let mut world = World::of(&[("t", 250)]);
    for member in 0..250 {
        world.join(&format!("m{member}"), &["t"]);
    }
    world.now_ms += SESSION_MS;
    let mut batches = Vec::new();
    while world
        .group
        .next_deadline()
        .is_some_and(|at| at <= world.now().monotonic)
    {
        batches.push(world.step(Event::Deadline).0.len());
    }
    assert_eq!(batches, [301, 301, 151]);
    assert_eq!(world.group.state(), GroupState::Empty);
}

#[test]
fn a_state_of_a_later_version_makes_the_member_join_again() {
    let mut world = World::of(&[("t", 1)]);
    world.join("a", &["t"]);
    let Some(Record::CurrentMemberAssignment {
        member_id,
        value: Some(value),
    }) = world.log.last().cloned()
    else {
        panic!("the last record says what the member has");
    };
    let value = Some(CurrentMemberAssignment { state: 9, ..value });
    world
        .group
        .replay(Record::CurrentMemberAssignment { member_id, value });
    assert_eq!(world.refused(beat("a", 2)), ErrorCode::FENCED_MEMBER_EPOCH);
    assert_eq!(world.join("a", &["t"]).assignment, Some(of("t", [0])));
    assert_eq!(world.member("a").state, MemberState::Stable);
}

#[test]
fn commits_are_for_members_in_their_epoch_and_for_what_they_have() {
    let mut world = World::of(&[("t", 2)]);
    let none = |world: &World| world.group.check_commit("", None, Epoch(-1), false, 9).map(drop);
    assert!(none(&world).is_ok(), "from outside, while the group is empty");
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    world.send(having("a", 2, &of("t", 0..2))).unwrap();
    world.send(having("a", 2, &of("t", [0]))).unwrap();
    assert_eq!(none(&world).unwrap_err().code, ErrorCode::UNKNOWN_MEMBER_ID);
    let check = |epoch, version| world.group.check_commit("a", None, Epoch(epoch), false, version);
    assert!(
        world.group.check_commit("", None, Epoch(-1), true, 9).is_ok(),
        "a transaction that names no group"
    );
    assert!(matches!(check(3, 9), Ok(CommitCheck::Any)));
    assert_eq!(check(3, 8).unwrap_err().code, ErrorCode::UNSUPPORTED_VERSION);
    assert_eq!(check(4, 9).unwrap_err().code, ErrorCode::STALE_MEMBER_EPOCH);
    let older = check(2, 9).unwrap();
    let topic = made_up_id("t");
    assert_eq!(
        older.check(topic, PartitionIndex(0)),
        Ok(()),
        "has had it since epoch 2"
    );
    assert_eq!(
        older.check(topic, PartitionIndex(1)).unwrap_err().code,
        ErrorCode::STALE_MEMBER_EPOCH
    );
    assert_eq!(
        check(1, 9)
            .unwrap()
            .check(topic, PartitionIndex(0))
            .unwrap_err()
            .code,
        ErrorCode::STALE_MEMBER_EPOCH
    );
    assert!(world.group.check_fetch(None, Epoch(-1)).is_ok());
    assert!(world.group.check_fetch(Some("a"), Epoch(3)).is_ok());
    let stale = world.group.check_fetch(Some("a"), Epoch(2)).unwrap_err();
    assert_eq!(stale.code, ErrorCode::STALE_MEMBER_EPOCH);
    assert_eq!(
        world.group.check_fetch(Some("x"), Epoch(2)).unwrap_err().code,
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn people_are_told_who_has_and_should_have_what() {
    let mut world = World::of(&[("t", 2), ("gone", 1)]);
    let heartbeat = Heartbeat {
        rack_id: Some("r".to_owned()),
        ..join_static("a", "i", &["t", "gone"])
    };
    world.send(heartbeat).unwrap();
    world.join("b", &["t"]);
    world.send(beat("a", 2)).unwrap();
    world.topics.remove("gone");
    let told = world.group.describe(&world.settings, &world.topics);
    assert_eq!(
        (told.state.to_string().as_str(), told.epoch, told.assignment_epoch),
        ("Reconciling", Epoch(3), Epoch(3))
    );
    assert_eq!(told.assignor, Assignor::Uniform);
    let a = &told.members[0];
    assert_eq!(
        (&*a.id, a.instance_id.as_deref(), a.rack_id.as_deref()),
        ("a", Some("i"), Some("r"))
    );
    assert_eq!(
        (&*a.client_id, &*a.client_host, a.epoch),
        ("client", "/127.0.0.1", Epoch(2))
    );
    let named = |partitions: &[i32]| NamedPartitions {
        topic_id: made_up_id("t"),
        topic_name: "t".to_owned(),
        partitions: partitions.iter().copied().map(PartitionIndex).collect(),
    };
    assert_eq!(
        a.assignment,
        [named(&[0, 1])],
        "with what it still has to give up"
    );
    let shared: usize = told
        .members
        .iter()
        .flat_map(|m| &m.target_assignment)
        .map(|t| t.partitions.len())
        .sum();
    assert_eq!(shared, 2);
    assert_eq!(told.members[1].member_type.number(), 1);
    assert_eq!(told.members[1].subscribed_topic_names, ["t".into()]);
}
