//! What members read: names, regular expressions, and topics that come, grow and go.

use super::*;

#[test]
fn a_topic_that_grows_comes_or_goes_makes_a_new_assignment() {
    let mut world = World::of(&[("t", 1)]);
    world.join("a", &["t", "later"]);
    assert!(world.group.reads("later") && !world.group.reads("other"));
    world.topics_changed("t", 2);
    let answer = world.send(beat("a", 2)).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(3), Some(of("t", 0..2)))
    );
    world.topics_changed("later", 1);
    assert_eq!(world.send(beat("a", 3)).unwrap().assignment.unwrap().count(), 3);
    world.topics.remove("t");
    world.step(Event::TopicsChanged);
    let answer = world.send(having("a", 4, &of("later", [0]))).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(5), Some(of("later", [0])))
    );
    world.step(Event::TopicsChanged);
    let (records, _) = world.step(Event::Heartbeat(Box::new(beat("a", 5))));
    assert!(records.is_empty(), "nothing that the group reads has changed");
    world.check_log();
}

#[test]
fn who_reads_less_gives_up_the_rest_at_once_even_before_the_next_assignment() {
    let mut world = World::of(&[("t", 1), ("u", 1)]);
    world.join("a", &["t", "u"]);
    world.settings.assignment_interval_ms = 1_000_000;
    let less = Heartbeat {
        subscribed_topic_names: Some(vec!["u".to_owned()]),
        ..beat("a", 2)
    };
    let answer = world.send(less).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(2), Some(of("u", [0])))
    );
    assert_eq!(world.member("a").state, MemberState::UnrevokedPartitions);
    let answer = world.send(having("a", 2, &of("u", [0]))).unwrap();
    assert_eq!(
        (answer.member_epoch, world.member("a").state),
        (Epoch(2), MemberState::Stable)
    );
    assert_eq!(world.group.state.owner(made_up_id("t"), PartitionIndex(0)), None);
    world.check_log();
}

#[test]
fn an_expression_is_resolved_apart_and_then_goes_into_an_assignment() {
    let mut world = World::of(&[("foo-1", 1), ("foo-2", 1), ("bar", 1)]);
    let (records, answer) = world.step(Event::Heartbeat(Box::new(join_by("a", "foo.*"))));
    assert_eq!(
        kinds(&records),
        [5, 8],
        "nothing is known of what it reads, so the group's epoch stays"
    );
    let answer = answer.unwrap().unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(1), Some(Partitions::default()))
    );
    assert_eq!(kinds(&world.resolve()), [16, 3]);
    let answer = world.send(beat("a", 1)).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment.unwrap().count()),
        (Epoch(2), 2)
    );
    assert!(world.group.reads("foo-1") && !world.group.reads("bar"));
    // A second reader of the same expression needs no second look.
    assert_eq!(world.send(join_by("b", "foo.*")).unwrap().member_epoch, Epoch(3));
    assert!(world.resolution.is_none());
    world.check_log();
}

#[test]
fn new_topics_are_looked_at_again_but_not_all_the_time() {
    let mut world = World::of(&[("foo-1", 1)]);
    world.send(join_by("a", "foo.*")).unwrap();
    world.resolve();
    world.send(beat("a", 1)).unwrap();
    world.topics.set("foo-2", 1);
    world.now_ms += 10_000;
    world.send(beat("a", 2)).unwrap();
    assert!(world.resolution.is_none(), "within 10 s of the last look");
    world.now_ms += 1;
    world.send(beat("a", 2)).unwrap();
    assert_eq!(kinds(&world.resolve()), [16, 3]);
    assert_eq!(world.send(beat("a", 2)).unwrap().assignment.unwrap().count(), 2);
    // Ten minutes later it is done again, and changes nothing but that record.
    world.now_ms += 600_001;
    world.send(beat("a", 3)).unwrap();
    assert_eq!(kinds(&world.resolve()), [16]);
    world.check_log();
}

#[test]
fn one_look_is_under_way_at_a_time_and_another_follows_if_it_fails() {
    let mut world = World::of(&[("foo", 1)]);
    world.send(join_by("a", "foo")).unwrap();
    let first = world.resolution.take();
    assert!(first.is_some());
    world.send(beat("a", 1)).unwrap();
    assert!(world.resolution.is_none());
    world.step(Event::ExpressionsResolved(None));
    world.send(beat("a", 1)).unwrap();
    assert!(world.resolution.is_some());
}

#[test]
fn what_is_no_expression_is_refused_and_nobody_joins() {
    let mut world = World::of(&[("t", 1)]);
    assert_eq!(
        world.refused(join_by("a", "(")),
        ErrorCode::INVALID_REGULAR_EXPRESSION
    );
    assert_eq!(world.log, []);
}

#[test]
fn an_expression_is_forgotten_with_its_last_reader() {
    let mut world = World::of(&[("foo", 1), ("bar", 1)]);
    world.send(join_by("a", "foo")).unwrap();
    world.resolve();
    world.send(join_by("b", "foo")).unwrap();
    let by_name = Heartbeat {
        subscribed_topic_names: Some(vec!["bar".to_owned()]),
        subscribed_topic_regex: Some(String::new()),
        ..beat("b", world.member("b").epoch.0)
    };
    world.send(by_name).unwrap();
    assert!(world.group.state.resolved.contains_key("foo"), "a reads by it");
    let (records, _) = world.step(Event::Heartbeat(Box::new(beat("a", -1))));
    assert_eq!(kinds(&records), [8, 7, 5, 16, 3]);
    assert!(world.group.state.resolved.is_empty() && !world.group.reads("foo"));
    world.check_log();
}

#[test]
fn names_and_an_expression_add_up() {
    let mut world = World::of(&[("foo", 1), ("bar", 1)]);
    let both = Heartbeat {
        subscribed_topic_regex: Some("foo".to_owned()),
        ..join("a", &["bar"])
    };
    world.send(both).unwrap();
    world.resolve();
    let epoch = world.member("a").epoch.0;
    assert_eq!(
        world.send(beat("a", epoch)).unwrap().assignment.unwrap().count(),
        2
    );
}

#[test]
fn a_record_of_an_older_kafka_is_taken_away() {
    let mut world = World::of(&[("t", 1)]);
    world.group.replay(Record::PartitionMetadata { present: true });
    let (records, _) = world.step(Event::Heartbeat(Box::new(join("a", &["t"]))));
    assert!(records.contains(&Record::PartitionMetadata { present: false }));
    assert!(!world.group.state.has_partition_metadata);
}
