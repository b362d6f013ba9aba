"""aiokafka against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME].

Left out until they are served: consumer groups, transactions, DeleteRecords."""

import asyncio
import logging
import time
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    InvalidConfigurationError,
    InvalidPartitionsError,
    InvalidReplicationFactorError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from checks import PATIENCE_S, SOON_S, Names, check, check_each, dotted, equal, main, noise, number, numbers

BASE_MS = 1_700_000_000_000
DYNAMIC_TOPIC_CONFIG, DEFAULT_CONFIG = 1, 5


class Kit(Names):
    """One broker under test: its clients, topics with names of this run, and reading a partition back."""

    def __init__(self, bootstrap):
        super().__init__("aiokafka")
        self.bootstrap = bootstrap
        self.admin = None

    @asynccontextmanager
    async def connected(self):
        """While its admin client is connected."""
        self.admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await self.admin.start()
        try:
            yield
        finally:
            await self.admin.close()

    async def create(self, *names, partitions=1, replicas=1, validate_only=False, **configs):
        topics = [NewTopic(name, partitions, replicas, topic_configs=dotted(configs)) for name in names]
        response = await self.admin.create_topics(topics, validate_only=validate_only)
        raise_first(code for _, code, *_ in response.topic_errors)

    async def delete(self, *names):
        response = await self.admin.delete_topics(list(names))
        raise_first(code for _, code in response.topic_error_codes)

    async def topic(self, what, partitions=1, **configs):
        name = self.name(what)
        await self.create(name, partitions=partitions, **configs)
        return name

    @asynccontextmanager
    async def producer(self, **settings):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, **settings)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @asynccontextmanager
    async def consumer(self, *partitions, **settings):
        """A consumer of these partitions, without a group, from their beginning."""
        settings = {"auto_offset_reset": "none", **settings}
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, **settings)
        await consumer.start()
        try:
            consumer.assign(partitions)
            for tp in partitions:
                consumer.seek(tp, 0)
            yield consumer
        finally:
            await consumer.stop()

    async def send(self, topic, records, **settings):
        """Sends keyword dictionaries for `send`, to partition 0 if they name none, and returns the acknowledgements."""
        async with self.producer(**settings) as producer:
            sent = [await producer.send(topic, **{"partition": 0, **record}) for record in records]
            return [await future for future in sent]

    async def read(self, topic, count, partition=0, offset=0, **settings):
        """The first `count` records of a partition from `offset`."""
        tp = TopicPartition(topic, partition)
        async with self.consumer(tp, **settings) as consumer:
            consumer.seek(tp, offset)
            return await take(consumer, count)

    async def configs(self, kind, name):
        """All settings of a topic or broker: value, source and names of the synonyms."""
        (response,) = await self.admin.describe_configs([ConfigResource(kind, name)], include_synonyms=True)
        ((_, _, _, _, entries),) = response.resources
        return {entry[0]: (entry[1], entry[3], [synonym[0] for synonym in entry[5]]) for entry in entries}

    async def reads(self, topic, **expected):
        """These settings of the topic soon have these values and sources."""
        expected = dotted(expected)

        async def look():
            configs = await self.configs(ConfigResourceType.TOPIC, topic)
            return {name: configs[name][:2] for name in expected}

        await soon(expected, look, "settings")

    async def listed(self, *names):
        """Which of these topics are there."""
        return set(names) & set(await self.admin.list_topics())

    async def partitions(self, topic):
        """The topic's partitions by index, as described."""
        (described,) = await self.admin.describe_topics([topic])
        return {partition["partition"]: partition for partition in described["partitions"]}

    async def alter(self, topic, **configs):
        (response,) = await self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, dotted(configs))])
        raise_first(code for code, *_ in response.resources)


def raise_first(codes):
    for code in codes:
        if code != 0:
            raise for_code(code)


async def soon(expected, look, what):
    """Looks until it sees what is expected: Kafka acknowledges a change of metadata a little before it shows it."""
    deadline = time.monotonic() + SOON_S
    while (actual := await look()) != expected and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    equal(expected, actual, what)


