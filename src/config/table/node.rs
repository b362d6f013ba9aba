//! The node, its cores, its part in the cluster, and what belongs to no other subject.

use crate::config::cores;
use crate::config::setting::row::*;
use crate::config::setting::{ANY, Kind, Setting, at_least, between};

const ONE_NODE: &str = "this release runs as a single node";
const NO_JAVA: &str = "there are no Java plug-ins";
const NO_QUOTAS: &str = "there are no quotas yet";
const NO_JMX: &str = "there is no JMX";

pub const NODE: &[Setting] = &[
    int(
        "node.id",
        at_least(0),
        "1",
        "The id of this node in its cluster; kept in `meta.properties`.",
    ),
    int(
        "broker.id",
        ANY,
        "-1",
        "The older name of `node.id`, used when that isn't set.",
    ),
    list(
        "process.roles",
        "broker,controller",
        "The parts this process plays.",
    )
    .only(
        &["broker,controller", "controller,broker"],
        "a node is always broker and controller in one (process.roles=broker,controller)",
    ),
    text("broker.rack", "", "The rack that Metadata names for this node.").unset(),
    list(
        "log.dir",
        "./data",
        "The data directories, when `log.dirs` isn't set.",
    ),
    list(
        "log.dirs",
        "",
        "The data directories. A new partition goes to the one that has the fewest.",
    )
    .unset(),
    text(
        "metadata.log.dir",
        "",
        "Where the metadata log stands: in the first data directory, unless this says otherwise.",
    )
    .unset(),
    list(
        "controller.listener.names",
        "CONTROLLER",
        "The listeners of the controller: what of `listeners` has such a name serves a controller's APIs, and no client's.",
    ),
    list(
        "controller.quorum.bootstrap.servers",
        "",
        "Where the controllers are reached, as `host:port`. This node alone: the port of its controller listener.",
    ),
    list(
        "controller.quorum.voters",
        "",
        "The controllers, as `id@host:port`. This node alone.",
    ),
    int(
        "controller.quorum.append.linger.ms",
        at_least(0),
        "25",
        "How long the leader gathers writes.",
    )
    .inert(ONE_NODE),
    bool(
        "controller.quorum.auto.join.enable",
        "false",
        "Whether a controller joins the voters by itself.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.election.backoff.max.ms",
        at_least(0),
        "1000",
        "Longest pause between elections.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.election.timeout.ms",
        at_least(0),
        "1000",
        "Longest wait for votes.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.fetch.max.bytes",
        at_least(1),
        "1048576",
        "Most bytes of one fetch of the metadata log.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.fetch.snapshot.max.bytes",
        at_least(1),
        "1048576",
        "Most bytes of one snapshot fetch.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.fetch.timeout.ms",
        at_least(0),
        "2000",
        "Silence after which a leader is given up.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.request.timeout.ms",
        at_least(0),
        "2000",
        "How long an answer is waited for.",
    )
    .inert(ONE_NODE),
    int(
        "controller.quorum.retry.backoff.ms",
        at_least(0),
        "20",
        "Pause before a request is sent again.",
    )
    .inert(ONE_NODE),
    int(
        "controller.socket.timeout.ms",
        ANY,
        "30000",
        "How long a connection to a controller may be silent.",
    )
    .inert(ONE_NODE),
    int(
        "broker.heartbeat.interval.ms",
        ANY,
        "2000",
        "How often a broker tells the controller that it lives.",
    )
    .inert(ONE_NODE),
    int(
        "broker.session.timeout.ms",
        ANY,
        "9000",
        "Silence after which a broker is fenced.",
    )
    .inert(ONE_NODE),
    int(
        "initial.broker.registration.timeout.ms",
        ANY,
        "60000",
        "How long a start waits to be registered.",
    )
    .inert(ONE_NODE),
    bool(
        "controlled.shutdown.enable",
        "true",
        "Whether a stop first hands leadership away.",
    )
    .inert(ONE_NODE),
];

