//! Listeners, connections, requests and security.

use crate::config::listeners;
use crate::config::setting::row::*;
use crate::config::setting::{ANY, Kind, Setting, at_least, between};

const NO_PURGATORY: &str = "parked requests leave by themselves; there is no purgatory to purge";

pub const NETWORK: &[Setting] = &[
    list(
        "listeners",
        "PLAINTEXT://:9092",
        "The addresses to listen on, as `NAME://host:port`; an empty host is every interface, an IPv6 address stands \
         in brackets. Without a configuration file it is `PLAINTEXT://127.0.0.1:9092`.",
    ),
    list(
        "advertised.listeners",
        "",
        "The addresses that clients are told, where they differ from `listeners`. Never 0.0.0.0 or [::].",
    )
    .unset(),
    kind(
        "listener.security.protocol.map",
        Kind::Checked {
            expected: listeners::PROTOCOL_MAP_EXPECTED,
            check: listeners::is_protocol_map,
        },
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "The security protocol of each listener name. Only PLAINTEXT is served.",
    ),
    text(
        "inter.broker.listener.name",
        "",
        "The listener that brokers use among themselves. Past `max.connections` its connections come in, and another has to go.",
    )
    .unset(),
    kind(
        "security.inter.broker.protocol",
        Kind::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        "PLAINTEXT",
        "The protocol that brokers use among themselves.",
    )
    .only(&["PLAINTEXT"], "only PLAINTEXT is there yet"),
    list(
        "early.start.listeners",
        "",
        "Listeners that open before the node is ready.",
    )
    .unset()
    .inert("listeners open when the node is ready"),
    int(
        "max.connections",
        at_least(0),
        "2147483647",
        "Most connections at a time; past it a new one waits until another ends.",
    )
    .dynamic(),
    int(
        "max.connections.per.ip",
        at_least(0),
        "2147483647",
        "Most connections of one address; past it a new one is closed.",
    )
    .dynamic(),
    kind(
        "max.connections.per.ip.overrides",
        Kind::Checked {
            expected: listeners::ADDRESS_COUNTS_EXPECTED,
            check: listeners::are_address_counts,
        },
        "",
        "That, for single addresses: `address:count,…`.",
    )
    .dynamic(),
    int(
        "max.connection.creation.rate",
        at_least(0),
        "2147483647",
        "Most new connections a second.",
    )
    .dynamic()
    .inert("connections are not limited by their rate"),
    long(
        "connections.max.idle.ms",
        ANY,
        "600000",
        "A connection that is silent for longer, and waits for nothing, is closed; negative: never.",
    ),
    int(
        "socket.listen.backlog.size",
        at_least(1),
        "50",
        "Connections that may wait to be accepted.",
    )
    .inert("the kernel's own limit (net.core.somaxconn) applies"),
    int(
        "socket.send.buffer.bytes",
        ANY,
        "102400",
        "Send buffer of a socket; -1 leaves it to the kernel.",
    )
    .inert("the kernel sizes socket buffers by itself"),
    int(
        "socket.receive.buffer.bytes",
        ANY,
        "102400",
        "Receive buffer of a socket; -1 leaves it to the kernel.",
    )
    .inert("the kernel sizes socket buffers by itself"),
    long(
        "socket.connection.setup.timeout.ms",
        ANY,
        "10000",
        "How long a connect to another node may take.",
    )
    .inert("this release runs as a single node"),
    long(
        "socket.connection.setup.timeout.max.ms",
        ANY,
        "30000",
        "The same after repeated failures.",
    )
    .inert("this release runs as a single node"),
];

pub const REQUESTS: &[Setting] = &[
    int(
        "socket.request.max.bytes",
        at_least(1),
        "104857600",
        "The largest request; a larger one closes its connection.",
    ),
    int(
        "fetch.max.bytes",
        at_least(1024),
        "57671680",
        "The most bytes of records in one Fetch answer.",
    ),
    int(
        "max.request.partition.size.limit",
        at_least(1),
        "2000",
        "The most partitions that one answer to DescribeTopicPartitions has; a client asks on from where it ended.",
    ),
    int(
        "max.incremental.fetch.session.cache.slots",
        at_least(0),
        "1000",
        "Most fetch sessions kept; each core keeps its part of them.",
    ),
    int(
        "queued.max.requests",
        at_least(1),
        "500",
        "Requests that may wait for a thread.",
    )
    .inert("a connection's next request is read when its last was taken; nothing queues"),
    long(
        "queued.max.request.bytes",
        ANY,
        "-1",
        "Bytes of requests that may wait for a thread.",
    )
    .inert("a connection's next request is read when its last was taken; nothing queues"),
    int(
        "fetch.purgatory.purge.interval.requests",
        ANY,
        "1000",
        "Chore of parked fetches.",
    )
    .inert(NO_PURGATORY),
    int(
        "producer.purgatory.purge.interval.requests",
        ANY,
        "1000",
        "Chore of parked produce requests.",
    )
    .inert(NO_PURGATORY),
    int(
        "delete.records.purgatory.purge.interval.requests",
        ANY,
        "1",
        "Chore of parked DeleteRecords.",
    )
    .inert(NO_PURGATORY),
    int(
        "share.fetch.purgatory.purge.interval.requests",
        ANY,
        "1000",
        "Chore of parked share fetches.",
    )
    .inert(NO_PURGATORY),
    long(
        "ringlog.tail.cache.bytes",
        between(0, 1 << 40),
        "33554432",
        "Memory of each core for the newest records of its partitions, in bytes; what is older is read from files.",
    ),
];

pub const SECURITY: &[Setting] = &[
    text(
        "authorizer.class.name",
        "",
        "The Java class that authorises requests.",
    )
    .refused("there is no authorisation yet; everyone who can connect may do everything"),
    class(
        "principal.builder.class",
        "",
        "A Java class that names who connects.",
    )
    .unset()
    .per_broker()
    .refused("there are no Java plug-ins and no authentication yet"),
    text("security.providers", "", "Java classes of security algorithms.")
        .unset()
        .refused("there are no Java plug-ins and no TLS yet"),
    long(
        "connections.max.reauth.ms",
        ANY,
        "0",
        "Time after which a client must authenticate again.",
    )
    .only(&["0"], "there is no authentication yet"),
    int(
        "connection.failed.authentication.delay.ms",
        at_least(0),
        "100",
        "Pause after a failed authentication.",
    )
    .inert("there is no authentication yet"),
];
