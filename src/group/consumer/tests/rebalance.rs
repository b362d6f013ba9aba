//! How partitions go from one member to another, and when.

use super::*;

#[test]
fn a_partition_is_handed_out_only_when_its_owner_has_given_it_up() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    let answer = world.join("b", &["t"]);
    assert_eq!(answer.assignment, Some(Partitions::default()), "a has both");
    assert_eq!(
        (answer.member_epoch, world.member("b").state),
        (Epoch(3), MemberState::UnreleasedPartitions)
    );
    // a is told to give one up and says for a while that it still has it.
    let answer = world.send(having("a", 2, &of("t", 0..2))).unwrap();
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(2), Some(of("t", [0])))
    );
    for heartbeat in [having("a", 2, &of("t", 0..2)), beat("a", 2)] {
        assert_eq!(world.send(heartbeat).unwrap().member_epoch, Epoch(2));
        assert_eq!(world.send(beat("b", 3)).unwrap().assignment, None);
        world.check();
    }
    let answer = world.send(having("a", 2, &of("t", [0]))).unwrap();
    assert_eq!(answer.member_epoch, Epoch(3));
    let answer = world.send(beat("b", 3)).unwrap();
    assert_eq!(answer.assignment, Some(of("t", [1])));
    assert_eq!(world.group.state(), GroupState::Stable);
    world.check();
    world.check_log();
}

#[test]
fn who_does_not_give_up_in_time_is_out() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    world.send(having("a", 2, &of("t", 0..2))).unwrap();
    for _ in 0..3 {
        world.pass(19_000);
        world.send(having("a", 2, &of("t", 0..2))).unwrap();
        world.send(beat("b", 3)).unwrap();
    }
    world.pass(3_001);
    assert_eq!(
        world.refused(having("a", 2, &of("t", 0..2))),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    assert_eq!(world.send(beat("b", 3)).unwrap().assignment, Some(of("t", 0..2)));
}

#[test]
fn who_gives_up_in_time_stays() {
    let mut world = World::of(&[("t", 2)]);
    world.join("a", &["t"]);
    world.join("b", &["t"]);
    world.send(having("a", 2, &of("t", 0..2))).unwrap();
    world.pass(30_000);
    world.send(having("a", 2, &of("t", [0]))).unwrap();
    world.send(beat("b", 3)).unwrap();
    world.pass(40_000);
    assert_eq!(world.group.members().count(), 2);
}

#[test]
fn assignments_keep_their_interval_even_if_the_clock_is_set_back() {
    let mut world = World::of(&[("t", 4)]);
    world.settings.assignment_interval_ms = 1_000;
    world.join("a", &["t"]);
    world.now_ms += 999;
    let answer = world.join("b", &["t"]);
    assert_eq!(
        (answer.member_epoch, answer.assignment),
        (Epoch(2), Some(Partitions::default()))
    );
    assert_eq!(
        (world.group.epoch(), world.group.state()),
        (Epoch(3), GroupState::Assigning)
    );
    world.now_ms += 1;
    assert_eq!(world.send(beat("b", 2)).unwrap().member_epoch, Epoch(3));
    world.send(beat("a", -1)).unwrap();
    world.now_ms -= 3_600_000;
    assert_eq!(
        world.send(beat("b", 3)).unwrap().member_epoch,
        Epoch(4),
        "an hour back is no hour's wait"
    );
    world.check_log();
}

#[test]
fn one_newcomer_to_a_thousand_touches_only_whose_partition_it_gets() {
    const MEMBERS: usize = 1_000;
    let name = |member: usize| format!("member-{member:04}");
    let mut world = World::of(&[("t", 1_001)]);
    world.settings.assignment_interval_ms = i32::MAX;
    for member in 0..MEMBERS {
        world.join(&name(member), &["t"]);
    }
    world.settings.assignment_interval_ms = 0;
    for round in 0..3 {
        for member in 0..MEMBERS {
            let id = name(member);
            let (epoch, has) = (world.member(&id).epoch.0, world.member(&id).assigned.partitions());
            world
                .step(Event::Heartbeat(Box::new(having(&id, epoch, &has))))
                .1
                .unwrap()
                .unwrap();
        }
        assert!(round < 2 || world.group.state() == GroupState::Stable);
    }
    let before = world.group.state.clone();

    let (records, answer) = world.step(Event::Heartbeat(Box::new(join("newcomer", &["t"]))));
    let about = |record: &Record| key(record).1;
    let others: BTreeSet<String> = records
        .iter()
        .map(about)
        .filter(|id| !id.is_empty() && id != "newcomer")
        .collect();
    assert_eq!(others.len(), 1, "{others:?}");
    let giver = others.first().unwrap();
    assert_eq!(
        records.len(),
        6,
        "the newcomer's three, the giver's target, two epochs"
    );
    assert_eq!(answer.unwrap().unwrap().assignment, Some(Partitions::default()));
    for member in before.members.values().filter(|member| *member.id != **giver) {
        assert_eq!(world.group.state.members[&member.id], *member);
        let answer = world.send(beat(&member.id, member.epoch.0)).unwrap();
        assert_eq!(answer.assignment, None, "goes on with what it has");
        assert_eq!(world.member(&member.id).state, MemberState::Stable);
    }
    let epoch = world.member(giver).epoch.0;
    let left = world.send(beat(giver, epoch)).unwrap().assignment.unwrap();
    assert_eq!(left.count(), 1);
    world.send(having(giver, epoch, &left)).unwrap();
    let epoch = world.member("newcomer").epoch.0;
    assert_eq!(
        world
            .send(beat("newcomer", epoch))
            .unwrap()
            .assignment
            .unwrap()
            .count(),
        1
    );
    assert_eq!(world.group.state(), GroupState::Stable);
    world.check();
    world.check_log();
}

#[test]
fn most_votes_choose_the_assignor_and_the_setting_among_equals() {
    let asking = |member: &str, assignor: &str| Heartbeat {
        server_assignor: Some(assignor.to_owned()),
        ..join(member, &["t"])
    };
    let mut world = World::of(&[("t", 4)]);
    let assignor = |world: &World| world.group.describe(&world.settings, &world.topics).assignor;
    assert_eq!(assignor(&world), Assignor::Uniform);
    world.join("a", &["t"]);
    world.send(asking("b", "range")).unwrap();
    assert_eq!(assignor(&world), Assignor::Range);
    world.send(asking("c", "uniform")).unwrap();
    assert_eq!(assignor(&world), Assignor::Uniform);
    world.settings.assignors.reverse();
    assert_eq!(assignor(&world), Assignor::Range);
    world.settings.assignors = vec![Assignor::Uniform];
    assert_eq!(
        assignor(&world),
        Assignor::Uniform,
        "one that isn't configured any more has no votes"
    );
}
