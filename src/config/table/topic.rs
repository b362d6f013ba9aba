//! The settings of a topic, in the order of their names.

use super::log::{ONE_REPLICA, PREALLOCATE};
use crate::config::setting::row::*;
use crate::config::setting::{ANY, Kind, Setting, at_least, between};

const NO_TIERING: &str = "there is no tiered storage";
const ONE_NODE: &str = "this release runs as a single node";
const HOUR_MS: i64 = 3_600_000;
const MINUTE_MS: i64 = 60_000;

pub const TOPIC: &[Setting] = &[
    kind(
        "cleanup.policy",
        Kind::ListOf(&["compact", "delete"]),
        "delete",
        "What happens to old records: `delete` by age and size, `compact` to the newest of each key; both do both.",
    )
    .falls_back_to(&[same("log.cleanup.policy")]),
    kind("compression.gzip.level", Kind::IntOr(between(1, 9), -1), "-1", "Level of gzip.")
        .falls_back_to(&[same("compression.gzip.level")]),
    int("compression.lz4.level", between(1, 17), "9", "Level of lz4: 9 is the fast one, all others try harder.")
        .falls_back_to(&[same("compression.lz4.level")]),
    kind(
        "compression.type",
        Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        "The codec that batches are stored in; `producer` keeps the one they came in.",
    )
    .falls_back_to(&[same("compression.type")]),
    int("compression.zstd.level", between(-131_072, 22), "3", "Level of zstd.")
        .falls_back_to(&[same("compression.zstd.level")]),
    long("delete.retention.ms", at_least(0), "86400000", "How long a deletion marker stays in a compacted log, from its first compaction on.")
        .falls_back_to(&[same("log.cleaner.delete.retention.ms")]),
    long("file.delete.delay.ms", at_least(0), "60000", "How long a deleted file stays on disk.")
        .falls_back_to(&[same("log.segment.delete.delay.ms")]),
    long("flush.messages", at_least(1), "9223372036854775807", "Records after which the log is flushed.")
        .falls_back_to(&[same("log.flush.interval.messages")]),
    long("flush.ms", at_least(0), "9223372036854775807", "Time after which the log is flushed.")
        .falls_back_to(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    kind("follower.replication.throttled.replicas", Kind::ReplicaList, "", "Followers whose fetches are throttled.")
        .inert(ONE_NODE),
    int("index.interval.bytes", at_least(0), "4096", "Bytes of log between two entries of its index.")
        .falls_back_to(&[same("log.index.interval.bytes")]),
    kind("leader.replication.throttled.replicas", Kind::ReplicaList, "", "Leaders whose followers are throttled.")
        .inert(ONE_NODE),
    long("local.retention.bytes", at_least(-2), "-2", "Size kept here of a tiered log.")
        .falls_back_to(&[same("log.local.retention.bytes")])
        .inert(NO_TIERING),
    long("local.retention.ms", at_least(-2), "-2", "Age kept here of a tiered log.")
        .falls_back_to(&[same("log.local.retention.ms")])
        .inert(NO_TIERING),
    long("max.compaction.lag.ms", at_least(1), "9223372036854775807", "Longest time a record stays uncompacted.")
        .falls_back_to(&[same("log.cleaner.max.compaction.lag.ms")]),
    int("max.message.bytes", at_least(0), "1048588", "The largest record batch, as it is sent.")
        .falls_back_to(&[same("message.max.bytes")]),
    long("message.timestamp.after.max.ms", at_least(0), "3600000", "How far a record's time may lie in the future.")
        .falls_back_to(&[same("log.message.timestamp.after.max.ms")]),
    long(
        "message.timestamp.before.max.ms",
        at_least(0),
        "9223372036854775807",
        "How far a record's time may lie in the past.",
    )
    .falls_back_to(&[same("log.message.timestamp.before.max.ms")]),
    kind(
        "message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether records keep their producer's time or get the broker's.",
    )
    .falls_back_to(&[same("log.message.timestamp.type")]),
    kind("min.cleanable.dirty.ratio", Kind::Double(0.0, 1.0), "0.5", "Share of the log's bytes that is not compacted yet, from which on it is.")
        .falls_back_to(&[same("log.cleaner.min.cleanable.ratio")]),
    long("min.compaction.lag.ms", at_least(0), "0", "Shortest time a record stays uncompacted.")
        .falls_back_to(&[same("log.cleaner.min.compaction.lag.ms")]),
    int("min.insync.replicas", at_least(1), "1", "Replicas in sync that `acks=all` asks for.")
        .falls_back_to(&[same("min.insync.replicas")])
    .only(&["1"], ONE_REPLICA),
    bool("preallocate", "false", PREALLOCATE).falls_back_to(&[same("log.preallocate")]),
    bool("remote.log.copy.disable", "false", "Whether a tiered log stops being copied.").inert(NO_TIERING),
    bool("remote.log.delete.on.disable", "false", "Whether its tiered part goes when tiering ends.")
        .inert(NO_TIERING),
    bool("remote.storage.enable", "false", "Whether the log is tiered.")
        .only(&["false"], "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."),
    long("retention.bytes", ANY, "-1", "Size at which the oldest segments are deleted; -1 never.")
        .falls_back_to(&[same("log.retention.bytes")]),
    long("retention.ms", at_least(-1), "604800000", "Age at which records are deleted; -1 never.").falls_back_to(&[
        same("log.retention.ms"),
        times("log.retention.minutes", MINUTE_MS),
        times("log.retention.hours", HOUR_MS),
    ]),
    kind(
        "ringlog.ack",
        Kind::OneOf(&["written", "durable"]),
        "written",
        "When a record counts as acknowledged: `written` is in the page cache of every in-sync replica that `acks` \
         asks for, and survives a crash of the process; `durable` is on stable storage there, and survives the loss of \
         power.",
    )
    .falls_back_to(&[same("ringlog.ack")]),
    kind(
        "ringlog.validate",
        Kind::OneOf(&["full", "header"]),
        "full",
        "How far a produced batch is looked into: `full` walks every record, which for a compressed batch means to \
         decompress it; `header` takes compressed batches at their header's word, which saves that time, unless their \
         topic has a codec of its own (`compression.type`). It risks that \
         a faulty producer stores what no consumer can read, records without keys on a compacted topic, or times \
         outside the topic's range.",
    )
    .falls_back_to(&[same("ringlog.validate")]),
    int("segment.bytes", at_least(1_048_576), "1073741824", "Size at which the log starts a new segment file.")
        .falls_back_to(&[same("log.segment.bytes")]),
    int("segment.index.bytes", at_least(4), "10485760", "The largest index; a full one starts a new segment.")
        .falls_back_to(&[same("log.index.size.max.bytes")]),
    long("segment.jitter.ms", at_least(0), "0", "Most that is taken off `segment.ms` by chance.")
        .falls_back_to(&[same("log.roll.jitter.ms"), times("log.roll.jitter.hours", HOUR_MS)]),
    long("segment.ms", at_least(1), "604800000", "Age at which the log starts a new segment file.")
        .falls_back_to(&[same("log.roll.ms"), times("log.roll.hours", HOUR_MS)]),
    bool("unclean.leader.election.enable", "false", "Whether a replica outside the ISR may lead, at a loss.")
        .falls_back_to(&[same("unclean.leader.election.enable")])
        .inert(ONE_NODE),
];
