use super::*;

#[test]
fn a_first_rebalance_waits_for_more_and_completes_for_all_at_once() {
    let mut world = World::new();
    let (first, second) = (world.join(request()), world.join(request()));
    world.pass(DELAY_MS - 1);
    assert!(world.is_waiting(first) && world.is_waiting(second));
    // The second came after the delay began, so it is prolonged once.
    world.pass(1);
    assert!(world.is_waiting(first));
    world.pass(DELAY_MS);
    let (first, second) = (
        world.join_answer(first).clone(),
        world.join_answer(second).clone(),
    );
    assert_eq!(
        (first.generation, second.generation),
        (Generation(1), Generation(1))
    );
    assert_eq!(
        (&first.leader, &second.leader),
        (&first.member_id, &first.member_id)
    );
    assert_eq!(
        (first.members.len(), second.members.len()),
        (2, 0),
        "only the leader sees all"
    );
    assert_eq!(first.protocol.as_deref(), Some("range"));
    assert_eq!(first.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(world.group.state(), State::CompletingRebalance);
}

/// Delay 3,000, rebalance timeout `timeout`; members come while each delay runs.
#[test]
fn a_first_rebalance_is_prolonged_within_the_rebalance_timeout() {
    for (timeout, ends_at) in [
        (0, 3_000),
        (3_000, 3_000),
        (4_000, 4_000),
        (8_000, 8_000),
        (9_000, 9_000),
    ] {
        let mut world = World::new();
        let first = world.join(JoinRequest {
            rebalance_timeout_ms: timeout,
            ..request()
        });
        let mut at = 0;
        while world.is_waiting(first) {
            world.join(JoinRequest {
                rebalance_timeout_ms: 0,
                ..request()
            });
            world.pass(500);
            at += 500;
        }
        assert_eq!(at, ends_at, "with a rebalance timeout of {timeout}");
    }
}

#[test]
fn a_first_rebalance_without_a_delay_ends_at_the_next_timeout() {
    let mut world = World::new();
    world.limits.initial_rebalance_delay = Duration::ZERO;
    let token = world.join(request());
    assert_eq!(world.wake_at, Some(world.now.at));
    world.pass(0);
    assert_eq!(world.join_error(token), ErrorCode::NONE);
}

#[test]
fn a_new_dynamic_member_must_come_back_with_its_id() {
    let mut world = World::new();
    let asked = JoinRequest {
        must_know_its_id: true,
        ..request()
    };
    let token = world.join(asked.clone());
    let answer = world.join_answer(token).clone();
    assert_eq!(answer.error, ErrorCode::MEMBER_ID_REQUIRED);
    assert_eq!(answer.member_id, MemberId::from("client-uuid-1"));
    assert_eq!(world.group.state(), State::Empty);
    let token = world.join(JoinRequest {
        member_id: answer.member_id.clone(),
        ..asked
    });
    world.pass(DELAY_MS);
    assert_eq!(world.join_answer(token).member_id, answer.member_id);
    assert_eq!(world.join_error(token), ErrorCode::NONE);
}

#[test]
fn an_id_that_nobody_came_back_with_is_forgotten_after_the_session_timeout() {
    let mut world = World::new();
    let asked = JoinRequest {
        must_know_its_id: true,
        ..request()
    };
    let token = world.join(asked.clone());
    let id = world.join_answer(token).member_id.clone();
    world.pass(SESSION_MS as u64 - 1);
    assert!(world.group.members.is_pending(&id));
    world.pass(1);
    let token = world.join(JoinRequest {
        member_id: id,
        ..asked
    });
    assert_eq!(world.join_error(token), ErrorCode::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_rebalance_waits_for_who_was_given_an_id_until_its_session_timeout() {
    let mut world = World::new();
    let ids = world.stable(1);
    world.join(JoinRequest {
        must_know_its_id: true,
        ..request()
    });
    let token = world.join(request_of(&ids[0]));
    assert!(world.is_waiting(token));
    world.pass(SESSION_MS as u64);
    assert_eq!(world.join_answer(token).generation, Generation(2));
}

#[test]
fn a_static_member_is_added_without_coming_back() {
    let mut world = World::new();
    let token = world.join(JoinRequest {
        must_know_its_id: true,
        ..request_of_instance("i")
    });
    world.pass(DELAY_MS);
    assert_eq!(world.join_answer(token).member_id, MemberId::from("i-uuid-1"));
    assert_eq!(world.join_answer(token).members[0].instance_id, Some("i".into()));
}

#[test]
fn too_many_ids_are_not_given_out() {
    let mut world = World::new();
    world.limits.pending_members_max = 2;
    let asked = JoinRequest {
        must_know_its_id: true,
        ..request()
    };
    let tokens: Vec<_> = (0..3).map(|_| world.join(asked.clone())).collect();
    let errors: Vec<_> = tokens.iter().map(|token| world.join_error(*token)).collect();
    let required = ErrorCode::MEMBER_ID_REQUIRED;
    assert_eq!(
        errors,
        [required, required, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS]
    );
}

#[test]
fn session_timeouts_outside_the_limits_are_refused() {
    for (session_timeout_ms, error) in [
        (5_999, Some(ErrorCode::INVALID_SESSION_TIMEOUT)),
        (6_000, None),
        (1_800_000, None),
        (1_800_001, Some(ErrorCode::INVALID_SESSION_TIMEOUT)),
        (-1, Some(ErrorCode::INVALID_SESSION_TIMEOUT)),
    ] {
        let mut world = World::new();
        let asked = JoinRequest {
            session_timeout_ms,
            ..request()
        };
        assert_eq!(asked.refusal(&world.limits), error, "{session_timeout_ms} ms");
        let token = world.join(asked);
        assert_eq!(world.is_waiting(token), error.is_none());
        assert_eq!(
            world.log.is_empty(),
            error.is_some(),
            "who is refused makes no group"
        );
    }
}

#[test]
fn protocols_that_do_not_fit_are_refused() {
    let types = |protocol_type: &str| JoinRequest {
        protocol_type: protocol_type.into(),
        ..request()
    };
    let refused = ErrorCode::INCONSISTENT_GROUP_PROTOCOL;
    let mut world = World::new();
    for misfit in [types(""), with_protocols(request(), &[])] {
        let token = world.join(misfit);
        assert_eq!(world.join_error(token), refused, "nothing to agree on");
    }
    let ids = world.stable(1);
    for misfit in [
        types("connect"),
        with_protocols(request(), &["sticky"]),
        with_protocols(request_of(&ids[0]), &["sticky"]),
    ] {
        let id = misfit.member_id.clone();
        let token = world.join(misfit);
        assert_eq!(world.join_error(token), refused);
        assert_eq!(world.join_answer(token).member_id, id);
    }
    assert_eq!(world.group.state(), State::Stable);
}

#[test]
fn connect_and_streams_members_join_groups_of_their_own_type() {
    for protocol_type in ["connect", "stream"] {
        let mut world = World::new();
        let token = world.join(JoinRequest {
            protocol_type: protocol_type.into(),
            ..request()
        });
        world.pass(DELAY_MS);
        assert_eq!(
            world.join_answer(token).protocol_type.as_deref(),
            Some(protocol_type)
        );
    }
}

#[test]
fn the_protocol_that_most_prefer_of_those_that_all_know_is_chosen() {
    for (members, chosen) in [
        (vec![&["range"][..]], "range"),
        (
            vec![&["range", "sticky"], &["sticky", "range"], &["sticky", "range"]],
            "sticky",
        ),
        (vec![&["coop", "range"], &["coop", "range"], &["range"]], "range"),
        (vec![&["b", "a"], &["a", "b"]], "a"),
        (vec![&["x", "a", "b"], &["y", "b", "a"], &["z", "b", "a"]], "b"),
        (vec![&["range", "range", "range"], &["sticky", "range"]], "range"),
    ] {
        let mut world = World::new();
        let joins: Vec<_> = members
            .iter()
            .map(|names| world.join(with_protocols(request(), names)))
            .collect();
        world.pass(2 * DELAY_MS);
        for join in joins {
            assert_eq!(
                world.join_answer(join).protocol.as_deref(),
                Some(chosen),
                "{members:?}"
            );
        }
        let leader = world.answers.values().find_map(|answer| match answer {
            Answer::Join(answer) if !answer.members.is_empty() => Some(answer.clone()),
            _ => None,
        });
        for member in leader.expect("somebody leads").members {
            assert_eq!(
                member.metadata,
                chosen.as_bytes(),
                "what it brought for the chosen one"
            );
        }
    }
}

#[test]
fn a_full_group_takes_nobody_more() {
    let mut world = World::new();
    world.limits.members_max = 2;
    let tokens: Vec<_> = (0..3).map(|_| world.join(request())).collect();
    assert_eq!(
        world.join_error(tokens[2]),
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        "while it fills"
    );
    assert!(world.join_answer(tokens[2]).member_id.is_unknown());
    world.pass(2 * DELAY_MS);
    let late = world.join(request());
    assert_eq!(
        world.join_error(late),
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        "while it completes"
    );
    let ids = world.with_leader_first(world.group.members.ids());
    world.synced(&ids);
    let late = world.join(request());
    assert_eq!(
        world.join_error(late),
        ErrorCode::GROUP_MAX_SIZE_REACHED,
        "when it is stable"
    );
    let known = world.join(request_of(&ids[0]));
    assert!(world.is_waiting(known), "a member is let in");
}

#[test]
fn the_last_to_join_again_gives_way_in_a_group_that_is_too_large_by_now() {
    let mut world = World::new();
    let ids = world.stable(3);
    world.limits.members_max = 2;
    let tokens: Vec<_> = ids.iter().map(|id| world.join(request_of(id))).collect();
    assert_eq!(world.join_error(tokens[2]), ErrorCode::GROUP_MAX_SIZE_REACHED);
    world.pass(REBALANCE_MS as u64);
    assert_eq!(world.join_answer(tokens[0]).members.len(), 2);
    assert_eq!(world.join_error(tokens[1]), ErrorCode::NONE);
}

#[test]
fn what_members_bring_is_bounded_together() {
    let mut world = World::new();
    world.limits.metadata_bytes_max = 100;
    let large = |bytes: usize| JoinRequest {
        protocols: vec![protocol("range", &"m".repeat(bytes))],
        ..request()
    };
    let (fits, over) = (world.join(large(95)), world.join(large(1)));
    assert!(world.is_waiting(fits));
    assert_eq!(world.join_error(over), ErrorCode::GROUP_MAX_SIZE_REACHED);
}

#[test]
fn a_follower_that_joins_again_unchanged_gets_the_answer_it_had() {
    let mut world = World::new();
    let ids = world.stable(2);
    let token = world.join(request_of(&ids[1]));
    let answer = world.join_answer(token);
    assert_eq!(
        (answer.error, answer.generation),
        (ErrorCode::NONE, Generation(1))
    );
    assert_eq!((&answer.leader, answer.members.len()), (&ids[0], 0));
    assert_eq!(world.group.state(), State::Stable);
}

#[test]
fn whoever_joins_again_changed_and_a_leader_in_any_case_begin_a_rebalance() {
    let changed = |id: &MemberId| JoinRequest {
        protocols: vec![protocol("range", "other")],
        ..request_of(id)
    };
    for case in ["changed follower", "changed leader", "leader"] {
        let mut world = World::new();
        let ids = world.stable(2);
        let token = match case {
            "changed follower" => world.join(changed(&ids[1])),
            "changed leader" => world.join(changed(&ids[0])),
            _ => world.join(request_of(&ids[0])),
        };
        assert!(world.is_waiting(token), "{case}");
        assert_eq!(world.group.state(), State::PreparingRebalance, "{case}");
        assert_eq!(
            world.heartbeat(&ids[1], Generation(1)),
            ErrorCode::REBALANCE_IN_PROGRESS,
            "{case}"
        );
    }
}

#[test]
fn who_joins_again_while_the_leader_assigns_gets_the_answer_it_had_unless_it_has_changed() {
    let mut world = World::new();
    let ids = world.joined(2);
    let tokens: Vec<_> = ids.iter().map(|id| world.join(request_of(id))).collect();
    assert_eq!(
        world.join_answer(tokens[0]).members.len(),
        2,
        "the leader sees all again"
    );
    assert_eq!(world.join_answer(tokens[1]).generation, Generation(1));
    let waits = world.sync(&ids[1], Generation(1), &[]);
    world.join(JoinRequest {
        protocols: vec![protocol("range", "other")],
        ..request_of(&ids[0])
    });
    assert_eq!(world.sync_answer(waits).error, ErrorCode::REBALANCE_IN_PROGRESS);
    assert_eq!(world.group.state(), State::PreparingRebalance);
}

#[test]
fn a_join_that_is_asked_again_takes_the_place_of_the_first() {
    let mut world = World::new();
    let ids = world.stable(2);
    let (first, second) = (world.join(request_of(&ids[0])), world.join(request_of(&ids[0])));
    assert_eq!(world.join_error(first), ErrorCode::REBALANCE_IN_PROGRESS);
    assert!(world.is_waiting(second));
    world.join(request_of(&ids[1]));
    assert_eq!(world.join_error(second), ErrorCode::NONE);
}

#[test]
fn who_has_not_joined_again_in_time_is_a_member_no_more() {
    let mut world = World::new();
    let ids = world.stable(3);
    let token = world.join(request_of(&ids[0]));
    for _ in 0..REBALANCE_MS / 5_000 {
        world.pass(5_000);
        for id in &ids[1..] {
            world.heartbeat(id, Generation(1));
        }
    }
    assert_eq!(world.join_answer(token).members.len(), 1);
    assert_eq!(
        world.heartbeat(&ids[1], Generation(1)),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
}

#[test]
fn another_leads_when_the_leader_has_not_joined_again() {
    let mut world = World::new();
    let ids = world.stable(3);
    let tokens: Vec<_> = ids[1..]
        .iter()
        .map(|id| {
            let protocols = vec![protocol("range", "changed")];
            world.join(JoinRequest {
                protocols,
                ..request_of(id)
            })
        })
        .collect();
    world.pass(REBALANCE_MS as u64);
    let answers: Vec<_> = tokens.iter().map(|token| world.join_answer(*token)).collect();
    let leader = answers[0].leader.clone();
    assert!(ids[1..].contains(&leader));
    for answer in answers {
        assert_eq!(answer.leader, leader);
        assert_eq!(
            answer.members.len(),
            if answer.member_id == leader { 2 } else { 0 }
        );
    }
}

#[test]
fn a_new_member_that_waits_too_long_is_to_ask_again() {
    let mut world = World::new();
    let ids = world.stable(1);
    // The member that is there stays away, and the phase is as long as it says.
    world.join(JoinRequest {
        rebalance_timeout_ms: 600_000,
        ..request_of(&ids[0])
    });
    world.synced(&ids);
    let token = world.join(JoinRequest {
        rebalance_timeout_ms: 600_000,
        ..request()
    });
    for _ in 0..60 {
        assert!(world.is_waiting(token));
        world.heartbeat(&ids[0], Generation(2));
        world.pass(5_000);
    }
    assert_eq!(world.join_error(token), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(world.group.members.len(), 1);
}

#[test]
fn strangers_are_refused() {
    let mut world = World::new();
    let token = world.join(request_of(&"nobody".into()));
    assert_eq!(
        world.join_error(token),
        ErrorCode::UNKNOWN_MEMBER_ID,
        "of an empty group"
    );
    world.stable(1);
    let token = world.join(request_of(&"nobody".into()));
    assert_eq!(world.join_error(token), ErrorCode::UNKNOWN_MEMBER_ID);
    assert_eq!(world.join_answer(token).member_id, "nobody".into());
}