pub const CORES: &[Setting] = &[
    kind(
        "ringlog.cores",
        Kind::Checked {
            expected: cores::EXPECTED,
            check: cores::is_valid,
        },
        "all",
        "The CPUs that run a shard each: `all` that the process may use, the first so many of them (`4`), or a list \
         of CPU numbers and ranges (`0-3,8`; a single one as `8-8`).",
    ),
    kind(
        "ringlog.profile",
        Kind::OneOf(&["park", "adaptive", "busy"]),
        "park",
        "How a core waits: `park` sleeps in the kernel, `busy` never sleeps (lowest latency, one CPU spent a core), \
         `adaptive` spins for `ringlog.adaptive.spin.us` before it sleeps.",
    ),
    int(
        "ringlog.adaptive.spin.us",
        between(1, 1_000_000),
        "200",
        "How long a quiet core spins in the `adaptive` profile, in microseconds.",
    ),
    bool(
        "ringlog.pin",
        "true",
        "Whether each core's thread is bound to its CPU.",
    ),
    int(
        "ringlog.stall.limit.ms",
        between(1, 60_000),
        "10",
        "A pass of a core's loop that takes longer counts as a stall and is reported.",
    ),
    kind(
        "ringlog.routing",
        Kind::OneOf(&["node", "core"]),
        "node",
        "What Metadata names to clients: `node` is one broker a node, any core accepts every request.",
    )
    .only(
        &["node"],
        "routing clients to cores is not there yet; only `node` is",
    ),
    int(
        "num.network.threads",
        at_least(1),
        "3",
        "Threads that move bytes.",
    )
    .dynamic()
    .inert("each core does its own network work; see ringlog.cores"),
    int(
        "num.io.threads",
        at_least(1),
        "8",
        "Threads that work on requests.",
    )
    .dynamic()
    .inert("each core works on its own requests; see ringlog.cores"),
    int("background.threads", at_least(1), "10", "Threads for chores.")
        .dynamic()
        .inert("chores run on the cores; see ringlog.cores"),
    int(
        "num.recovery.threads.per.data.dir",
        at_least(1),
        "2",
        "Threads that recover logs at the start.",
    )
    .dynamic()
    .inert("each core recovers its own partitions; see ringlog.cores"),
];

pub const REPLICATION: &[Setting] = &[
    int(
        "num.replica.fetchers",
        at_least(1),
        "1",
        "Threads that fetch from each leader.",
    )
    .dynamic()
    .inert(ONE_NODE),
    int(
        "num.replica.alter.log.dirs.threads",
        ANY,
        "",
        "Threads that move replicas between directories.",
    )
    .unset()
    .inert("each core moves one replica at a time"),
    long(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        at_least(0),
        "9223372036854775807",
        "Most bytes a second that are copied to move replicas between directories, shared by the cores.",
    )
    .dynamic(),
    int(
        "replica.fetch.backoff.ms",
        at_least(0),
        "1000",
        "Pause after a failed fetch.",
    )
    .inert(ONE_NODE),
    int(
        "replica.fetch.max.bytes",
        at_least(0),
        "1048576",
        "Bytes wanted of each partition in a fetch.",
    )
    .inert(ONE_NODE),
    int(
        "replica.fetch.min.bytes",
        ANY,
        "1",
        "Bytes that a fetch waits for.",
    )
    .inert(ONE_NODE),
    int(
        "replica.fetch.response.max.bytes",
        at_least(0),
        "10485760",
        "Bytes wanted of a whole fetch.",
    )
    .inert(ONE_NODE),
    int(
        "replica.fetch.wait.max.ms",
        ANY,
        "500",
        "Longest wait of a fetch.",
    )
    .inert(ONE_NODE),
    long(
        "replica.high.watermark.checkpoint.interval.ms",
        ANY,
        "5000",
        "How often high watermarks are saved.",
    )
    .inert("a single replica's high watermark is its log's end"),
    long(
        "replica.lag.time.max.ms",
        ANY,
        "30000",
        "How long a replica may lag before it leaves the ISR.",
    )
    .inert(ONE_NODE),
    text(
        "replica.selector.class",
        "",
        "Chooses the replica that a consumer reads.",
    )
    .unset()
    .inert(ONE_NODE),
    int(
        "replica.socket.receive.buffer.bytes",
        ANY,
        "65536",
        "Receive buffer of replication.",
    )
    .inert(ONE_NODE),
    int(
        "replica.socket.timeout.ms",
        ANY,
        "30000",
        "How long a replication connection may be silent.",
    )
    .inert(ONE_NODE),
    bool(
        "auto.leader.rebalance.enable",
        "true",
        "Whether leadership returns to preferred replicas.",
    )
    .inert(ONE_NODE),
    long(
        "leader.imbalance.check.interval.seconds",
        at_least(1),
        "300",
        "How often that is looked at.",
    )
    .inert(ONE_NODE),
    bool(
        "unclean.leader.election.enable",
        "false",
        "Whether a replica outside the ISR may lead, at a loss.",
    )
    .dynamic()
    .inert(ONE_NODE),
    int(
        "request.timeout.ms",
        ANY,
        "30000",
        "How long an answer of another node is waited for.",
    )
    .inert(ONE_NODE),
    bool(
        "follower.fetch.last.tiered.offset.enable",
        "false",
        "Whether a new follower starts at the tiered end.",
    )
    .dynamic()
    .inert("there is no tiered storage"),
];

