use super::*;

#[test]
fn everybody_gets_its_share_once_it_is_written() {
    let mut world = World::new();
    let ids = world.joined(3);
    world.holds_appends = true;
    let early = world.sync(&ids[1], Generation(1), &[]);
    let shares = [(&ids[0], "a"), (&ids[1], "b"), (&"nobody".into(), "c")];
    let leaders = world.sync(&ids[0], Generation(1), &shares);
    let late = world.sync(&ids[2], Generation(1), &[]);
    assert!(
        [early, leaders, late]
            .iter()
            .all(|token| world.is_waiting(*token))
    );
    assert_eq!(world.group.state(), State::CompletingRebalance);
    world.settle(Ok(()));
    assert_eq!(world.group.state(), State::Stable);
    let shares: Vec<_> = [leaders, early, late]
        .iter()
        .map(|token| &world.sync_answer(*token).assignment[..])
        .collect();
    assert_eq!(shares, [&b"a"[..], b"b", b""], "who is given nothing has nothing");
    let record = world.log.last().unwrap().clone().unwrap();
    assert_eq!((record.generation, record.members.len()), (Generation(1), 3));
    assert!(record.members.iter().all(|member| member.subscription == "meta"));
    assert_eq!(record.leader.as_deref(), Some(&*ids[0].0));
    let after = world.sync(&ids[1], Generation(1), &[]);
    assert_eq!(
        world.sync_answer(after).assignment,
        "b",
        "a stable group tells it again"
    );
}

#[test]
fn what_of_a_sync_does_not_fit_is_refused() {
    let mut world = World::new();
    let ids = world.joined(1);
    let id = &ids[0];
    let fits = sync_of(id, Generation(1));
    for (request, error) in [
        (
            sync_of(&"nobody".into(), Generation(1)),
            ErrorCode::UNKNOWN_MEMBER_ID,
        ),
        (sync_of(id, Generation(2)), ErrorCode::ILLEGAL_GENERATION),
        (sync_of(id, Generation(0)), ErrorCode::ILLEGAL_GENERATION),
        (
            SyncRequest {
                instance_id: Some("i".into()),
                ..fits.clone()
            },
            ErrorCode::UNKNOWN_MEMBER_ID,
        ),
        (
            SyncRequest {
                protocol_type: Some("connect".into()),
                ..fits.clone()
            },
            ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ),
        (
            SyncRequest {
                protocol: Some("sticky".into()),
                ..fits.clone()
            },
            ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        ),
    ] {
        let told = format!("{request:?}");
        let token = world.ask(|token| Event::Sync(token, request));
        assert_eq!(world.sync_answer(token).error, error, "{told}");
    }
    let agreeing = SyncRequest {
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        ..fits
    };
    let token = world.ask(|token| Event::Sync(token, agreeing));
    assert_eq!(world.sync_answer(token).error, ErrorCode::NONE);
}

#[test]
fn a_sync_during_the_join_phase_or_of_an_empty_group_is_refused() {
    let mut world = World::new();
    let token = world.sync(&"nobody".into(), Generation(0), &[]);
    assert_eq!(world.sync_answer(token).error, ErrorCode::UNKNOWN_MEMBER_ID);
    let ids = world.stable(2);
    world.join(request_of(&ids[0]));
    let token = world.sync(&ids[1], Generation(1), &[]);
    assert_eq!(world.sync_answer(token).error, ErrorCode::REBALANCE_IN_PROGRESS);
}

#[test]
fn an_assignment_that_can_not_be_written_is_made_anew() {
    for (failure, told) in [
        (
            ErrorCode::NOT_ENOUGH_REPLICAS,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ),
        (ErrorCode::REQUEST_TIMED_OUT, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ),
        (ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::NOT_COORDINATOR),
        (ErrorCode::MESSAGE_TOO_LARGE, ErrorCode::UNKNOWN_SERVER_ERROR),
        (ErrorCode::RECORD_LIST_TOO_LARGE, ErrorCode::UNKNOWN_SERVER_ERROR),
        (ErrorCode::CORRUPT_MESSAGE, ErrorCode::CORRUPT_MESSAGE),
    ] {
        let mut world = World::new();
        let ids = world.joined(2);
        world.holds_appends = true;
        let leaders = world.sync(&ids[0], Generation(1), &[(&ids[0], "a")]);
        let followers = world.sync(&ids[1], Generation(1), &[]);
        world.settle(Err(failure));
        for token in [leaders, followers] {
            assert_eq!(world.sync_answer(token).error, told);
            assert!(world.sync_answer(token).assignment.is_empty());
        }
        assert_eq!(world.group.state(), State::PreparingRebalance);
    }
}

