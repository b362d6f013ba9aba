//! Producers, transactions and groups.

use crate::config::setting::row::*;
use crate::config::setting::{ANY, Kind, Setting, at_least, between};

const NO_TRANSACTIONS: &str = "transactions are not there yet";
const NO_GROUPS: &str = "consumer groups are not there yet";
const NO_SHARE_GROUPS: &str = "share groups are not there yet";
const NO_STREAMS_GROUPS: &str = "streams groups are not there yet";

pub const PRODUCERS: &[Setting] = &[
    int(
        "producer.id.expiration.ms",
        at_least(1),
        "86400000",
        "How long a silent idempotent producer is remembered, in milliseconds.",
    )
    .dynamic(),
    int(
        "transaction.max.timeout.ms",
        at_least(1),
        "900000",
        "The longest timeout that a transactional producer may ask for.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transactional.id.expiration.ms",
        at_least(1),
        "604800000",
        "How long an idle transactional id is kept.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        at_least(1),
        "10000",
        "How often late transactions are aborted.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        at_least(1),
        "3600000",
        "How often expired ids are removed.",
    )
    .inert(NO_TRANSACTIONS),
    bool(
        "transaction.partition.verification.enable",
        "true",
        "Whether a write is checked against its transaction.",
    )
    .dynamic()
    .inert(NO_TRANSACTIONS),
    bool(
        "transaction.two.phase.commit.enable",
        "false",
        "Whether transactions may outlive every timeout.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.state.log.load.buffer.size",
        at_least(1),
        "5242880",
        "Bytes read at a time when it is loaded.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.state.log.min.isr",
        at_least(1),
        "2",
        "Replicas in sync of `__transaction_state`.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.state.log.num.partitions",
        at_least(1),
        "50",
        "Partitions of `__transaction_state`.",
    )
    .inert(NO_TRANSACTIONS),
    short(
        "transaction.state.log.replication.factor",
        at_least(1),
        "3",
        "Replicas of `__transaction_state`.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "transaction.state.log.segment.bytes",
        at_least(1),
        "104857600",
        "Segment size of `__transaction_state`.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "add.partitions.to.txn.retry.backoff.ms",
        at_least(1),
        "20",
        "Pause before adding a partition again.",
    )
    .inert(NO_TRANSACTIONS),
    int(
        "add.partitions.to.txn.retry.backoff.max.ms",
        at_least(0),
        "100",
        "The longest such pause.",
    )
    .inert(NO_TRANSACTIONS),
];