pub const METADATA: &[Setting] = &[
    int(
        "metadata.log.segment.bytes",
        at_least(8_388_608),
        "1073741824",
        "Size of the metadata log's segments.",
    ),
    long(
        "metadata.log.segment.ms",
        ANY,
        "604800000",
        "A segment of the metadata log covers so much time.",
    ),
    long(
        "metadata.log.max.record.bytes.between.snapshots",
        at_least(1),
        "20971520",
        "A snapshot of the metadata is written when so many bytes came since the last.",
    ),
    long(
        "metadata.log.max.snapshot.interval.ms",
        at_least(0),
        "3600000",
        "The metadata, if it changed, is snapshotted so often; 0: only by size.",
    ),
    int(
        "metadata.max.idle.interval.ms",
        at_least(0),
        "500",
        "How often an idle controller writes a no-op.",
    )
    .inert("a quorum of one needs no sign of life"),
    long(
        "metadata.max.retention.bytes",
        ANY,
        "104857600",
        "Above so much, snapshots and log together, the oldest snapshots go, and the log before what is left; negative: no limit.",
    ),
    long(
        "metadata.max.retention.ms",
        ANY,
        "604800000",
        "Snapshots older than this go, and the log before what is left; negative: never. The newest stays.",
    ),
];

pub const REST: &[Setting] = &[
    list("metric.reporters", "", "Java classes that receive metrics.")
        .dynamic()
        .inert(NO_JAVA),
    list(
        "kafka.metrics.reporters",
        "",
        "Java classes that receive metrics.",
    )
    .inert(NO_JAVA),
    int(
        "kafka.metrics.polling.interval.secs",
        at_least(1),
        "10",
        "How often those look.",
    )
    .inert(NO_JAVA),
    int(
        "metrics.num.samples",
        at_least(1),
        "2",
        "Samples kept of each metric.",
    )
    .inert(NO_JMX),
    text("metrics.recording.level", "INFO", "Which metrics are kept.").inert(NO_JMX),
    long(
        "metrics.sample.window.ms",
        at_least(1),
        "30000",
        "The time one sample covers.",
    )
    .inert(NO_JMX),
    int(
        "telemetry.max.bytes",
        at_least(1),
        "1048576",
        "Largest metrics push of a client.",
    )
    .inert("client metrics are not received"),
    class(
        "client.quota.callback.class",
        "",
        "A Java class that computes quotas.",
    )
    .unset()
    .inert(NO_JAVA),
    class(
        "alter.config.policy.class.name",
        "",
        "A Java class that judges config changes.",
    )
    .unset()
    .refused("there are no Java plug-ins, so no policy would be enforced"),
    class(
        "create.topic.policy.class.name",
        "",
        "A Java class that judges new topics.",
    )
    .unset()
    .refused("there are no Java plug-ins, so no policy would be enforced"),
    list(
        "config.providers",
        "",
        "Java classes that fetch values from elsewhere.",
    )
    .dynamic()
    .inert("values are read as written: `${…}` is not replaced"),
    int(
        "quota.window.num",
        at_least(1),
        "11",
        "Samples of a client quota.",
    )
    .inert(NO_QUOTAS),
    int(
        "quota.window.size.seconds",
        at_least(1),
        "1",
        "The time one sample covers.",
    )
    .inert(NO_QUOTAS),
    int(
        "replication.quota.window.num",
        at_least(1),
        "11",
        "Samples of a replication quota.",
    )
    .inert(NO_QUOTAS),
    int(
        "replication.quota.window.size.seconds",
        at_least(1),
        "1",
        "The time one sample covers.",
    )
    .inert(NO_QUOTAS),
    int(
        "alter.log.dirs.replication.quota.window.num",
        at_least(1),
        "11",
        "Samples of that quota.",
    )
    .inert(NO_QUOTAS),
    int(
        "alter.log.dirs.replication.quota.window.size.seconds",
        at_least(1),
        "1",
        "The time one sample covers.",
    )
    .inert(NO_QUOTAS),
    int(
        "controller.quota.window.num",
        at_least(1),
        "11",
        "Samples of the controller's quota.",
    )
    .inert(NO_QUOTAS),
    int(
        "controller.quota.window.size.seconds",
        at_least(1),
        "1",
        "The time one sample covers.",
    )
    .inert(NO_QUOTAS),
];
