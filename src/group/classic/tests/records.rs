use super::*;
use crate::group::classic::{GroupMetadata, OffsetRetention};
use crate::wire::messages::ConsumerProtocolSubscription;
use crate::wire::{Encode, Encoder};

/// What a consumer brings that reads `topics`.
fn subscription(topics: &[&str]) -> Bytes {
    let message = ConsumerProtocolSubscription {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..ConsumerProtocolSubscription::default()
    };
    let mut encoder = Encoder::new();
    encoder.put_i16(0);
    message.encode(&mut encoder, 0).unwrap();
    encoder.into_bytes()
}

fn reads(topics: &[&str]) -> JoinRequest {
    let metadata = subscription(topics);
    JoinRequest {
        protocols: vec![Protocol {
            name: "range".into(),
            metadata,
        }],
        ..request()
    }
}

/// Two consumers, of `a` and of `a` and `b`, stable.
fn consumers() -> (World, Vec<MemberId>) {
    let mut world = World::new();
    let tokens = [world.join(reads(&["a"])), world.join(reads(&["a", "b"]))];
    world.pass(2 * DELAY_MS);
    let ids = tokens.map(|token| world.join_answer(token).member_id.clone());
    let ids = world.with_leader_first(ids.to_vec());
    world.synced(&ids);
    (world, ids)
}

fn loaded(value: GroupMetadata, now: Now) -> World {
    let mut world = World::of(ClassicGroup::load("g".into(), value, now), now);
    world.step(Event::Loaded);
    world
}

#[test]
fn a_new_group_is_written_before_its_first_rebalance_ends() {
    let mut world = World::new();
    let token = world.join(JoinRequest {
        must_know_its_id: true,
        ..request()
    });
    let record = world.log[0].clone().unwrap();
    assert_eq!(
        (&*record.protocol_type, record.generation, record.members.len()),
        ("", Generation(0), 0)
    );
    assert_eq!((record.protocol, record.leader), (None, None));
    assert_eq!(record.current_state_timestamp, world.now.wall);
    let id = world.join_answer(token).member_id.clone();
    world.join(request_of(&id));
    assert_eq!(world.log.len(), 1, "once");
}

