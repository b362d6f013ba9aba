"""confluent-kafka (librdkafka) against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME]."""

import time

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
    TIMESTAMP_CREATE_TIME,
    TIMESTAMP_LOG_APPEND_TIME,
)
from confluent_kafka.admin import AdminClient, ConfigResource, ConfigSource, NewTopic, OffsetSpec, ResourceType

from checks import PATIENCE_S, Names, check, check_each, dotted, equal, main, noise, number

MANY = 1_000


class Kit(Names):
    """One broker under test: its clients, topics with names of this run, and reading a partition back."""

    def __init__(self, bootstrap):
        super().__init__("py")
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def create(self, *topics, **options):
        """Creates all of them, or raises the first error."""
        for future in self.admin.create_topics(list(topics), operation_timeout=PATIENCE_S, **options).values():
            future.result(PATIENCE_S)

    def topic(self, what, partitions=1, **configs):
        name = self.name(what)
        self.create(NewTopic(name, partitions, 1, config=dotted(configs)))
        return name

    def delete(self, *names):
        for future in self.admin.delete_topics(list(names), operation_timeout=PATIENCE_S).values():
            future.result(PATIENCE_S)

    def again(self, name, partitions=1):
        """Deletes a topic and creates it again, as soon as the old one's name is free."""
        self.delete(name)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.create(NewTopic(name, partitions, 1))
            except KafkaException as e:
                if e.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def producer(self, **settings):
        return Producer(self._settings(settings, {"enable.idempotence": True, "delivery.timeout.ms": PATIENCE_S * 1000}))

    def consumer(self, **settings):
        """A consumer whose partitions are assigned by hand; librdkafka wants a group name all the same."""
        defaults = {"group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "error"}
        return Consumer(self._settings(settings, defaults))

    def _settings(self, settings, defaults):
        return {**defaults, "bootstrap.servers": self.bootstrap, **dotted(settings)}

    def send(self, topic, records, **settings):
        """Sends keyword dictionaries for `produce` and returns the acknowledged messages in their order."""
        acknowledged, failures = [], []

        def delivered(error, message):
            if error is None:
                acknowledged.append(message)
            else:
                failures.append(error)

        producer = self.producer(**settings)
        for record in records:
            producer.produce(topic, on_delivery=delivered, **record)
            producer.poll(0)
        equal(0, producer.flush(PATIENCE_S), "messages left unsent")
        if failures:
            raise KafkaException(failures[0])
        return acknowledged

    def read(self, topic, count, partition=0, offset=OFFSET_BEGINNING, **settings):
        """The first `count` messages of a partition from `offset`."""
        consumer = self.consumer(**settings)
        consumer.assign([TopicPartition(topic, partition, offset)])
        try:
            return take(consumer, count)
        finally:
            consumer.close()


def take(consumer, count, tolerated=()):
    """The next `count` messages; an error that isn't tolerated is raised."""
    got = []
    deadline = time.monotonic() + PATIENCE_S
    while len(got) < count and time.monotonic() < deadline:
        for message in consumer.consume(count - len(got), 0.5):
            if message.error() is None:
                got.append(message)
            elif message.error().code() not in tolerated:
                raise KafkaException(message.error())
    equal(count, len(got), "messages read")
    return got


def fails(code, call):
    """The call must fail with this error code of librdkafka."""
    try:
        call()
    except KafkaException as e:
        equal(code, e.args[0].code(), f"error code of {e}")
        return
    raise AssertionError(f"expected error {code}, but it succeeded")


@check
def cluster_names_id_controller_and_brokers(kit):
    cluster = kit.admin.describe_cluster(include_authorized_operations=False).result(PATIENCE_S)
    assert cluster.cluster_id
    assert cluster.nodes
    assert cluster.controller.id in [node.id for node in cluster.nodes]
    metadata = kit.admin.list_topics(timeout=PATIENCE_S)
    equal({node.id for node in cluster.nodes}, set(metadata.brokers), "brokers in the metadata")


@check
def created_topic_is_listed_and_described(kit):
    name = kit.topic("described", 3)
    assert name in kit.admin.list_topics(timeout=PATIENCE_S).topics
    described = kit.admin.describe_topics(TopicCollection([name]))[name].result(PATIENCE_S)
    equal([0, 1, 2], [p.id for p in described.partitions], "partitions")
    assert all(p.leader is not None and len(p.replicas) == 1 and len(p.isr) == 1 for p in described.partitions)
    assert str(described.topic_id) != "AAAAAAAAAAAAAAAAAAAAAA"


@check
def refused_creations_name_their_cause(kit):
    name = kit.topic("exists")
    fails(KafkaError.TOPIC_ALREADY_EXISTS, lambda: kit.create(NewTopic(name, 1, 1)))
    fails(KafkaError.TOPIC_EXCEPTION, lambda: kit.create(NewTopic("no spaces", 1, 1)))
    fails(KafkaError.INVALID_REPLICATION_FACTOR, lambda: kit.create(NewTopic(kit.name("two"), 1, 2)))
    fails(
        KafkaError.INVALID_CONFIG,
        lambda: kit.create(NewTopic(kit.name("config"), 1, 1, config={"no.such.config": "1"})),
    )
    fails(KafkaError.UNKNOWN_TOPIC_OR_PART, lambda: kit.delete(kit.name("never-created")))


@check
def validate_only_creates_nothing(kit):
    name = kit.name("validated")
    kit.create(NewTopic(name, 1, 1), validate_only=True)
    assert name not in kit.admin.list_topics(timeout=PATIENCE_S).topics


@check
def configs_tell_value_and_source(kit):
    name = kit.topic("configured", max_message_bytes="4242")
    (future,) = kit.admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)]).values()
    configs = future.result(PATIENCE_S)
    equal("4242", configs["max.message.bytes"].value, "max.message.bytes")
    equal(ConfigSource.DYNAMIC_TOPIC_CONFIG.value, configs["max.message.bytes"].source, "its source")
    assert "message.max.bytes" in configs["max.message.bytes"].synonyms
    equal("604800000", configs["retention.ms"].value, "retention.ms")
    equal(ConfigSource.DEFAULT_CONFIG.value, configs["retention.ms"].source, "its source")
    broker = kit.admin.describe_cluster().result(PATIENCE_S).controller.id_string
    (future,) = kit.admin.describe_configs([ConfigResource(ResourceType.BROKER, broker)]).values()
    equal("1048588", future.result(PATIENCE_S)["message.max.bytes"].value, "message.max.bytes")