pub const GROUPS: &[Setting] = &[
    int(
        "group.initial.rebalance.delay.ms",
        ANY,
        "3000",
        "How long an empty group waits for more members. Without a configuration file it is 0.",
    )
    .inert(NO_GROUPS),
    int(
        "group.max.session.timeout.ms",
        ANY,
        "1800000",
        "Longest session timeout of a member.",
    )
    .inert(NO_GROUPS),
    int(
        "group.min.session.timeout.ms",
        ANY,
        "6000",
        "Shortest session timeout of a member.",
    )
    .inert(NO_GROUPS),
    int(
        "group.max.size",
        at_least(1),
        "2147483647",
        "Most members of a group.",
    )
    .inert(NO_GROUPS),
    int(
        "group.coordinator.append.linger.ms",
        at_least(-1),
        "-1",
        "How long the coordinator gathers writes.",
    )
    .inert(NO_GROUPS),
    int(
        "group.coordinator.background.threads",
        at_least(1),
        "2",
        "Threads for its chores.",
    )
    .inert(NO_GROUPS),
    int(
        "group.coordinator.cached.buffer.max.bytes",
        at_least(524_288),
        "1048588",
        "Its largest kept buffer.",
    )
    .dynamic()
    .inert(NO_GROUPS),
    kind(
        "group.coordinator.rebalance.protocols",
        Kind::ListOf(&["consumer", "classic", "share", "streams"]),
        "classic,consumer,streams",
        "The group protocols served.",
    )
    .inert(NO_GROUPS),
    int(
        "group.coordinator.threads",
        at_least(1),
        "4",
        "Threads of the coordinator.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.assignment.interval.ms",
        at_least(0),
        "1000",
        "Time between two assignments of a group.",
    )
    .dynamic()
    .inert(NO_GROUPS),
    int(
        "group.consumer.max.assignment.interval.ms",
        at_least(0),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.min.assignment.interval.ms",
        at_least(0),
        "0",
        "The least a group may set there.",
    )
    .inert(NO_GROUPS),
    list(
        "group.consumer.assignors",
        "uniform,range",
        "The assignors of consumer groups.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "Time between two heartbeats.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.max.heartbeat.interval.ms",
        at_least(1),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.min.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "The least a group may set there.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.session.timeout.ms",
        at_least(1),
        "45000",
        "Silence after which a member is out.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.max.session.timeout.ms",
        at_least(1),
        "60000",
        "The most a group may set there.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.min.session.timeout.ms",
        at_least(1),
        "45000",
        "The least a group may set there.",
    )
    .inert(NO_GROUPS),
    int(
        "group.consumer.max.size",
        at_least(1),
        "2147483647",
        "Most members of a consumer group.",
    )
    .inert(NO_GROUPS),
    text(
        "group.consumer.migration.policy",
        "bidirectional",
        "Between which protocols a group may move.",
    )
    .inert(NO_GROUPS),
    int(
        "offset.metadata.max.bytes",
        ANY,
        "4096",
        "Largest text beside a committed offset.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.commit.timeout.ms",
        at_least(1),
        "5000",
        "How long a commit may wait for replicas.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.load.buffer.size",
        at_least(1),
        "5242880",
        "Bytes read at a time when offsets are loaded.",
    )
    .inert(NO_GROUPS),
    long(
        "offsets.retention.check.interval.ms",
        at_least(1),
        "600000",
        "How often old offsets are looked for.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.retention.minutes",
        at_least(1),
        "10080",
        "How long offsets of an empty group are kept.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.topic.compression.codec",
        ANY,
        "0",
        "Codec of `__consumer_offsets`.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.topic.num.partitions",
        at_least(1),
        "50",
        "Partitions of `__consumer_offsets`.",
    )
    .inert(NO_GROUPS),
    short(
        "offsets.topic.replication.factor",
        at_least(1),
        "3",
        "Replicas of `__consumer_offsets`.",
    )
    .inert(NO_GROUPS),
    int(
        "offsets.topic.segment.bytes",
        at_least(1),
        "104857600",
        "Segment size of `__consumer_offsets`.",
    )
    .inert(NO_GROUPS),
    int(
        "group.share.assignment.interval.ms",
        at_least(0),
        "1000",
        "Time between two assignments of a share group.",
    )
    .dynamic()
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.assignment.interval.ms",
        at_least(0),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.assignment.interval.ms",
        at_least(0),
        "0",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    list(
        "group.share.assignors",
        "simple",
        "The assignors of share groups.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.delivery.count.limit",
        between(2, 10),
        "5",
        "How often a record is delivered at most.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.delivery.count.limit",
        between(5, 25),
        "10",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.delivery.count.limit",
        between(2, 5),
        "2",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "Time between two heartbeats.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.heartbeat.interval.ms",
        at_least(1),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.partition.max.record.locks",
        between(100, 10_000),
        "2000",
        "Records out for delivery at a time.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.partition.max.record.locks",
        between(2000, 10_000),
        "4000",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.partition.max.record.locks",
        between(100, 2000),
        "100",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.record.lock.duration.ms",
        between(1000, 3_600_000),
        "30000",
        "How long a record is out.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.record.lock.duration.ms",
        between(30_000, 3_600_000),
        "60000",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.record.lock.duration.ms",
        between(1000, 30_000),
        "15000",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.session.timeout.ms",
        at_least(1),
        "45000",
        "Silence after which a member is out.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.session.timeout.ms",
        at_least(1),
        "60000",
        "The most a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.min.session.timeout.ms",
        at_least(1),
        "45000",
        "The least a group may set there.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.share.sessions",
        at_least(1),
        "2000",
        "Most share sessions.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.share.max.size",
        between(1, 1000),
        "200",
        "Most members of a share group.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.append.linger.ms",
        at_least(-1),
        "-1",
        "How long the coordinator gathers writes.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.cached.buffer.max.bytes",
        at_least(524_288),
        "1048588",
        "Its largest kept buffer.",
    )
    .dynamic()
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.load.buffer.size",
        at_least(1),
        "5242880",
        "Bytes read at a time when it is loaded.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.snapshot.update.records.per.snapshot",
        between(0, 500),
        "500",
        "Updates between snapshots.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.state.topic.compression.codec",
        ANY,
        "0",
        "Codec of `__share_group_state`.",
    )
    .inert(NO_SHARE_GROUPS),
    short(
        "share.coordinator.state.topic.min.isr",
        at_least(1),
        "2",
        "Replicas in sync of `__share_group_state`.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.state.topic.num.partitions",
        at_least(1),
        "50",
        "Partitions of `__share_group_state`.",
    )
    .inert(NO_SHARE_GROUPS),
    short(
        "share.coordinator.state.topic.replication.factor",
        at_least(1),
        "3",
        "Replicas of `__share_group_state`.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.state.topic.segment.bytes",
        at_least(1),
        "104857600",
        "Segment size of `__share_group_state`.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.threads",
        at_least(1),
        "1",
        "Threads of the coordinator.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "share.coordinator.write.timeout.ms",
        at_least(1),
        "5000",
        "How long a write may wait for replicas.",
    )
    .inert(NO_SHARE_GROUPS),
    int(
        "group.streams.assignment.interval.ms",
        at_least(0),
        "1000",
        "Time between two assignments of a streams group.",
    )
    .dynamic()
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.max.assignment.interval.ms",
        at_least(0),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.min.assignment.interval.ms",
        at_least(0),
        "0",
        "The least a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "Time between two heartbeats.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.max.heartbeat.interval.ms",
        at_least(1),
        "15000",
        "The most a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.min.heartbeat.interval.ms",
        at_least(1),
        "5000",
        "The least a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.session.timeout.ms",
        at_least(1),
        "45000",
        "Silence after which a member is out.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.max.session.timeout.ms",
        at_least(1),
        "60000",
        "The most a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.min.session.timeout.ms",
        at_least(1),
        "45000",
        "The least a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.initial.rebalance.delay.ms",
        at_least(0),
        "3000",
        "How long an empty group waits for more members.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.max.size",
        at_least(1),
        "2147483647",
        "Most members of a streams group.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.num.standby.replicas",
        at_least(0),
        "0",
        "Standby copies of each task's state.",
    )
    .inert(NO_STREAMS_GROUPS),
    int(
        "group.streams.max.standby.replicas",
        at_least(0),
        "2",
        "The most a group may set there.",
    )
    .inert(NO_STREAMS_GROUPS),
];