#[test]
fn a_new_group_that_can_not_be_written_is_none() {
    let mut world = World::new();
    world.holds_appends = true;
    let token = world.join(request());
    world.settle(Err(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    assert_eq!(world.join_error(token), ErrorCode::NOT_COORDINATOR);
    assert!(world.group.is_over());
}

#[test]
fn a_group_that_was_made_for_offsets_is_not_written_for_a_join() {
    let now = World::new().now;
    let mut world = World::of(ClassicGroup::for_offsets("g".into(), now), now);
    world.join(request());
    assert!(world.log.is_empty());
}

#[test]
fn a_loaded_group_is_stable_until_its_members_have_had_their_time() {
    let (before, ids) = consumers();
    let value = before.log.last().unwrap().clone().unwrap();
    let mut world = loaded(value.clone(), before.now);
    assert_eq!(world.group.state(), State::Stable);
    assert_eq!(world.group.metadata(), value, "it is what its record says");
    assert!(world.group.is_subscribed_to("b") && !world.group.is_subscribed_to("c"));
    assert_eq!(world.group.members.leader(), Some(&ids[0]));
    world.pass(SESSION_MS as u64 - 1);
    assert_eq!(world.heartbeat(&ids[1], Generation(1)), ErrorCode::NONE);
    world.pass(1);
    assert_eq!(
        world.group.state(),
        State::PreparingRebalance,
        "the other did not show up"
    );
}

#[test]
fn a_loaded_group_without_members_is_empty_since_when_the_record_says() {
    let (mut before, ids) = consumers();
    before.leave(ids.iter().map(leaver).collect());
    let value = before.log.last().unwrap().clone().unwrap();
    let since = value.current_state_timestamp;
    let world = loaded(
        value,
        Now {
            at: Instant(0),
            wall: Timestamp(since.0 + 1),
        },
    );
    assert_eq!(world.group.state(), State::Empty);
    assert_eq!(world.group.generation(), Generation(2));
    assert_eq!(world.group.offset_retention(), OffsetRetention::Since(since));
    assert_eq!(world.wake_at, None);
}

#[test]
fn records_of_old_versions_load() {
    let (before, _) = consumers();
    let mut value = before.log.last().unwrap().clone().unwrap();
    value.current_state_timestamp = Timestamp::NONE;
    value.members[0].rebalance_timeout_ms = -1;
    let world = loaded(value, before.now);
    let first = world.group.members.iter().next().unwrap();
    assert_eq!(first.terms.rebalance_timeout_ms, SESSION_MS);
}

#[test]
fn records_that_no_broker_writes_load_as_far_as_they_make_sense() {
    let (before, _) = consumers();
    let value = before.log.last().unwrap().clone().unwrap();
    let mut doubled = value.clone();
    doubled.members.extend(value.members.clone());
    assert_eq!(loaded(doubled, before.now).group.members.len(), 2);
    let mut same_instance = value.clone();
    same_instance
        .members
        .iter_mut()
        .for_each(|member| member.group_instance_id = Some("i".into()));
    assert_eq!(loaded(same_instance, before.now).group.members.len(), 1);
    let foreign_leader = GroupMetadata {
        leader: Some("nobody".into()),
        ..value.clone()
    };
    let mut world = loaded(foreign_leader, before.now);
    world.pass(SESSION_MS as u64);
    assert_eq!(world.group.state(), State::Empty);
    let nothing_chosen = GroupMetadata {
        protocol: None,
        leader: None,
        ..value
    };
    let mut world = loaded(nothing_chosen, before.now);
    world.group.describe();
    world.join(request());
    world.pass(SESSION_MS as u64);
    assert_eq!(world.group.state(), State::Empty);
}

#[test]
fn a_group_that_is_too_large_by_now_rebalances_as_it_is_loaded() {
    let (before, _) = consumers();
    let value = before.log.last().unwrap().clone().unwrap();
    let mut world = World::of(ClassicGroup::load("g".into(), value, before.now), before.now);
    world.limits.members_max = 1;
    world.step(Event::Loaded);
    assert_eq!(world.group.state(), State::PreparingRebalance);
}

#[test]
fn only_an_empty_group_is_deleted_and_only_once() {
    let (mut world, ids) = consumers();
    let delete = |world: &mut World| {
        let token = world.ask(|token| Event::Delete(Some(token)));
        world.answers.get(&token).cloned()
    };
    assert_eq!(
        delete(&mut world),
        Some(Answer::Delete(ErrorCode::NON_EMPTY_GROUP))
    );
    world.leave(ids.iter().map(leaver).collect());
    world.holds_appends = true;
    assert_eq!(delete(&mut world), None, "until it is written");
    assert_eq!(world.log.last(), Some(&None));
    assert!(!world.group.is_over());
    assert_eq!(
        delete(&mut world),
        Some(Answer::Delete(ErrorCode::GROUP_ID_NOT_FOUND))
    );
    let token = world.join(request());
    assert_eq!(world.join_error(token), ErrorCode::COORDINATOR_NOT_AVAILABLE);
    world.settle(Ok(()));
    assert!(world.group.is_over() && world.waiting.is_empty());
}

#[test]
fn a_group_whose_tombstone_can_not_be_written_is_back() {
    let mut world = World::new();
    let ids = world.stable(1);
    world.leave(vec![leaver(&ids[0])]);
    world.holds_appends = true;
    let token = world.ask(|token| Event::Delete(Some(token)));
    world.settle(Err(ErrorCode::NOT_ENOUGH_REPLICAS));
    assert_eq!(
        world.answers[&token],
        Answer::Delete(ErrorCode::COORDINATOR_NOT_AVAILABLE)
    );
    assert_eq!(world.group.state(), State::Empty);
    world.holds_appends = false;
    world.stable(1);
}

#[test]
fn commits_are_accepted_by_state_member_and_generation() {
    let (none, some) = (Generation::NONE, Generation(1));
    let unknown = MemberId::unknown();
    let stranger: MemberId = "nobody".into();
    let mut world = World::new();
    let empty = &world.group;
    assert_eq!(
        empty.check_commit(&unknown, None, none, false),
        Ok(()),
        "of no member"
    );
    assert_eq!(
        empty.check_commit(&stranger, None, some, false),
        Err(ErrorCode::UNKNOWN_MEMBER_ID)
    );
    let ids = world.joined(2);
    let check = |world: &World, id: &MemberId, generation, is_transactional| {
        world.group.check_commit(id, None, generation, is_transactional)
    };
    assert_eq!(
        check(&world, &ids[1], some, false),
        Err(ErrorCode::REBALANCE_IN_PROGRESS)
    );
    assert_eq!(check(&world, &ids[1], some, true), Ok(()), "of a producer");
    world.synced(&ids);
    for (id, generation, is_transactional, result) in [
        (&ids[1], some, false, Ok(())),
        (&ids[1], Generation(2), false, Err(ErrorCode::ILLEGAL_GENERATION)),
        (&ids[1], none, false, Err(ErrorCode::ILLEGAL_GENERATION)),
        (&stranger, some, false, Err(ErrorCode::UNKNOWN_MEMBER_ID)),
        (&unknown, none, false, Err(ErrorCode::UNKNOWN_MEMBER_ID)),
        (&unknown, none, true, Ok(())),
    ] {
        assert_eq!(
            check(&world, id, generation, is_transactional),
            result,
            "{id} {generation:?} {is_transactional}"
        );
    }
    world.join(request_of(&ids[0]));
    assert_eq!(
        check(&world, &ids[1], some, false),
        Ok(()),
        "to save its work before it joins again"
    );
    world.step(Event::Unloaded);
    assert_eq!(
        check(&world, &ids[1], some, false),
        Err(ErrorCode::COORDINATOR_NOT_AVAILABLE)
    );
    assert_eq!(world.group.check_fetch(), Err(ErrorCode::GROUP_ID_NOT_FOUND));
    assert_eq!(
        world.group.check_offset_delete(),
        Err(ErrorCode::GROUP_ID_NOT_FOUND)
    );
}

#[test]
fn what_consumers_read_is_known_while_it_can_be_read() {
    let (mut world, ids) = consumers();
    let reads: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|topic| world.group.is_subscribed_to(topic))
        .collect();
    assert_eq!(reads, [true, true, false]);
    assert_eq!(world.group.check_offset_delete(), Ok(()));
    assert_eq!(world.group.offset_retention(), OffsetRetention::SinceCommit);
    // One brings what is no subscription: nobody knows, so everything may be read.
    world.join(request_of(&ids[0]));
    world.join(request_of(&ids[1]));
    assert!(world.group.is_subscribed_to("c"));
    world.leave(ids.iter().map(leaver).collect());
    assert_eq!(world.group.state(), State::Empty);
    assert!(!world.group.is_subscribed_to("a"));
    assert_eq!(
        world.group.offset_retention(),
        OffsetRetention::Since(world.now.wall)
    );
}

#[test]
fn offsets_of_others_than_consumers_are_kept_while_they_are_there() {
    let mut world = World::new();
    assert_eq!(
        world.group.offset_retention(),
        OffsetRetention::SinceCommit,
        "of nobody's group"
    );
    world.join(JoinRequest {
        protocol_type: "connect".into(),
        ..request()
    });
    world.pass(DELAY_MS);
    assert_eq!(world.group.check_offset_delete(), Err(ErrorCode::NON_EMPTY_GROUP));
    assert_eq!(world.group.offset_retention(), OffsetRetention::Forever);
    assert!(!world.group.is_subscribed_to("a"));
}

#[test]
fn a_description_shows_protocol_and_metadata_of_a_stable_group_only() {
    let mut world = World::new();
    let ids = world.stable(1);
    let told = world.group.describe();
    assert_eq!(
        (told.state.name(), &*told.protocol_type, &*told.protocol),
        ("Stable", "consumer", "range")
    );
    let member = &told.members[0];
    assert_eq!(
        (&member.member_id, &*member.client_id, &*member.client_host),
        (&ids[0], "client", "/127.0.0.1")
    );
    assert_eq!(
        (&member.metadata[..], &member.assignment[..]),
        (&b"meta"[..], &b"share"[..])
    );
    world.join(request());
    let told = world.group.describe();
    assert_eq!((told.state.name(), &*told.protocol), ("PreparingRebalance", ""));
    assert!(told.members[0].metadata.is_empty() || told.members[1].metadata.is_empty());
}