@check
def idempotent_producer_leaves_no_gap(kit):
    topic = kit.topic("idempotent", 3)
    sent = kit.send(topic, [{"value": number(n), "partition": n % 3} for n in range(6_000)], linger_ms=1)
    equal(6_000, len(sent), "acknowledged")
    for p in range(3):
        got = kit.read(topic, 2_000, partition=p)
        equal(list(range(2_000)), [m.offset() for m in got], "offsets")
        equal([number(n) for n in range(p, 6_000, 3)], [m.value() for m in got], "values")


@check_each("0", "1", "all")
def acks(kit, acks):
    topic = kit.topic("acks")
    kit.send(topic, [{"value": number(n)} for n in range(200)], acks=acks, enable_idempotence=acks == "all")
    equal([number(n) for n in range(200)], [m.value() for m in kit.read(topic, 200)], "values")


@check_each("none", "gzip", "snappy", "lz4", "zstd")
def codec(kit, codec):
    topic = kit.topic("codec")
    values = [noise(700, n) + bytes(700) for n in range(500)]
    kit.send(topic, [{"value": v} for v in values], compression_type=codec, linger_ms=20)
    equal(values, [m.value() for m in kit.read(topic, 500)], "values")


@check
def a_record_of_900_kib(kit):
    topic = kit.topic("large")
    values = [noise(900 * 1024, 1), b"small", noise(900 * 1024, 2), b"small"]
    kit.send(topic, [{"value": v} for v in values])
    equal(values, [m.value() for m in kit.read(topic, 4)], "values")


