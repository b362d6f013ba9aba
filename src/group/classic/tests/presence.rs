use super::*;

#[test]
fn heartbeats_are_answered_by_state_and_generation() {
    let mut world = World::new();
    assert_eq!(
        world.heartbeat(&"nobody".into(), Generation(0)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let ids = world.joined(2);
    let id = &ids[1];
    assert_eq!(
        world.heartbeat(id, Generation(1)),
        ErrorCode::NONE,
        "while the leader assigns"
    );
    world.synced(&ids);
    for (generation, error) in [
        (0, ErrorCode::ILLEGAL_GENERATION),
        (1, ErrorCode::NONE),
        (2, ErrorCode::ILLEGAL_GENERATION),
        (-1, ErrorCode::ILLEGAL_GENERATION),
    ] {
        assert_eq!(
            world.heartbeat(id, Generation(generation)),
            error,
            "of generation {generation}"
        );
    }
    world.join(request_of(&ids[0]));
    assert_eq!(
        world.heartbeat(id, Generation(1)),
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    assert_eq!(
        world.heartbeat(&"nobody".into(), Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn a_silent_member_is_one_no_more_after_its_session_timeout() {
    let mut world = World::new();
    let ids = world.stable(2);
    world.pass(SESSION_MS as u64 - 1);
    assert_eq!(world.heartbeat(&ids[0], Generation(1)), ErrorCode::NONE);
    world.pass(1);
    assert_eq!(world.group.state(), State::PreparingRebalance);
    assert_eq!(
        world.heartbeat(&ids[0], Generation(1)),
        ErrorCode::REBALANCE_IN_PROGRESS
    );
    assert_eq!(
        world.heartbeat(&ids[1], Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let token = world.join(request_of(&ids[0]));
    assert_eq!(world.join_answer(token).generation, Generation(2));
}

#[test]
fn a_commit_is_a_sign_of_life_but_not_while_the_leader_assigns() {
    let mut world = World::new();
    let ids = world.stable(1);
    for _ in 0..5 {
        world.pass(SESSION_MS as u64 - 1);
        world.step(Event::Committed(ids[0].clone()));
    }
    assert_eq!(world.group.state(), State::Stable);
    world.join(request_of(&ids[0]));
    assert_eq!(world.group.state(), State::CompletingRebalance);
    world.pass(SESSION_MS as u64 - 1);
    world.step(Event::Committed(ids[0].clone()));
    world.pass(1);
    assert_eq!(world.group.state(), State::Empty);
}

#[test]
fn a_group_whose_members_fall_silent_becomes_empty_and_says_so() {
    let mut world = World::new();
    world.stable(3);
    world.pass(SESSION_MS as u64 + REBALANCE_MS as u64);
    assert_eq!(world.group.state(), State::Empty);
    let record = world.log.last().unwrap().clone().unwrap();
    assert_eq!(
        (record.members.len(), record.protocol, record.leader),
        (0, None, None)
    );
    assert_eq!(&*record.protocol_type, "consumer");
    assert_eq!(
        record.current_state_timestamp,
        Timestamp(world.now.wall.0 - REBALANCE_MS as i64)
    );
    assert_eq!(world.wake_at, None);
}

#[test]
fn who_leaves_is_gone_at_once_and_the_others_rebalance() {
    let mut world = World::new();
    let ids = world.stable(3);
    let token = world.leave(vec![leaver(&ids[0])]);
    let answer = world.leave_answer(token);
    assert_eq!(
        (answer.error, answer.members[0].error),
        (ErrorCode::NONE, ErrorCode::NONE)
    );
    assert_eq!(
        world.heartbeat(&ids[0], Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let tokens: Vec<_> = ids[1..].iter().map(|id| world.join(request_of(id))).collect();
    assert_eq!(world.join_answer(tokens[0]).generation, Generation(2));
    assert!(ids[1..].contains(&world.join_answer(tokens[0]).leader));
}

#[test]
fn each_that_leaves_is_answered_for_itself() {
    let mut world = World::new();
    let token = world.join(JoinRequest {
        must_know_its_id: true,
        ..request()
    });
    let pending = world.join_answer(token).member_id.clone();
    world.join(request_of_instance("i"));
    world.join(request_of_instance("j"));
    world.pass(SESSION_MS as u64 / 2);
    let of = |name: &str| world.group.members.of_instance(&name.into()).unwrap().clone();
    let (i, j) = (of("i"), of("j"));
    let unknown = MemberId::unknown();
    let token = world.leave(vec![
        leaver(&pending),
        leaver(&"nobody".into()),
        leaver(&unknown),
        leaver_of_instance(&unknown, "k"),
        leaver_of_instance(&j, "i"),
        leaver_of_instance(&unknown, "i"),
        leaver_of_instance(&j, "j"),
        leaver(&j),
    ]);
    let none = ErrorCode::NONE;
    let stranger = ErrorCode::UNKNOWN_MEMBER_ID;
    let errors: Vec<_> = world
        .leave_answer(token)
        .members
        .iter()
        .map(|member| member.error)
        .collect();
    assert_eq!(
        errors,
        [
            none,
            stranger,
            stranger,
            stranger,
            ErrorCode::FENCED_INSTANCE_ID,
            none,
            none,
            stranger
        ]
    );
    assert!(
        world.leave_answer(token).members[5].member_id.is_unknown(),
        "as it was asked"
    );
    assert!(world.group.members.get(&i).is_none() && world.group.members.is_empty());
}

#[test]
fn what_a_member_waits_for_is_answered_when_it_is_removed() {
    let mut world = World::new();
    let join = world.join(request_of_instance("i"));
    let id = world.group.members.ids()[0].clone();
    world.leave(vec![leaver_of_instance(&MemberId::unknown(), "i")]);
    assert_eq!(world.join_error(join), ErrorCode::UNKNOWN_MEMBER_ID);
    world.pass(DELAY_MS);
    assert_eq!(world.group.state(), State::Empty);
    let ids = world.joined(2);
    let sync = world.sync(&ids[1], world.group.generation(), &[]);
    world.leave(vec![leaver(&ids[1])]);
    assert_eq!(world.sync_answer(sync).error, ErrorCode::UNKNOWN_MEMBER_ID);
    assert_ne!(id, ids[0]);
}

#[test]
fn the_last_to_leave_is_answered_when_the_empty_group_is_written() {
    for result in [Ok(()), Err(ErrorCode::NOT_LEADER_OR_FOLLOWER)] {
        let mut world = World::new();
        let ids = world.stable(2);
        world.holds_appends = true;
        let token = world.leave(ids.iter().map(leaver).collect());
        assert_eq!(world.group.state(), State::Empty);
        assert!(world.is_waiting(token));
        world.settle(result);
        let answer = world.leave_answer(token);
        match result {
            Ok(()) => assert_eq!((answer.error, answer.members.len()), (ErrorCode::NONE, 2)),
            Err(_) => assert_eq!(
                (answer.error, answer.members.len()),
                (ErrorCode::NOT_COORDINATOR, 0)
            ),
        }
    }
}

#[test]
fn a_leaver_may_complete_the_join_phase() {
    let mut world = World::new();
    let ids = world.stable(2);
    let token = world.join(request_of(&ids[0]));
    assert!(world.is_waiting(token));
    world.leave(vec![leaver(&ids[1])]);
    assert_eq!(world.join_answer(token).members.len(), 1);
}

#[test]
fn a_rebalance_timeout_of_nothing_costs_no_more_than_a_look_now_and_then() {
    let mut world = World::new();
    let hurried = |name: &str| JoinRequest {
        rebalance_timeout_ms: 0,
        ..request_of_instance(name)
    };
    let tokens = [world.join(hurried("i")), world.join(hurried("j"))];
    world.pass(DELAY_MS);
    let ids: Vec<_> = tokens
        .iter()
        .map(|token| world.join_answer(*token).member_id.clone())
        .collect();
    // Neither syncs: both are out at once. The next generation's have their share, and one of them is away.
    assert_eq!((world.group.members.len(), ids.len()), (0, 2));
    let tokens = [world.join(hurried("i")), world.join(hurried("j"))];
    world.holds_appends = true;
    world.go_to(world.now.at + Duration::from_millis(DELAY_MS));
    world.step(Event::Timeout);
    let ids: Vec<_> = tokens
        .iter()
        .map(|token| world.join_answer(*token).member_id.clone())
        .collect();
    let ids = world.with_leader_first(ids);
    world.holds_appends = false;
    world.synced(&ids);
    world.leave(vec![leaver_of_instance(&ids[0], &ids[0].0[..1])]);
    let mut steps = 0;
    while world.group.state() != State::Empty {
        let at = world.wake_at.expect("the group waits for something");
        world.go_to(at.max(world.now.at));
        world.step(Event::Timeout);
        steps += 1;
    }
    assert!(steps <= 1 + SESSION_MS / 100, "{steps} looks");
}

#[test]
fn who_waits_is_sent_on_when_the_group_moves() {
    let mut world = World::new();
    let ids = world.stable(2);
    let join = world.join(request_of(&ids[0]));
    world.step(Event::Unloaded);
    assert_eq!(world.join_error(join), ErrorCode::NOT_COORDINATOR);
    assert_eq!((world.group.state(), world.wake_at), (State::Dead, None));
    let gone = ErrorCode::COORDINATOR_NOT_AVAILABLE;
    assert_eq!(world.heartbeat(&ids[0], Generation(1)), gone);
    let (join, rejoin) = (world.join(request()), world.join(request_of(&ids[0])));
    assert_eq!((world.join_error(join), world.join_error(rejoin)), (gone, gone));
    let sync = world.sync(&ids[0], Generation(1), &[]);
    assert_eq!(world.sync_answer(sync).error, gone);
    let leave = world.leave(vec![leaver(&ids[0])]);
    assert_eq!(world.leave_answer(leave).error, gone);
}