#[test]
fn an_assignment_that_a_rebalance_has_overtaken_is_void() {
    let mut world = World::new();
    let ids = world.joined(2);
    world.holds_appends = true;
    let leaders = world.sync(&ids[0], Generation(1), &[(&ids[0], "old")]);
    let newcomer = world.join(request());
    assert_eq!(world.sync_answer(leaders).error, ErrorCode::REBALANCE_IN_PROGRESS);
    let tokens: Vec<_> = ids.iter().map(|id| world.join(request_of(id))).collect();
    assert!(!world.is_waiting(newcomer) && !world.is_waiting(tokens[0]));
    let waits = world.sync(&ids[1], Generation(2), &[]);
    world.settle(Ok(()));
    assert_eq!(world.group.state(), State::CompletingRebalance);
    assert!(world.is_waiting(waits));
}

#[test]
fn of_two_syncs_of_the_leader_the_first_assigns_and_the_second_is_answered() {
    let mut world = World::new();
    let ids = world.joined(1);
    world.holds_appends = true;
    let records = world.log.len();
    let first = world.sync(&ids[0], Generation(1), &[(&ids[0], "first")]);
    let second = world.sync(&ids[0], Generation(1), &[(&ids[0], "second")]);
    assert_eq!(world.log.len(), records + 1);
    world.settle(Ok(()));
    assert_eq!(world.sync_answer(first).error, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(world.sync_answer(second).assignment, "first");
}

#[test]
fn who_does_not_sync_in_time_is_a_member_no_more() {
    let mut world = World::new();
    let ids = world.joined(3);
    let waits = world.sync(&ids[1], Generation(1), &[]);
    for _ in 0..REBALANCE_MS / 5_000 {
        assert!(
            world.is_waiting(waits),
            "the leader may take as long as a rebalance may"
        );
        for id in &ids {
            assert_eq!(world.heartbeat(id, Generation(1)), ErrorCode::NONE);
        }
        world.pass(5_000);
    }
    assert_eq!(world.sync_answer(waits).error, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(world.group.members.ids(), [ids[1].clone()]);
    let token = world.join(request_of(&ids[1]));
    assert_eq!(world.join_answer(token).leader, ids[1]);
}

#[test]
fn who_never_asks_for_its_share_of_a_stable_group_is_a_member_no_more() {
    let mut world = World::new();
    let ids = world.joined(2);
    world.sync(&ids[0], Generation(1), &[]);
    assert_eq!(world.group.state(), State::Stable);
    for _ in 0..REBALANCE_MS / 5_000 {
        for id in &ids {
            assert_eq!(world.heartbeat(id, Generation(1)), ErrorCode::NONE);
        }
        world.pass(5_000);
    }
    assert_eq!(world.group.state(), State::PreparingRebalance);
    assert_eq!(
        world.heartbeat(&ids[1], Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn who_has_asked_for_its_share_needs_no_heartbeat_until_it_has_it() {
    let mut world = World::new();
    let ids = world.joined(2);
    let waits = world.sync(&ids[1], Generation(1), &[]);
    for _ in 0..4 {
        world.pass(SESSION_MS as u64 - 1_000);
        assert_eq!(world.heartbeat(&ids[0], Generation(1)), ErrorCode::NONE);
    }
    assert!(world.is_waiting(waits));
    world.sync(&ids[0], Generation(1), &[(&ids[1], "b")]);
    assert_eq!(world.sync_answer(waits).assignment, "b");
    world.pass(SESSION_MS as u64 - 1);
    assert_eq!(
        world.heartbeat(&ids[1], Generation(1)),
        ErrorCode::NONE,
        "its session began anew"
    );
}
