//! Topics as the broker creates them, and their logs' defaults.

use crate::config::setting::row::*;
use crate::config::setting::{ANY, Kind, Setting, at_least, between};

pub(super) const ONE_REPLICA: &str =
    "A single node holds one replica of everything, so min.insync.replicas can only be 1.";
const NO_TIERING: &str = "there is no tiered storage";
pub(super) const PREALLOCATE: &str = "Whether the next segment's file has its full size reserved on the disk beforehand; its length stays that of its batches.";

pub const TOPICS: &[Setting] = &[
    int(
        "num.partitions",
        at_least(1),
        "1",
        "Partitions of a new topic that doesn't say.",
    ),
    int(
        "default.replication.factor",
        ANY,
        "1",
        "Replicas of a new topic that doesn't say.",
    )
    .only(
        &["1"],
        "A single node holds one replica of everything, so default.replication.factor can only be 1.",
    ),
    bool(
        "auto.create.topics.enable",
        "true",
        "Whether asking for an unknown topic creates it.",
    ),
    bool("delete.topic.enable", "true", "Whether topics can be deleted."),
    int(
        "min.insync.replicas",
        at_least(1),
        "1",
        "Replicas in sync that `acks=all` asks for.",
    )
    .dynamic()
    .only(&["1"], ONE_REPLICA),
    kind(
        "ringlog.ack",
        Kind::OneOf(&["written", "durable"]),
        "written",
        "When a record counts as acknowledged: `written` is in the page cache of every in-sync replica that `acks` \
         asks for, and survives a crash of the process; `durable` is on stable storage there, and survives the loss of \
         power.",
    )
    .dynamic(),
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
    .dynamic(),
];