async def fails(kind, awaitable):
    """The awaitable must raise this exception."""
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, but it succeeded")


async def take(consumer, count):
    """The next `count` records."""
    return [await consumer.getone() for _ in range(count)]


def values(records):
    return [record.value for record in records]


def offsets(records):
    return [record.offset for record in records]


@check
async def cluster_names_id_controller_and_brokers(kit):
    cluster = await kit.admin.describe_cluster()
    assert cluster["cluster_id"]
    (broker,) = cluster["brokers"]
    equal(kit.bootstrap, f"{broker['host']}:{broker['port']}", "broker's address")
    equal(broker["node_id"], cluster["controller_id"], "controller")


@check
async def created_topic_is_listed_described_and_deleted(kit):
    name = await kit.topic("life", 3)
    await soon({name}, lambda: kit.listed(name), "topics that were created")
    partitions = await kit.partitions(name)
    equal({0, 1, 2}, set(partitions), "partitions")
    assert all(p["leader"] == p["replicas"][0] and len(p["isr"]) == 1 for p in partitions.values())
    await kit.delete(name)
    await soon(set(), lambda: kit.listed(name), "topics that were deleted")


@check
async def refused_creations_name_their_cause(kit):
    name = await kit.topic("exists")
    await fails(TopicAlreadyExistsError, kit.create(name))
    await fails(InvalidTopicError, kit.create("no spaces"))
    await fails(InvalidPartitionsError, kit.create(kit.name("none"), partitions=0))
    await fails(InvalidReplicationFactorError, kit.create(kit.name("two"), replicas=2))
    await fails(InvalidConfigurationError, kit.create(kit.name("config"), no_such_config="1"))
    await fails(UnknownTopicOrPartitionError, kit.delete(kit.name("never-created")))


@check
async def validate_only_creates_nothing(kit):
    name = kit.name("validated")
    await kit.create(name, validate_only=True)
    assert name not in await kit.admin.list_topics()


@check
async def configs_tell_value_source_and_synonyms(kit):
    topic = await kit.topic("configured", max_message_bytes="4242")
    configs = await kit.configs(ConfigResourceType.TOPIC, topic)
    value, source, synonyms = configs["max.message.bytes"]
    equal(("4242", DYNAMIC_TOPIC_CONFIG), (value, source), "max.message.bytes")
    assert "message.max.bytes" in synonyms
    equal(("604800000", DEFAULT_CONFIG), configs["retention.ms"][:2], "retention.ms")
    broker = str((await kit.admin.describe_cluster())["controller_id"])
    configs = await kit.configs(ConfigResourceType.BROKER, broker)
    equal("1048588", configs["message.max.bytes"][0], "message.max.bytes")


@check
async def altered_configs_reset_what_is_not_named(kit):
    topic = await kit.topic("altered", retention_ms="1000", segment_bytes="2000000")
    await kit.alter(topic, retention_ms="2000", max_message_bytes="3000")
    await kit.reads(
        topic, retention_ms=("2000", DYNAMIC_TOPIC_CONFIG), segment_bytes=("1073741824", DEFAULT_CONFIG)
    )
    await fails(MessageSizeTooLargeError, kit.send(topic, [{"value": noise(4_000, 1)}]))
    await fails(InvalidConfigurationError, kit.alter(topic, no_such_config="1"))
    await fails(InvalidConfigurationError, kit.alter(topic, retention_ms="soon"))
    configs = await kit.configs(ConfigResourceType.TOPIC, topic)
    equal("2000", configs["retention.ms"][0], "retention.ms after what was refused")


