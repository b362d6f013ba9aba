use super::*;

/// Static members `names`, stable; the first leads.
fn stable(world: &mut World, names: &[&str]) -> Vec<MemberId> {
    let tokens: Vec<_> = names
        .iter()
        .map(|name| world.join(request_of_instance(name)))
        .collect();
    world.pass(2 * DELAY_MS);
    let ids: Vec<_> = tokens
        .iter()
        .map(|token| world.join_answer(*token).member_id.clone())
        .collect();
    let ids = world.with_leader_first(ids);
    world.synced(&ids);
    ids
}

fn name_of(world: &World, id: &MemberId) -> String {
    let member = world.group.members.get(id).expect("a member");
    member.instance_id.as_ref().expect("a static one").to_string()
}

#[test]
fn a_follower_that_was_started_again_goes_on_with_its_share_under_a_new_id() {
    let mut world = World::new();
    let ids = stable(&mut world, &["i", "j", "k"]);
    let name = name_of(&world, &ids[1]);
    world.holds_appends = true;
    let token = world.join(request_of_instance(&name));
    assert!(world.is_waiting(token), "until it is written");
    world.settle(Ok(()));
    let answer = world.join_answer(token).clone();
    assert_eq!(
        (answer.error, answer.generation),
        (ErrorCode::NONE, Generation(1))
    );
    assert_ne!(answer.member_id, ids[1]);
    assert_eq!(
        (&answer.leader, answer.skip_assignment, answer.members.len()),
        (&ids[0], false, 0)
    );
    assert_eq!(world.group.state(), State::Stable);
    let record = world.log.last().unwrap().clone().unwrap();
    let written = record
        .members
        .iter()
        .find(|member| member.member_id == answer.member_id)
        .unwrap();
    assert_eq!(
        (&written.assignment[..], written.group_instance_id.clone()),
        (&b"share"[..], Some(name.as_str().into()))
    );
    let sync = world.sync(&answer.member_id, Generation(1), &[]);
    assert_eq!(world.sync_answer(sync).assignment, "share");
}

#[test]
fn a_leader_that_was_started_again_is_told_to_assign_nothing() {
    for may_skip_assignment in [true, false] {
        let mut world = World::new();
        let ids = stable(&mut world, &["i", "j"]);
        let name = name_of(&world, &ids[0]);
        let token = world.join(JoinRequest {
            may_skip_assignment,
            ..request_of_instance(&name)
        });
        let answer = world.join_answer(token);
        assert_eq!(answer.generation, Generation(1));
        assert_eq!(answer.skip_assignment, may_skip_assignment);
        if may_skip_assignment {
            assert_eq!((&answer.leader, answer.members.len()), (&answer.member_id, 2));
        } else {
            assert_eq!(
                (&answer.leader, answer.members.len()),
                (&ids[0], 0),
                "it must not know that it leads"
            );
        }
        assert!(world.group.members.is_leader(&answer.member_id));
    }
}