pub const LOGS: &[Setting] = &[
    int("message.max.bytes", at_least(0), "1048588", "The largest record batch, as it is sent.").dynamic(),
    int("log.segment.bytes", at_least(1_048_576), "1073741824", "Size at which a log starts a new segment file.")
        .dynamic(),
    long("log.roll.ms", at_least(1), "", "Age at which a log starts a new segment file; before `log.roll.hours`.")
        .unset()
        .dynamic(),
    int("log.roll.hours", at_least(1), "168", "The same in hours."),
    long("log.roll.jitter.ms", ANY, "", "Most that is taken off that age by chance; before the one in hours.")
        .unset()
        .dynamic(),
    int("log.roll.jitter.hours", at_least(0), "0", "The same in hours."),
    long("log.retention.ms", ANY, "", "Age at which records are deleted; -1 never; before the two below.")
        .unset()
        .dynamic(),
    int("log.retention.minutes", ANY, "", "The same in minutes; before `log.retention.hours`.").unset(),
    int("log.retention.hours", ANY, "168", "The same in hours."),
    long("log.retention.bytes", ANY, "-1", "Size of a partition at which its oldest segments are deleted; -1 never.")
        .dynamic(),
    int(
        "ringlog.open.files.max",
        at_least(1),
        "",
        "Files that the logs hold open; others are closed until they are used again. Unset: half of RLIMIT_NOFILE, at most 65536.",
    )
    .unset(),
    long("log.retention.check.interval.ms", at_least(1), "300000", "How often retention is looked at."),
    kind(
        "log.cleanup.policy",
        Kind::ListOf(&["compact", "delete"]),
        "delete",
        "What happens to old records: `delete` by age and size, `compact` to the newest of each key; both do both.",
    )
    .dynamic(),
    int("log.index.interval.bytes", at_least(0), "4096", "Bytes of log between two entries of its index.").dynamic(),
    int("log.index.size.max.bytes", at_least(4), "10485760", "The largest index; a full one starts a new segment.")
        .dynamic(),
    kind(
        "log.message.timestamp.type",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whether records keep their producer's time or get the broker's.",
    )
    .dynamic(),
    long(
        "log.message.timestamp.before.max.ms",
        at_least(0),
        "9223372036854775807",
        "How far a record's time may lie in the past, in milliseconds.",
    )
    .dynamic(),
    long(
        "log.message.timestamp.after.max.ms",
        at_least(0),
        "3600000",
        "How far a record's time may lie in the future, in milliseconds.",
    )
    .dynamic(),
    kind(
        "compression.type",
        Kind::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "producer",
        "The codec that batches are stored in; `producer` keeps the one they came in.",
    )
    .dynamic(),
    kind("compression.gzip.level", Kind::IntOr(between(1, 9), -1), "-1", "Level of gzip.")
        .dynamic(),
    int("compression.lz4.level", between(1, 17), "9", "Level of lz4: 9 is the fast one, all others try harder.").dynamic(),
    int("compression.zstd.level", between(-131_072, 22), "3", "Level of zstd.").dynamic(),
    long("log.flush.interval.messages", at_least(1), "9223372036854775807", "Records after which a log is flushed.")
        .dynamic(),
    long("log.flush.interval.ms", ANY, "", "Time after which a log is flushed.")
        .unset()
        .dynamic(),
    long("log.flush.scheduler.interval.ms", ANY, "9223372036854775807", "How often that time is looked at."),
    int("log.flush.offset.checkpoint.interval.ms", at_least(0), "60000", "How often recovery points are saved."),
    int("log.flush.start.offset.checkpoint.interval.ms", at_least(0), "60000", "How often log starts are saved.")
        .inert("log starts are saved with the recovery points"),
    long("log.segment.delete.delay.ms", at_least(0), "60000", "How long a deleted file stays on disk.")
        .dynamic(),
    bool("log.preallocate", "false", PREALLOCATE).dynamic(),
    long("log.dir.failure.timeout.ms", at_least(1), "30000", "How long a failed directory may go unreported.")
        .inert("the controller is on this node and knows at once"),
    list("cordoned.log.dirs", "", "Directories of `log.dirs` that take no new partition; `*` for all.").per_broker(),
    long("log.local.retention.bytes", at_least(-2), "-2", "Size kept here of a tiered log.")
        .dynamic()
        .inert(NO_TIERING),
    long("log.local.retention.ms", at_least(-2), "-2", "Age kept here of a tiered log.").dynamic().inert(NO_TIERING),
    bool("log.cleaner.enable", "true", "Whether logs are compacted.")
        .inert("logs whose `cleanup.policy` says so always are, as in Kafka 4"),
    int("log.cleaner.threads", at_least(0), "1", "Threads that compact.")
        .dynamic()
        .inert("each core compacts its own partitions, one at a time"),
    long(
        "log.cleaner.backoff.ms",
        at_least(0),
        "15000",
        "Pause when nothing is to compact; a tenth of a second at least.",
    )
    .dynamic(),
    long(
        "log.cleaner.dedupe.buffer.size",
        ANY,
        "134217728",
        "Memory for the keys of compactions, shared by the cores; 1 MiB each at least. 24 bytes hold a key, and a compaction takes no more than \
         its keys need.",
    )
    .dynamic(),
    kind(
        "log.cleaner.io.buffer.load.factor",
        Kind::Double(f64::MIN, f64::MAX),
        "0.9",
        "How full that memory gets, from 0.05 to 0.95.",
    )
    .dynamic(),
    int("log.cleaner.io.buffer.size", at_least(0), "524288", "Buffers of a compaction.")
        .dynamic()
        .inert("a core reads and writes in pieces of 1 MiB"),
    kind(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double(f64::MIN, f64::MAX),
        "1.7976931348623157E308",
        "Most bytes a second that compaction reads and writes, shared by the cores.",
    )
    .dynamic(),
    long(
        "log.cleaner.delete.retention.ms",
        at_least(0),
        "86400000",
        "How long a deletion marker stays in a compacted log, from its first compaction on.",
    )
    .dynamic(),
    long(
        "log.cleaner.max.compaction.lag.ms",
        at_least(1),
        "9223372036854775807",
        "Longest time that a record stays uncompacted.",
    )
    .dynamic(),
    long("log.cleaner.min.compaction.lag.ms", at_least(0), "0", "Shortest time that a record stays uncompacted.")
        .dynamic(),
    kind(
        "log.cleaner.min.cleanable.ratio",
        Kind::Double(0.0, 1.0),
        "0.5",
        "Share of a log's bytes that is not compacted yet, from which on it is.",
    )
    .dynamic(),
];