@check
async def partitions_are_added(kit):
    topic = await kit.topic("grows", 2)
    await kit.send(topic, [{"value": b"before"}])
    await kit.admin.create_partitions({topic: NewPartitions(3)}, validate_only=True)
    await kit.admin.create_partitions({topic: NewPartitions(5)})

    async def counted():
        return len(await kit.partitions(topic))

    await soon(5, counted, "partitions")
    await kit.send(topic, [{"value": b"after", "partition": 4}])
    equal([b"before"], values(await kit.read(topic, 1)), "partition 0")
    equal([b"after"], values(await kit.read(topic, 1, partition=4)), "partition 4")
    await fails(InvalidPartitionsError, kit.admin.create_partitions({topic: NewPartitions(5)}))
    unknown = kit.name("unknown")
    await fails(UnknownTopicOrPartitionError, kit.admin.create_partitions({unknown: NewPartitions(2)}))


@check
async def idempotent_producer_leaves_no_gap(kit):
    topic = await kit.topic("idempotent", 3)
    records = [{"value": number(n), "partition": n % 3} for n in range(3_000)]
    await kit.send(topic, records, enable_idempotence=True, linger_ms=1, max_batch_size=2_000)
    for p in range(3):
        got = await kit.read(topic, 1_000, partition=p)
        equal(list(range(1_000)), offsets(got), "offsets")
        equal([number(n) for n in range(p, 3_000, 3)], values(got), "values")


@check_each(0, 1, "all")
async def acks(kit, acks):
    topic = await kit.topic("acks")
    sent = await kit.send(topic, [{"value": v} for v in numbers(200)], acks=acks)
    if acks != 0:
        equal(list(range(200)), offsets(sent), "acknowledged offsets")
    equal(numbers(200), values(await kit.read(topic, 200)), "values")


@check_each("none", "gzip", "snappy", "lz4", "zstd")
async def codec(kit, codec):
    topic = await kit.topic("codec")
    sent = [noise(700, n) + bytes(700) for n in range(300)]
    settings = {"compression_type": None if codec == "none" else codec, "linger_ms": 20, "max_batch_size": 100_000}
    await kit.send(topic, [{"value": v} for v in sent], **settings)
    equal(sent, values(await kit.read(topic, 300)), "values")


@check
async def a_batch_made_by_hand(kit):
    topic = await kit.topic("batch")
    async with kit.producer() as producer:
        batch = producer.create_batch()
        for n in range(100):
            assert batch.append(key=number(n), value=number(n), timestamp=None)
        sent = await (await producer.send_batch(batch, topic, partition=0))
    equal(0, sent.offset, "its offset")
    equal(numbers(100), values(await kit.read(topic, 100)), "values")


@check
async def a_record_of_almost_max_message_bytes(kit):
    topic = await kit.topic("large")
    sent = [noise(1_048_000, 1), b"small", noise(1_048_000, 2), b"small"]
    await kit.send(topic, [{"value": v} for v in sent])
    equal(sent, values(await kit.read(topic, 4)), "values")


@check
async def max_message_bytes_is_honoured(kit):
    topic = await kit.topic("default-size")
    over = kit.send(topic, [{"value": noise(1_048_588, 1)}], max_request_size=9_000_000)
    await fails(MessageSizeTooLargeError, over)
    small = await kit.topic("small", max_message_bytes="1000")
    await fails(MessageSizeTooLargeError, kit.send(small, [{"value": noise(1_000, 1)}]))
    equal([0], offsets(await kit.send(small, [{"value": noise(900, 1)}])), "offset of one that fits")


@check
async def keys_headers_timestamps_and_nulls_are_kept(kit):
    topic = await kit.topic("kept", retention_ms="-1")
    headers = [("a", b"\x01\x02"), ("empty", b""), ("a", b"second"), ("ключ", noise(1_000, 5))]
    records = [
        {"key": b"k", "value": None, "headers": headers, "timestamp_ms": BASE_MS},
        {"key": None, "value": b"", "headers": [], "timestamp_ms": BASE_MS - 1},
        {"key": b"", "value": b"v", "headers": [], "timestamp_ms": BASE_MS + 1},
    ]
    await kit.send(topic, records, linger_ms=50)
    got = [
        {"key": r.key, "value": r.value, "headers": list(r.headers), "timestamp_ms": r.timestamp}
        for r in await kit.read(topic, 3)
    ]
    equal(records, got, "records")