#[test]
fn what_still_runs_under_the_old_id_is_fenced() {
    let mut world = World::new();
    let ids = stable(&mut world, &["i", "j"]);
    let (old, name) = (&ids[1], name_of(&world, &ids[1]));
    world.join(request_of_instance(&name));
    let instance_id = Some(InstanceId::from(&*name));
    let fenced = ErrorCode::FENCED_INSTANCE_ID;
    let rejoin = world.join(JoinRequest {
        member_id: old.clone(),
        ..request_of_instance(&name)
    });
    assert_eq!(world.join_error(rejoin), fenced);
    assert_eq!(&world.join_answer(rejoin).member_id, old);
    let sync = world.ask(|token| {
        Event::Sync(
            token,
            SyncRequest {
                instance_id: instance_id.clone(),
                ..sync_of(old, Generation(1))
            },
        )
    });
    assert_eq!(world.sync_answer(sync).error, fenced);
    let beat = HeartbeatRequest {
        member_id: old.clone(),
        instance_id: instance_id.clone(),
        generation: Generation(1),
    };
    let beat = world.ask(|token| Event::Heartbeat(token, beat));
    assert_eq!(world.heartbeat_answer(beat), fenced);
    let commit = world
        .group
        .check_commit(old, instance_id.as_ref(), Generation(1), false);
    assert_eq!(commit, Err(fenced));
    assert_eq!(
        world.heartbeat(old, Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID,
        "without its instance id"
    );
}

#[test]
fn what_the_old_one_waits_for_is_fenced_at_once() {
    let mut world = World::new();
    let join = world.join(request_of_instance("i"));
    let other = world.join(request_of_instance("i"));
    assert_eq!(world.join_error(join), ErrorCode::FENCED_INSTANCE_ID);
    world.pass(DELAY_MS);
    assert_eq!(world.join_answer(other).members.len(), 1);
    let mut world = World::new();
    let joins = [
        world.join(request_of_instance("i")),
        world.join(request_of_instance("j")),
    ];
    joins.iter().for_each(|join| world.pass_until_answered(*join));
    let ids: Vec<_> = joins
        .iter()
        .map(|join| world.join_answer(*join).member_id.clone())
        .collect();
    let ids = world.with_leader_first(ids);
    let sync = world.sync(&ids[1], world.group.generation(), &[]);
    let name = name_of(&world, &ids[1]);
    world.join(request_of_instance(&name));
    assert_eq!(world.sync_answer(sync).error, ErrorCode::FENCED_INSTANCE_ID);
    assert_eq!(
        world.group.state(),
        State::PreparingRebalance,
        "the leader knows the old id"
    );
}

#[test]
fn a_member_whose_return_changes_the_protocol_begins_a_rebalance() {
    let mut world = World::new();
    let tokens = ["i", "j"].map(|name| world.join(with_protocols(request_of_instance(name), &["a", "b"])));
    world.pass(2 * DELAY_MS);
    let ids = tokens.map(|token| world.join_answer(token).member_id.clone());
    let ids = world.with_leader_first(ids.to_vec());
    world.synced(&ids);
    let name = name_of(&world, &ids[1]);
    let token = world.join(with_protocols(request_of_instance(&name), &["b"]));
    assert!(world.is_waiting(token));
    assert_eq!(world.group.state(), State::PreparingRebalance);
    world.join(with_protocols(
        JoinRequest {
            instance_id: Some("i".into()),
            ..request_of(&ids[0])
        },
        &["a", "b"],
    ));
    world.pass(REBALANCE_MS as u64);
    assert_eq!(world.join_answer(token).protocol.as_deref(), Some("b"));
}

#[test]
fn a_return_that_can_not_be_written_is_undone() {
    let mut world = World::new();
    let ids = stable(&mut world, &["i", "j"]);
    let name = name_of(&world, &ids[0]);
    world.holds_appends = true;
    let token = world.join(JoinRequest {
        session_timeout_ms: 7_000,
        ..request_of_instance(&name)
    });
    world.settle(Err(ErrorCode::NOT_ENOUGH_REPLICAS));
    let answer = world.join_answer(token);
    assert_eq!(answer.error, ErrorCode::COORDINATOR_NOT_AVAILABLE);
    assert!(answer.member_id.is_unknown());
    assert!(world.group.members.is_leader(&ids[0]));
    assert_eq!(
        world.group.members.get(&ids[0]).unwrap().terms.session_timeout_ms,
        SESSION_MS
    );
    assert_eq!(world.heartbeat(&ids[0], Generation(1)), ErrorCode::NONE);
    assert_eq!(world.group.state(), State::Stable);
}

#[test]
fn a_return_that_a_rebalance_overtakes_is_answered_at_its_end() {
    for result in [Ok(()), Err(ErrorCode::NOT_ENOUGH_REPLICAS)] {
        let mut world = World::new();
        let ids = stable(&mut world, &["i", "j"]);
        let name = name_of(&world, &ids[1]);
        world.holds_appends = true;
        let token = world.join(request_of_instance(&name));
        let new_id = world
            .group
            .members
            .of_instance(&name.as_str().into())
            .unwrap()
            .clone();
        world.join(JoinRequest {
            instance_id: Some(name_of(&world, &ids[0]).as_str().into()),
            ..request_of(&ids[0])
        });
        assert_eq!(
            world.join_answer(token).generation,
            Generation(2),
            "both have joined"
        );
        world.settle(result);
        assert!(world.group.members.get(&new_id).is_some());
    }
}

#[test]
fn a_static_member_stays_through_a_rebalance_that_it_misses_until_its_session_ends() {
    let mut world = World::new();
    let tokens = ["i", "j"].map(|name| {
        world.join(JoinRequest {
            session_timeout_ms: 100_000,
            ..request_of_instance(name)
        })
    });
    world.pass(2 * DELAY_MS);
    let ids = world.with_leader_first(
        tokens
            .map(|token| world.join_answer(token).member_id.clone())
            .to_vec(),
    );
    world.synced(&ids);
    let name = name_of(&world, &ids[0]);
    let token = world.join(JoinRequest {
        instance_id: Some(name.as_str().into()),
        session_timeout_ms: 100_000,
        ..request_of(&ids[0])
    });
    world.pass(REBALANCE_MS as u64);
    assert_eq!(
        world.join_answer(token).members.len(),
        2,
        "it may be back in time"
    );
    assert!(world.group.members.get(&ids[1]).is_some());
}

#[test]
fn with_nobody_but_static_members_that_are_away_the_phase_goes_on() {
    let mut world = World::new();
    let ids = stable(&mut world, &["i", "j"]);
    let generation = world.group.generation();
    world.leave(vec![leaver(&ids[0])]);
    world.pass(SESSION_MS as u64 - 1);
    assert_eq!(
        (world.group.state(), world.group.generation()),
        (State::PreparingRebalance, generation)
    );
    world.pass(1);
    assert_eq!(world.group.state(), State::Empty);
}

#[test]
fn an_id_that_was_given_out_is_no_static_members() {
    let mut world = World::new();
    let token = world.join(JoinRequest {
        must_know_its_id: true,
        ..request()
    });
    let id = world.join_answer(token).member_id.clone();
    let token = world.join(JoinRequest {
        instance_id: Some("i".into()),
        ..request_of(&id)
    });
    assert_eq!(world.join_error(token), ErrorCode::UNKNOWN_SERVER_ERROR);
}

#[test]
fn an_unknown_instance_with_an_id_is_a_stranger() {
    let mut world = World::new();
    let ids = stable(&mut world, &["i"]);
    let token = world.join(JoinRequest {
        instance_id: Some("k".into()),
        ..request_of(&ids[0])
    });
    assert_eq!(world.join_error(token), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn one_that_comes_back_before_it_has_synced_still_has_to() {
    let mut world = World::new();
    let tokens = ["i", "j"].map(|name| world.join(request_of_instance(name)));
    world.pass(2 * DELAY_MS);
    let ids = world.with_leader_first(
        tokens
            .map(|token| world.join_answer(token).member_id.clone())
            .to_vec(),
    );
    world.sync(&ids[0], Generation(1), &[(&ids[1], "b")]);
    let name = name_of(&world, &ids[1]);
    let token = world.join(request_of_instance(&name));
    let id = world.join_answer(token).member_id.clone();
    let sync = world.sync(&id, Generation(1), &[]);
    assert_eq!(world.sync_answer(sync).assignment, "b");
    for _ in 0..2 * REBALANCE_MS / 5_000 {
        world.heartbeat(&ids[0], Generation(1));
        world.heartbeat(&id, Generation(1));
        world.pass(5_000);
    }
    assert_eq!(world.group.state(), State::Stable, "nobody is missed");
}
