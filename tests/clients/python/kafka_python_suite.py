"""kafka-python against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME].

Left out until they are served: consumer groups, transactions, DeleteRecords."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from uuid import UUID

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, KafkaAdminClient, OffsetSpec
from kafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
)
from kafka.protocol.api_key import ApiKey

from checks import PATIENCE_S, Names, check, check_each, dotted, equal, fails, main, noise, number, numbers, soon

PATIENCE_MS = PATIENCE_S * 1000
BASE_MS = 1_700_000_000_000


class Kit(Names):
    """One broker under test: its clients, topics with names of this run, and reading a partition back."""

    def __init__(self, bootstrap):
        super().__init__("kafka-python")
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create(self, name, partitions=1, replicas=1, validate_only=False, **configs):
        topic = {"num_partitions": partitions, "replication_factor": replicas, "configs": dotted(configs)}
        return self.admin.create_topics({name: topic}, validate_only=validate_only)

    def topic(self, what, partitions=1, **configs):
        name = self.name(what)
        self.create(name, partitions, **configs)
        self.admin.wait_for_topics([name], timeout_ms=PATIENCE_MS)
        return name

    def producer(self, **settings):
        return KafkaProducer(bootstrap_servers=self.bootstrap, **settings)

    def consumer(self, *partitions, **settings):
        """A consumer of these partitions, without a group, from their beginning."""
        settings = {"auto_offset_reset": "none", "enable_auto_commit": False, **settings}
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, **settings)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        return consumer

    def send(self, topic, records, **settings):
        """Sends keyword dictionaries for `send`, to partition 0 if they name none, and returns the acknowledgements."""
        with closing(self.producer(**settings)) as producer:
            sent = [producer.send(topic, **{"partition": 0, **record}) for record in records]
            return [future.get(PATIENCE_S) for future in sent]

    def read(self, topic, count, partition=0, offset=0, **settings):
        """The first `count` records of a partition from `offset`."""
        tp = TopicPartition(topic, partition)
        with closing(self.consumer(tp, **settings)) as consumer:
            consumer.seek(tp, offset)
            return take(consumer, count)

    def configs(self, kind, name):
        """All settings of a topic or broker."""
        described = self.admin.describe_configs(
            [ConfigResource(kind, name)], include_synonyms=True, config_filter="all"
        )
        return described[kind][name]

    def reads(self, topic, **expected):
        """These settings of the topic soon have these values."""
        expected = dotted(expected)

        def look():
            configs = self.configs("topic", topic)
            return {name: configs[name]["value"] for name in expected}

        soon(expected, look, "settings")

    def gone(self, *names):
        soon(set(), lambda: set(names) & set(self.admin.list_topics()), "topics that were deleted")


def take(consumer, count):
    """The next `count` records."""
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count and time.monotonic() < deadline:
        for records in consumer.poll(500, max_records=count - len(got)).values():
            got.extend(records)
    equal(count, len(got), "records read")
    return got


def values(records):
    return [record.value for record in records]


def offsets(records):
    return [record.offset for record in records]


@check
def versions_are_negotiated(kit):
    versions = kit.admin.api_versions()
    for api in (ApiKey.Produce, ApiKey.Fetch, ApiKey.ListOffsets, ApiKey.Metadata, ApiKey.InitProducerId):
        assert api in versions, f"{api.name} is not served"
    with closing(kit.producer()) as producer:
        # The client tells the broker's release from them, and sends what a broker of that release takes.
        assert producer.config["api_version"] >= (4, 1), producer.config["api_version"]


@check
def cluster_names_id_controller_and_brokers(kit):
    cluster = kit.admin.describe_cluster()
    assert cluster["cluster_id"]
    (broker,) = cluster["brokers"]
    equal(kit.bootstrap, f"{broker['host']}:{broker['port']}", "broker's address")
    equal(broker["broker_id"], cluster["controller_id"], "controller")


@check
def created_topic_is_listed_described_and_deleted(kit):
    name = kit.topic("life", 3)
    assert name in kit.admin.list_topics()
    (described,) = kit.admin.describe_topics([name])
    equal([0, 1, 2], sorted(p["partition_index"] for p in described["partitions"]), "partitions")
    assert all(p["leader_id"] == p["replica_nodes"][0] and len(p["isr_nodes"]) == 1 for p in described["partitions"])
    (by_id,) = kit.admin.describe_topics([UUID(described["topic_id"])])
    equal(name, by_id["name"], "the topic with that id")
    kit.admin.delete_topics([name])
    kit.gone(name)


@check
def a_topic_is_deleted_by_its_id(kit):
    name = kit.topic("by-id")
    (described,) = kit.admin.describe_topics([name])
    kit.admin.delete_topics([UUID(described["topic_id"])])
    kit.gone(name)


@check
def refused_creations_name_their_cause(kit):
    name = kit.topic("exists")
    fails(TopicAlreadyExistsError, lambda: kit.create(name))
    fails(InvalidTopicError, lambda: kit.create("no spaces"))
    fails(InvalidPartitionsError, lambda: kit.create(kit.name("none"), partitions=0))
    fails(InvalidReplicationFactorError, lambda: kit.create(kit.name("two"), replicas=2))
    fails(InvalidConfigurationError, lambda: kit.create(kit.name("config"), no_such_config="1"))
    fails(InvalidConfigurationError, lambda: kit.create(kit.name("config"), retention_ms="soon"))
    fails(UnknownTopicOrPartitionError, lambda: kit.admin.delete_topics([kit.name("never-created")]))


@check
def validate_only_creates_nothing(kit):
    name = kit.name("validated")
    kit.create(name, validate_only=True)
    assert name not in kit.admin.list_topics()


@check
def an_unknown_topic_is_described_as_such(kit):
    (described,) = kit.admin.describe_topics([kit.name("unknown")])
    equal(UnknownTopicOrPartitionError.errno, described["error_code"], "error code")


@check
def configs_tell_value_source_and_synonyms(kit):
    configs = kit.configs("topic", kit.topic("configured", max_message_bytes="4242"))
    size = configs["max.message.bytes"]
    equal(("4242", "DYNAMIC_TOPIC_CONFIG", "INT"), (size["value"], size["config_source"], size["config_type"]), "size")
    assert "message.max.bytes" in [synonym["name"] for synonym in size["synonyms"]]
    retention = configs["retention.ms"]
    equal(("604800000", "DEFAULT_CONFIG"), (retention["value"], retention["config_source"]), "retention.ms")
    broker = str(kit.admin.describe_cluster()["controller_id"])
    equal("1048588", kit.configs("broker", broker)["message.max.bytes"]["value"], "message.max.bytes")


@check
def configs_are_altered_one_by_one(kit):
    topic = kit.topic("incremental", retention_ms="1000", cleanup_policy="delete")

    def alter(**changes):
        answer = kit.admin.alter_configs([ConfigResource("topic", topic, dotted(changes))], incremental=True)
        equal("OK", answer["topic"][topic], "answer")

    alter(retention_ms=(AlterConfigOp.DELETE, None), max_message_bytes="2000")
    kit.reads(topic, retention_ms="604800000", max_message_bytes="2000")
    fails(MessageSizeTooLargeError, lambda: kit.send(topic, [{"value": noise(3_000, 1)}]))
    alter(cleanup_policy=(AlterConfigOp.APPEND, "compact"))
    kit.reads(topic, cleanup_policy="delete,compact")
    alter(cleanup_policy=(AlterConfigOp.SUBTRACT, "compact"))
    kit.reads(topic, cleanup_policy="delete")


@check
def configs_are_altered_all_at_once(kit):
    topic = kit.topic("altered", retention_ms="1000", segment_bytes="2000000")
    # The client names the other altered settings too: what AlterConfigs doesn't name goes back to its default.
    altered = ConfigResource("topic", topic, {"retention.ms": "2000"})
    answer = kit.admin.alter_configs([altered], incremental=False)
    equal("OK", answer["topic"][topic], "answer")
    kit.reads(topic, retention_ms="2000", segment_bytes="2000000")


@check
def refused_alterations_change_nothing(kit):
    topic = kit.topic("unaltered", retention_ms="1000")

    def refused(**changes):
        resource = ConfigResource("topic", topic, dotted(changes))
        answer = kit.admin.alter_configs([resource], raise_on_unknown=False, incremental=True)
        assert InvalidConfigurationError.__name__ in answer["topic"][topic], answer

    refused(no_such_config="1", retention_ms="5")
    refused(retention_ms="soon")
    resource = ConfigResource("topic", topic, {"retention.ms": "7"})
    kit.admin.alter_configs([resource], validate_only=True)
    equal("1000", kit.configs("topic", topic)["retention.ms"]["value"], "retention.ms")


@check
def partitions_are_added(kit):
    topic = kit.topic("grows", 2)
    kit.send(topic, [{"value": b"before"}])
    kit.admin.create_partitions({topic: 3}, validate_only=True)
    kit.admin.create_partitions({topic: 5})
    soon(5, lambda: len(kit.admin.describe_topics([topic])[0]["partitions"]), "partitions")
    kit.admin.wait_for_topics([topic], timeout_ms=PATIENCE_MS)
    kit.send(topic, [{"value": b"after", "partition": 4}])
    equal([b"before"], values(kit.read(topic, 1)), "partition 0")
    equal([b"after"], values(kit.read(topic, 1, partition=4)), "partition 4")
    fails(InvalidPartitionsError, lambda: kit.admin.create_partitions({topic: 5}))
    fails(InvalidPartitionsError, lambda: kit.admin.create_partitions({topic: 1}))
    fails(UnknownTopicOrPartitionError, lambda: kit.admin.create_partitions({kit.name("unknown"): 2}))


@check
def partitions_are_described_in_pages(kit):
    topics = sorted([kit.topic("paged", 5), kit.topic("paged", 5)])
    seen, cursor = [], None
    while True:
        page = kit.admin.describe_topic_partitions(topics, response_partition_limit=3, cursor=cursor)
        seen += [(t["name"], p["partition_index"]) for t in page["topics"] for p in t["partitions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    equal([(topic, p) for topic in topics for p in range(5)], seen, "partitions")


@check
def idempotent_producer_leaves_no_gap(kit):
    topic = kit.topic("idempotent", 3)
    records = [{"value": number(n), "partition": n % 3} for n in range(3_000)]
    kit.send(topic, records, enable_idempotence=True, linger_ms=1, batch_size=2_000)
    for p in range(3):
        got = kit.read(topic, 1_000, partition=p)
        equal(list(range(1_000)), offsets(got), "offsets")
        equal([number(n) for n in range(p, 3_000, 3)], values(got), "values")


@check_each(0, 1, "all")
def acks(kit, acks):
    topic = kit.topic("acks")
    sent = kit.send(topic, [{"value": v} for v in numbers(200)], acks=acks, enable_idempotence=acks == "all")
    if acks != 0:
        equal(list(range(200)), offsets(sent), "acknowledged offsets")
    equal(numbers(200), values(kit.read(topic, 200)), "values")


@check_each("none", "gzip", "snappy", "lz4", "zstd")
def codec(kit, codec):
    topic = kit.topic("codec")
    sent = [noise(700, n) + bytes(700) for n in range(300)]
    settings = {"compression_type": None if codec == "none" else codec, "linger_ms": 20, "batch_size": 100_000}
    kit.send(topic, [{"value": v} for v in sent], **settings)
    equal(sent, values(kit.read(topic, 300)), "values")


@check
def a_record_of_almost_max_message_bytes(kit):
    topic = kit.topic("large")
    sent = [noise(1_048_000, 1), b"small", noise(1_048_000, 2), b"small"]
    kit.send(topic, [{"value": v} for v in sent])
    equal(sent, values(kit.read(topic, 4)), "values")


@check
def max_message_bytes_is_honoured(kit):
    topic = kit.topic("default-size")
    over = [{"value": noise(1_048_588, 1)}]
    fails(MessageSizeTooLargeError, lambda: kit.send(topic, over, max_request_size=9_000_000))
    small = kit.topic("small", max_message_bytes="1000")
    fails(MessageSizeTooLargeError, lambda: kit.send(small, [{"value": noise(1_000, 1)}]))
    equal([0], offsets(kit.send(small, [{"value": noise(900, 1)}])), "offset of one that fits")
    # Too large only together: the client halves its batch until each part fits.
    kit.send(small, [{"value": noise(300, n)} for n in range(20)], linger_ms=50)
    equal([noise(300, n) for n in range(20)], values(kit.read(small, 20, offset=1)), "values of a split batch")


@check
def keys_headers_timestamps_and_nulls_are_kept(kit):
    topic = kit.topic("kept", retention_ms="-1")
    headers = [("a", b"\x01\x02"), ("empty", b""), ("a", b"second"), ("ключ", noise(1_000, 5))]
    records = [
        {"key": b"k", "value": None, "headers": headers, "timestamp_ms": BASE_MS},
        {"key": None, "value": b"", "headers": [], "timestamp_ms": BASE_MS - 1},
        {"key": b"", "value": b"v", "headers": [], "timestamp_ms": BASE_MS + 1},
    ]
    kit.send(topic, records, linger_ms=50)
    got = [
        {"key": r.key, "value": r.value, "headers": r.headers, "timestamp_ms": r.timestamp} for r in kit.read(topic, 3)
    ]
    equal(records, got, "records")


@check
def append_time_is_the_brokers(kit):
    topic = kit.topic("append-time", message_timestamp_type="LogAppendTime")
    before = time.time_ns() // 1_000_000
    (sent,) = kit.send(topic, [{"value": b"x", "timestamp_ms": 5}])
    after = time.time_ns() // 1_000_000
    (got,) = kit.read(topic, 1)
    equal(1, got.timestamp_type, "timestamp type")
    assert before <= got.timestamp <= after, f"{before} <= {got.timestamp} <= {after}"
    equal(got.timestamp, sent.timestamp, "acknowledged timestamp")


@check
def equal_keys_go_to_one_partition(kit):
    topic = kit.topic("keyed", 8)
    with closing(kit.producer()) as producer:
        sent = [producer.send(topic, key=number(n % 40), value=number(n)) for n in range(400)]
        placed = [future.get(PATIENCE_S).partition for future in sent]
    equal(placed[:40] * 10, placed, "partitions of the keys")
    assert len(set(placed)) > 1


@check
def consumer_seeks_to_beginning_end_offset_and_time(kit):
    topic = kit.topic("seeks", retention_ms="-1")
    kit.send(topic, [{"value": number(n), "timestamp_ms": BASE_MS + n * 10} for n in range(100)], linger_ms=50)
    tp = TopicPartition(topic, 0)
    with closing(kit.consumer(tp)) as consumer:
        consumer.seek_to_end(tp)
        equal(100, consumer.position(tp), "end")
        consumer.seek_to_beginning(tp)
        equal(0, consumer.position(tp), "beginning")
        equal(0, take(consumer, 1)[0].offset, "first record")
        for at in (57, 99, 1):
            consumer.seek(tp, at)
            equal(at, take(consumer, 1)[0].offset, "record after the seek")
        found = consumer.offsets_for_times({tp: BASE_MS + 555})[tp]
        equal((56, BASE_MS + 560), (found.offset, found.timestamp), "offset for a time")
        consumer.seek(tp, found.offset)
        equal(list(range(56, 100)), offsets(take(consumer, 44)), "offsets from that time")


@check
def offsets_are_listed_by_edge_and_by_time(kit):
    topic = kit.topic("list-offsets", 2, retention_ms="-1")
    times = [BASE_MS, BASE_MS + 50, BASE_MS + 20]
    kit.send(topic, [{"value": b"x", "timestamp_ms": t} for t in times])
    full, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)

    def listed(tp, spec):
        return kit.admin.list_partition_offsets({tp: spec})[tp]

    equal((0, 3), (listed(full, OffsetSpec.EARLIEST).offset, listed(full, OffsetSpec.LATEST).offset), "edges")
    equal((0, 0), (listed(empty, OffsetSpec.EARLIEST).offset, listed(empty, OffsetSpec.LATEST).offset), "empty edges")
    latest = listed(full, OffsetSpec.MAX_TIMESTAMP)
    equal((1, BASE_MS + 50), (latest.offset, latest.timestamp), "max timestamp")
    equal(-1, listed(empty, OffsetSpec.MAX_TIMESTAMP).offset, "max timestamp of nothing")
    equal(0, listed(full, OffsetSpec.EARLIEST_LOCAL).offset, "earliest local")
    equal(-1, listed(full, OffsetSpec.LATEST_TIERED).offset, "latest tiered")
    with closing(kit.consumer(full, empty)) as consumer:
        equal({full: 0, empty: 0}, consumer.beginning_offsets([full, empty]), "beginning offsets")
        equal({full: 3, empty: 0}, consumer.end_offsets([full, empty]), "end offsets")
        found = consumer.offsets_for_times({full: BASE_MS + 51, empty: BASE_MS})
        equal({full: None, empty: None}, found, "offsets for times after the last record")
    fails(
        UnknownTopicOrPartitionError,
        lambda: kit.admin.list_partition_offsets({TopicPartition(topic, 2): OffsetSpec.LATEST}),
    )


@check
def an_offset_out_of_range_is_told(kit):
    topic = kit.topic("range")
    kit.send(topic, [{"value": b"x"}])
    fails(OffsetOutOfRangeError, lambda: kit.read(topic, 1, offset=1_000))
    equal([0], offsets(kit.read(topic, 1, offset=1_000, auto_offset_reset="earliest")), "offset after the reset")


@check
def a_committed_reader_reads_what_no_transaction_holds_back(kit):
    topic = kit.topic("committed")
    kit.send(topic, [{"value": v} for v in numbers(500)], linger_ms=2)
    equal(numbers(500), values(kit.read(topic, 500, isolation_level="read_committed")), "values")


@check
def reads_without_fetch_sessions(kit):
    topic = kit.topic("sessionless")
    kit.send(topic, [{"value": v} for v in numbers(500)], linger_ms=2)
    equal(numbers(500), values(kit.read(topic, 500, enable_incremental_fetch_sessions=False)), "values")


@check
def paused_partitions_rest_and_go_on(kit):
    topic = kit.topic("paused", 2)
    kit.send(topic, [{"value": number(n), "partition": n % 2} for n in range(20)])
    resting, running = TopicPartition(topic, 0), TopicPartition(topic, 1)
    with closing(kit.consumer(resting, running)) as consumer:
        consumer.pause(resting)
        equal([number(n) for n in range(1, 20, 2)], values(take(consumer, 10)), "of the partition that runs")
        equal({}, consumer.poll(50), "of the partition that rests")
        consumer.resume(resting)
        equal([number(n) for n in range(0, 20, 2)], values(take(consumer, 10)), "of the partition that rested")


@check
def a_waiting_consumer_is_woken_by_a_record(kit):
    topic = kit.topic("wakes")
    # A fetch may wait five minutes: only the append itself can bring these records in time.
    waits = {"fetch_max_wait_ms": 290_000, "request_timeout_ms": 300_000}
    with closing(kit.consumer(TopicPartition(topic, 0), **waits)) as consumer, closing(kit.producer()) as producer:
        for n in range(10):
            equal({}, consumer.poll(30), "before the record")
            producer.send(topic, number(n), partition=0).get(PATIENCE_S)
            equal([number(n)], values(take(consumer, 1)), "the record that woke it")


@check
def fetch_min_bytes_waits_for_enough(kit):
    topic = kit.topic("min-bytes")
    tp = TopicPartition(topic, 0)
    waits = {"fetch_min_bytes": 5_000, "fetch_max_wait_ms": 290_000, "request_timeout_ms": 300_000}
    with closing(kit.consumer(tp, **waits)) as consumer, closing(kit.producer()) as producer:
        producer.send(topic, noise(1_000, 0), partition=0).get(PATIENCE_S)
        equal({}, consumer.poll(200), "while there is too little")
        producer.send(topic, noise(5_000, 1), partition=0).get(PATIENCE_S)
        equal([noise(1_000, 0), noise(5_000, 1)], values(take(consumer, 2)), "once there is enough")


@check
def small_fetch_limits_still_make_progress(kit):
    topic = kit.topic("small-fetches", 2)
    sent = [noise(20_000, n) for n in range(40)]
    kit.send(topic, [{"value": v, "partition": n % 2} for n, v in enumerate(sent)])
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    with closing(kit.consumer(*both, max_partition_fetch_bytes=1_000, fetch_max_bytes=1_000)) as consumer:
        got = take(consumer, 40)
    for p in (0, 1):
        equal(sent[p::2], [r.value for r in got if r.partition == p], f"values of partition {p}")


@check
def a_long_log_is_read_in_many_fetches(kit):
    topic = kit.topic("long", segment_bytes="1048576")
    sent = [noise(10_000, n) for n in range(500)]
    kit.send(topic, [{"value": v} for v in sent], batch_size=200_000, linger_ms=5)
    equal(sent, values(kit.read(topic, 500, max_partition_fetch_bytes=300_000)), "values")


@check
def one_consumer_reads_a_hundred_partitions(kit):
    topic = kit.topic("many", 100)
    kit.send(topic, [{"value": number(n), "partition": p} for n in range(10) for p in range(100)], linger_ms=5)
    with closing(kit.consumer(*[TopicPartition(topic, p) for p in range(100)])) as consumer:
        got = take(consumer, 1_000)
    for p in range(100):
        equal(numbers(10), [r.value for r in got if r.partition == p], f"values of partition {p}")


@check
def many_topics(kit):
    names = [kit.name("topics") for _ in range(100)]
    kit.admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1} for name in names})
    kit.admin.wait_for_topics(names, timeout_ms=PATIENCE_MS)
    # Side by side, since each first send to a topic waits for its metadata.
    with closing(kit.producer()) as producer, ThreadPoolExecutor(25) as pool:
        for future in pool.map(lambda name: producer.send(name, name.encode()), names):
            equal(0, future.get(PATIENCE_S).offset, "first offset")
    with closing(kit.consumer(*[TopicPartition(name, 0) for name in names])) as consumer:
        equal({name: name.encode() for name in names}, {r.topic: r.value for r in take(consumer, 100)}, "records")
    kit.admin.delete_topics(names)
    kit.gone(*names)


@check
def a_topic_is_created_by_its_first_record(kit):
    topic = kit.name("auto")
    equal([0], offsets(kit.send(topic, [{"value": b"x"}])), "first offset")
    equal([b"x"], values(kit.read(topic, 1)), "its value")


@check
def clients_of_many_threads_share_the_broker(kit):
    topic = kit.topic("threads", 4)

    def work(p):
        sent = [number(p * 1_000 + n) for n in range(300)]
        kit.send(topic, [{"value": v, "partition": p} for v in sent], linger_ms=1)
        return sent, values(kit.read(topic, 300, partition=p))

    with ThreadPoolExecutor(4) as pool:
        for p, (sent, got) in enumerate(pool.map(work, range(4))):
            equal(sent, got, f"values of partition {p}")


if __name__ == "__main__":
    main("kafka-python", Kit)