@check
async def append_time_is_the_brokers(kit):
    topic = await kit.topic("append-time", message_timestamp_type="LogAppendTime")
    before = time.time_ns() // 1_000_000
    (sent,) = await kit.send(topic, [{"value": b"x", "timestamp_ms": 5}])
    after = time.time_ns() // 1_000_000
    (got,) = await kit.read(topic, 1)
    equal(1, got.timestamp_type, "timestamp type")
    assert before <= got.timestamp <= after, f"{before} <= {got.timestamp} <= {after}"
    equal(got.timestamp, sent.timestamp, "acknowledged timestamp")


@check
async def consumer_seeks_to_beginning_end_offset_and_time(kit):
    topic = await kit.topic("seeks", retention_ms="-1")
    records = [{"value": number(n), "timestamp_ms": BASE_MS + n * 10} for n in range(100)]
    await kit.send(topic, records, linger_ms=50)
    tp = TopicPartition(topic, 0)
    async with kit.consumer(tp) as consumer:
        await consumer.seek_to_end(tp)
        equal(100, await consumer.position(tp), "end")
        await consumer.seek_to_beginning(tp)
        equal(0, (await consumer.getone()).offset, "first record")
        for at in (57, 99, 1):
            consumer.seek(tp, at)
            equal(at, (await consumer.getone()).offset, "record after the seek")
        found = (await consumer.offsets_for_times({tp: BASE_MS + 555}))[tp]
        equal((56, BASE_MS + 560), (found.offset, found.timestamp), "offset for a time")
        consumer.seek(tp, found.offset)
        equal(list(range(56, 100)), offsets(await take(consumer, 44)), "offsets from that time")
        equal((100, 100), (consumer.highwater(tp), consumer.last_stable_offset(tp)), "high watermark, last stable")


@check
async def offsets_are_listed_by_edge_and_by_time(kit):
    topic = await kit.topic("list-offsets", 2, retention_ms="-1")
    await kit.send(topic, [{"value": b"x", "timestamp_ms": BASE_MS + n} for n in (0, 50, 20)])
    full, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with kit.consumer(full, empty) as consumer:
        equal({full: 0, empty: 0}, await consumer.beginning_offsets([full, empty]), "beginning offsets")
        equal({full: 3, empty: 0}, await consumer.end_offsets([full, empty]), "end offsets")
        found = await consumer.offsets_for_times({full: BASE_MS + 20, empty: BASE_MS})
        equal((1, BASE_MS + 50), (found[full].offset, found[full].timestamp), "offset for a time")
        equal(None, found[empty], "offset for a time in an empty partition")


@check
async def an_offset_out_of_range_is_told(kit):
    topic = await kit.topic("range")
    await kit.send(topic, [{"value": b"x"}])
    await fails(OffsetOutOfRangeError, kit.read(topic, 1, offset=1_000))
    reset = await kit.read(topic, 1, offset=1_000, auto_offset_reset="earliest")
    equal([0], offsets(reset), "offset after the reset")


@check
async def a_committed_reader_reads_what_no_transaction_holds_back(kit):
    topic = await kit.topic("committed")
    await kit.send(topic, [{"value": v} for v in numbers(500)], linger_ms=2)
    equal(numbers(500), values(await kit.read(topic, 500, isolation_level="read_committed")), "values")


@check
async def paused_partitions_rest_and_go_on(kit):
    topic = await kit.topic("paused", 2)
    await kit.send(topic, [{"value": number(n), "partition": n % 2} for n in range(20)])
    resting, running = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with kit.consumer(resting, running) as consumer:
        consumer.pause(resting)
        equal([number(n) for n in range(1, 20, 2)], values(await take(consumer, 10)), "of the partition that runs")
        equal({}, await consumer.getmany(timeout_ms=50), "of the partition that rests")
        consumer.resume(resting)
        equal([number(n) for n in range(0, 20, 2)], values(await take(consumer, 10)), "of the partition that rested")