@check
def max_message_bytes_is_honoured(kit):
    topic = kit.topic("small", max_message_bytes="1000")
    fails(KafkaError.MSG_SIZE_TOO_LARGE, lambda: kit.send(topic, [{"value": noise(2_000, 1)}]))
    equal([0], [m.offset() for m in kit.send(topic, [{"value": noise(500, 1)}])], "offset of one that fits")


@check
def headers_keep_order_duplicates_and_nulls(kit):
    topic = kit.topic("headers")
    headers = [("a", b"\x01\x02"), ("empty", b""), ("null", None), ("a", b"second"), ("ключ", noise(1_000, 5))]
    kit.send(topic, [{"value": b"x", "headers": headers}, {"value": b"y"}])
    got = kit.read(topic, 2)
    equal(headers, got[0].headers(), "headers")
    equal(None, got[1].headers(), "headers of a record without")


@check
def null_and_empty_keys_and_values_stay_apart(kit):
    topic = kit.topic("nulls")
    pairs = [(None, None), (None, b""), (b"", None), (b"", b""), (b"k", None), (None, b"v")]
    kit.send(topic, [{"key": key, "value": value, "partition": 0} for key, value in pairs])
    equal(pairs, [(m.key(), m.value()) for m in kit.read(topic, len(pairs))], "keys and values")


@check
def create_time_is_kept_and_append_time_is_the_brokers(kit):
    created = kit.topic("create-time", retention_ms="-1")
    times = [1_703_462_400_000, 1_703_462_399_000, 1, 1_703_462_400_001]
    kit.send(created, [{"value": b"x", "timestamp": t} for t in times], linger_ms=50)
    equal([(TIMESTAMP_CREATE_TIME, t) for t in times], [m.timestamp() for m in kit.read(created, 4)], "create times")

    appended = kit.topic("append-time", message_timestamp_type="LogAppendTime")
    before = time.time_ns() // 1_000_000
    sent = kit.send(appended, [{"value": b"x", "timestamp": 5}])
    after = time.time_ns() // 1_000_000
    (got,) = kit.read(appended, 1)
    kind, at = got.timestamp()
    equal(TIMESTAMP_LOG_APPEND_TIME, kind, "timestamp type")
    assert before <= at <= after, f"{before} <= {at} <= {after}"
    equal((TIMESTAMP_LOG_APPEND_TIME, at), sent[0].timestamp(), "acknowledged timestamp")


@check
def offsets_are_listed_by_edge_and_by_time(kit):
    topic = kit.topic("list-offsets", retention_ms="-1")
    base = 1_700_000_000_000
    kit.send(topic, [{"value": b"x", "timestamp": base + n * 10} for n in range(100)], linger_ms=50)
    tp = TopicPartition(topic, 0)

    def listed(spec):
        futures = kit.admin.list_offsets({tp: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return futures[tp].result(PATIENCE_S).offset

    equal(0, listed(OffsetSpec.earliest()), "earliest")
    equal(100, listed(OffsetSpec.latest()), "latest")
    equal(99, listed(OffsetSpec.max_timestamp()), "max timestamp")
    equal(56, listed(OffsetSpec.for_timestamp(base + 555)), "by time")
    consumer = kit.consumer()
    equal((0, 100), consumer.get_watermark_offsets(tp, timeout=PATIENCE_S), "watermarks")
    (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, base + 555)], timeout=PATIENCE_S)
    equal(56, found.offset, "offset for a time")
    consumer.close()


@check
def reads_from_the_middle_of_a_batch(kit):
    topic = kit.topic("middle")
    kit.send(topic, [{"value": number(n)} for n in range(300)], linger_ms=50, compression_type="zstd")
    for at in (150, 299, 1):
        equal(list(range(at, 300)), [m.offset() for m in kit.read(topic, 300 - at, offset=at)], "offsets")


@check
def an_offset_out_of_range_is_told(kit):
    topic = kit.topic("range")
    kit.send(topic, [{"value": b"x"}])
    fails(KafkaError._AUTO_OFFSET_RESET, lambda: kit.read(topic, 1, offset=1_000))
    equal(0, kit.read(topic, 1, offset=1_000, auto_offset_reset="earliest")[0].offset(), "offset after the reset")