@check
async def a_waiting_consumer_is_woken_by_a_record(kit):
    topic = await kit.topic("wakes")
    # A fetch may wait five minutes: only the append itself can bring these records in time.
    waits = {"fetch_max_wait_ms": 290_000, "request_timeout_ms": 300_000}
    async with kit.consumer(TopicPartition(topic, 0), **waits) as consumer, kit.producer() as producer:
        for n in range(10):
            equal({}, await consumer.getmany(timeout_ms=30), "before the record")
            await producer.send_and_wait(topic, number(n), partition=0)
            equal([number(n)], values(await take(consumer, 1)), "the record that woke it")


@check
async def small_fetch_limits_still_make_progress(kit):
    topic = await kit.topic("small-fetches", 2)
    sent = [noise(20_000, n) for n in range(40)]
    await kit.send(topic, [{"value": v, "partition": n % 2} for n, v in enumerate(sent)])
    both = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
    async with kit.consumer(*both, max_partition_fetch_bytes=1_000, fetch_max_bytes=1_000) as consumer:
        got = await take(consumer, 40)
    for p in (0, 1):
        equal(sent[p::2], [r.value for r in got if r.partition == p], f"values of partition {p}")


@check
async def a_long_log_is_read_in_many_fetches(kit):
    topic = await kit.topic("long", segment_bytes="1048576")
    sent = [noise(10_000, n) for n in range(500)]
    await kit.send(topic, [{"value": v} for v in sent], max_batch_size=200_000, linger_ms=5)
    equal(sent, values(await kit.read(topic, 500, max_partition_fetch_bytes=300_000)), "values")


@check
async def one_consumer_reads_a_hundred_partitions(kit):
    topic = await kit.topic("many", 100)
    await kit.send(topic, [{"value": number(n), "partition": p} for n in range(10) for p in range(100)], linger_ms=5)
    async with kit.consumer(*[TopicPartition(topic, p) for p in range(100)]) as consumer:
        got = await take(consumer, 1_000)
    for p in range(100):
        equal(numbers(10), [r.value for r in got if r.partition == p], f"values of partition {p}")


@check
async def many_topics(kit):
    names = [kit.name("topics") for _ in range(100)]
    await kit.create(*names)
    async with kit.producer(linger_ms=5) as producer:
        sent = await asyncio.gather(*[producer.send_and_wait(name, name.encode(), partition=0) for name in names])
        equal([0] * 100, offsets(sent), "first offsets")
    async with kit.consumer(*[TopicPartition(name, 0) for name in names]) as consumer:
        got = await take(consumer, 100)
    equal({name: name.encode() for name in names}, {r.topic: r.value for r in got}, "records")
    await kit.delete(*names)
    await soon(set(), lambda: kit.listed(*names), "topics that were deleted")


@check
async def a_topic_is_created_by_its_first_record(kit):
    topic = kit.name("auto")
    equal([0], offsets(await kit.send(topic, [{"value": b"x"}])), "first offset")
    equal([b"x"], values(await kit.read(topic, 1)), "its value")


@check
async def many_clients_work_side_by_side(kit):
    topic = await kit.topic("clients", 8)

    async def work(p):
        sent = [number(p * 1_000 + n) for n in range(200)]
        await kit.send(topic, [{"value": v, "partition": p} for v in sent], enable_idempotence=True)
        equal(sent, values(await kit.read(topic, 200, partition=p)), f"values of partition {p}")

    await asyncio.gather(*[work(p) for p in range(8)])


async def bounded(function, kit, *arguments):
    async with kit.connected():
        await asyncio.wait_for(function(kit, *arguments), PATIENCE_S)


if __name__ == "__main__":
    # The client's warnings tell of retries, that Kafka causes with topics that are seconds old.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    main("aiokafka", Kit, lambda *call: asyncio.run(bounded(*call)))