@check
def a_waiting_consumer_is_woken_by_a_record(kit):
    topic = kit.topic("wakes")
    # A fetch may wait five minutes: only the append itself can bring these records in time.
    consumer = kit.consumer(fetch_wait_max_ms=290_000, socket_timeout_ms=300_000)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    for n in range(20):
        assert consumer.poll(0.05) is None
        kit.send(topic, [{"value": number(n)}])
        equal(number(n), take(consumer, 1)[0].value(), "the record that woke it")
    consumer.close()


@check
def small_fetch_limits_still_make_progress(kit):
    topic = kit.topic("small-fetches")
    values = [noise(100_000, n) for n in range(20)]
    kit.send(topic, [{"value": v} for v in values])
    got = kit.read(topic, 20, max_partition_fetch_bytes=1_000, fetch_message_max_bytes=1_000)
    equal(values, [m.value() for m in got], "values")


@check
def one_consumer_reads_many_partitions(kit):
    topic = kit.topic("many", 64)
    kit.send(topic, [{"value": number(n), "partition": p} for n in range(50) for p in range(64)], linger_ms=5)
    consumer = kit.consumer()
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(64)])
    following = [0] * 64
    for message in take(consumer, 64 * 50):
        equal(number(following[message.partition()]), message.value(), f"next of partition {message.partition()}")
        following[message.partition()] += 1
    consumer.close()


@check
def a_topic_is_created_by_its_first_record(kit):
    topic = kit.name("auto")
    equal([0], [m.offset() for m in kit.send(topic, [{"value": b"x"}])], "first offset")
    equal(b"x", kit.read(topic, 1)[0].value(), "its value")


@check
def clients_go_on_after_their_topic_is_created_again(kit):
    topic = kit.topic("again")
    producer = kit.producer(topic_metadata_refresh_interval_ms=500)
    consumer = kit.consumer(auto_offset_reset="earliest", topic_metadata_refresh_interval_ms=500)
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    for n in range(10):
        producer.produce(topic, number(n))
    equal(0, producer.flush(PATIENCE_S), "unsent")
    equal(number(9), take(consumer, 10)[9].value(), "last record of the first life")

    kit.again(topic)
    outcomes = []
    deadline = time.monotonic() + PATIENCE_S
    while True:
        producer.produce(topic, b"second life", on_delivery=lambda error, message: outcomes.append(error))
        producer.flush(PATIENCE_S)
        if outcomes[-1] is None:
            break
        assert time.monotonic() < deadline, f"never accepted: {outcomes[-1]}"
    (first,) = take(consumer, 1, tolerated=(KafkaError.UNKNOWN_TOPIC_OR_PART,))
    equal((0, b"second life"), (first.offset(), first.value()), "first record of the second life")
    consumer.close()


@check
def a_thousand_topics(kit):
    names = [kit.name("thousand") for _ in range(MANY)]
    kit.create(*[NewTopic(name, 1, 1) for name in names])
    assert set(names) <= set(kit.admin.list_topics(timeout=PATIENCE_S).topics)
    producer = kit.producer(linger_ms=5)
    offsets = []

    def delivered(error, message):
        if error is not None:
            raise KafkaException(error)
        offsets.append(message.offset())

    for n, name in enumerate(names):
        producer.produce(name, number(n), on_delivery=delivered)
        producer.poll(0)
    equal(0, producer.flush(PATIENCE_S), "unsent")
    equal([0] * MANY, offsets, "first offsets")
    consumer = kit.consumer()
    consumer.assign([TopicPartition(name, 0, OFFSET_BEGINNING) for name in names])
    got = {message.topic(): message.value() for message in take(consumer, MANY)}
    consumer.close()
    equal({name: number(n) for n, name in enumerate(names)}, got, "topics and their records")
    kit.delete(*names)
    assert not set(names) & set(kit.admin.list_topics(timeout=PATIENCE_S).topics)


if __name__ == "__main__":
    main("python", Kit)
