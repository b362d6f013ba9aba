// kafkajs against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME].
//
// Left out until they are served: consumer groups, and with them kafkajs's consumer itself (subscribing, seeking,
// pausing; these checks read through what lies beneath it), transactions, deleting records. snappy, lz4 and zstd
// aren't built into the client.
'use strict';

const assert = require('node:assert/strict');
const { CompressionTypes, ConfigResourceTypes } = require('kafkajs');

const { check, checkEach, equal, main, soon } = require('./checks');
const { Kit, bytes, fails, newTopic, noise, numbers, offsets, texts } = require('./kafkajs_kit');

// When one partition of a request is refused, the client sends all of it again.
const IDEMPOTENT = { idempotent: true, maxInFlightRequests: 1 };
const BASE_MS = 1_700_000_000_000;
const DYNAMIC_TOPIC_CONFIG = 1;
const DEFAULT_CONFIG = 5;
// The newest versions that kafkajs speaks, by API key.
const NEWEST_SPOKEN = { produce: [0, 7], fetch: [1, 11], listOffsets: [2, 3], metadata: [3, 6], createTopics: [19, 3] };

check('versions_are_negotiated', kit =>
  kit.reading({}, async ({ cluster }) => {
    await cluster.refreshMetadata();
    const { versions } = await cluster.findControllerBroker();
    for (const [api, [key, newest]] of Object.entries(NEWEST_SPOKEN)) {
      const { minVersion, maxVersion } = versions[key];
      assert(minVersion <= newest && newest <= maxVersion, `${api}: ${minVersion} to ${maxVersion}`);
    }
  })
);

check('cluster_names_id_controller_and_brokers', async kit => {
  const { brokers, controller, clusterId } = await kit.admin.describeCluster();
  assert(clusterId);
  equal([kit.bootstrap], brokers.map(({ host, port }) => `${host}:${port}`), 'brokers');
  equal(brokers[0].nodeId, controller, 'controller');
});

check('created_topic_is_listed_described_and_deleted', async kit => {
  const topic = await kit.topic('life', 3);
  assert((await kit.admin.listTopics()).includes(topic));
  const { topics } = await kit.admin.fetchTopicMetadata({ topics: [topic] });
  equal([0, 1, 2], topics[0].partitions.map(p => p.partitionId).sort(), 'partitions');
  assert(topics[0].partitions.every(p => p.leader === p.replicas[0] && p.isr.length === 1));
  await kit.admin.deleteTopics({ topics: [topic] });
  await soon([], () => kit.listed([topic]), 'topics that were deleted');
});

check('refused_creations_name_their_cause', async kit => {
  const create = topic => kit.admin.createTopics({ topics: [topic] });
  const exists = await kit.topic('exists');
  equal(false, await create(newTopic(exists)), 'created again');
  await fails('INVALID_TOPIC_EXCEPTION', create(newTopic('no spaces')));
  await fails('INVALID_PARTITIONS', create(newTopic(kit.name('none'), 0)));
  await fails('INVALID_REPLICATION_FACTOR', create(newTopic(kit.name('two'), 1, {}, 2)));
  await fails('INVALID_CONFIG', create(newTopic(kit.name('config'), 1, { 'no.such.config': '1' })));
  await fails('UNKNOWN_TOPIC_OR_PARTITION', kit.admin.deleteTopics({ topics: [kit.name('never-created')] }));
});

check('validate_only_creates_nothing', async kit => {
  const topic = kit.name('validated');
  await kit.admin.createTopics({ topics: [newTopic(topic)], validateOnly: true, waitForLeaders: false });
  assert(!(await kit.admin.listTopics()).includes(topic));
});

check('configs_tell_value_source_and_synonyms', async kit => {
  const topic = await kit.topic('configured', 1, { 'max.message.bytes': '4242' });
  const configs = await kit.configs(ConfigResourceTypes.TOPIC, topic);
  const size = configs['max.message.bytes'];
  equal(['4242', DYNAMIC_TOPIC_CONFIG], [size.configValue, size.configSource], 'max.message.bytes');
  assert(size.configSynonyms.some(({ configName }) => configName === 'message.max.bytes'));
  const retention = configs['retention.ms'];
  equal(['604800000', DEFAULT_CONFIG], [retention.configValue, retention.configSource], 'retention.ms');
  const { controller } = await kit.admin.describeCluster();
  const broker = await kit.configs(ConfigResourceTypes.BROKER, String(controller));
  equal('1048588', broker['message.max.bytes'].configValue, 'message.max.bytes');
});

check('altered_configs_reset_what_is_not_named', async kit => {
  const topic = await kit.topic('altered', 1, { 'retention.ms': '1000', 'segment.bytes': '2000000' });
  const alter = (name, value, validateOnly = false) => {
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name, value }] };
    return kit.admin.alterConfigs({ resources: [resource], validateOnly });
  };
  await alter('retention.ms', '2000');
  await alter('retention.ms', '3000', true);
  await fails('INVALID_CONFIG', alter('no.such.config', '1'));
  const look = async () => {
    const configs = await kit.configs(ConfigResourceTypes.TOPIC, topic);
    return [configs['retention.ms'].configValue, configs['segment.bytes'].configValue];
  };
  await soon(['2000', '1073741824'], look, 'retention.ms and segment.bytes');
});

check('partitions_are_added', async kit => {
  const topic = await kit.topic('grows', 2);
  const grow = (topic, count, validateOnly = false) =>
    kit.admin.createPartitions({ topicPartitions: [{ topic, count }], validateOnly });
  await kit.send(topic, [{ value: 'before' }]);
  await grow(topic, 3, true);
  await grow(topic, 5);
  const counted = async () => (await kit.admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length;
  await soon(5, counted, 'partitions');
  await kit.send(topic, [{ value: 'after', partition: 4 }]);
  equal(['before'], texts(await kit.read(topic, 1)), 'partition 0');
  equal(['after'], texts(await kit.read(topic, 1, { partition: 4 })), 'partition 4');
  await fails('INVALID_PARTITIONS', grow(topic, 5));
  await fails('UNKNOWN_TOPIC_OR_PARTITION', grow(kit.name('unknown'), 2));
});

check('idempotent_producer_leaves_no_gap', async kit => {
  const topic = await kit.topic('idempotent', 3);
  await kit.producing(IDEMPOTENT, async producer => {
    for (let from = 0; from < 3_000; from += 60) {
      const messages = numbers(60).map(n => ({ value: String(from + Number(n)), partition: n % 3 }));
      await producer.send({ topic, messages });
    }
  });
  for (const partition of [0, 1, 2]) {
    const got = await kit.read(topic, 1_000, { partition });
    equal(numbers(1_000).map(Number), offsets(got), 'offsets');
    equal(numbers(3_000).filter(n => n % 3 === partition), texts(got), 'values');
  }
});

checkEach('acks', { none: 0, leader: 1, all: -1 }, async (kit, acks) => {
  const topic = await kit.topic('acks');
  const acknowledged = await kit.producing({}, async producer => {
    const answers = [];
    for (const value of numbers(50)) {
      answers.push(...(await producer.send({ topic, acks, messages: [{ value, partition: 0 }] })));
    }
    // Until the broker answered something later on this connection, what needs no answer may be under way.
    await producer.send({ topic, messages: [{ value: 'last', partition: 0 }] });
    return answers;
  });
  equal(acks === 0 ? [] : numbers(50), acknowledged.map(({ baseOffset }) => baseOffset), 'acknowledged offsets');
  equal([...numbers(50), 'last'], texts(await kit.read(topic, 51)), 'values');
});

checkEach('codec', { none: CompressionTypes.None, gzip: CompressionTypes.GZIP }, async (kit, compression) => {
  const topic = await kit.topic('codec');
  const sent = numbers(300).map(n => Buffer.concat([noise(700, n), Buffer.alloc(700)]));
  await kit.send(topic, sent.map(value => ({ value })), { compression });
  equal(sent, bytes(await kit.read(topic, 300)), 'values');
});

check('a_record_of_almost_max_message_bytes', async kit => {
  const topic = await kit.topic('large');
  const sent = [noise(1_048_000, 1), noise(10, 2), noise(1_048_000, 3)];
  for (const value of sent) {
    await kit.send(topic, [{ value }]);
  }
  equal(sent, bytes(await kit.read(topic, 3)), 'values');
});

check('max_message_bytes_is_honoured', async kit => {
  const large = await kit.topic('default-size');
  await fails('MESSAGE_TOO_LARGE', kit.send(large, [{ value: noise(1_048_588, 1) }]));
  const small = await kit.topic('small', 1, { 'max.message.bytes': '1000' });
  await fails('MESSAGE_TOO_LARGE', kit.send(small, [{ value: noise(1_000, 1) }]));
  const [{ baseOffset }] = await kit.send(small, [{ value: noise(900, 1) }]);
  equal('0', baseOffset, 'offset of one that fits');
});

check('keys_headers_timestamps_and_nulls_are_kept', async kit => {
  const topic = await kit.topic('kept', 1, { 'retention.ms': '-1' });
  const raw = text => Buffer.from(text);
  const sent = [
    { key: raw('k'), value: null, timestamp: String(BASE_MS), headers: { a: [raw('1'), raw('2')], ключ: raw('') } },
    { key: null, value: raw(''), timestamp: String(BASE_MS - 1), headers: {} },
    { key: raw(''), value: raw('v'), timestamp: String(BASE_MS + 1), headers: {} },
  ];
  await kit.send(topic, sent);
  const got = await kit.read(topic, 3);
  equal(sent, got.map(({ key, value, timestamp, headers }) => ({ key, value, timestamp, headers })), 'messages');
});

check('append_time_is_the_brokers', async kit => {
  const topic = await kit.topic('append-time', 1, { 'message.timestamp.type': 'LogAppendTime' });
  const before = Date.now();
  const [{ logAppendTime }] = await kit.send(topic, [{ value: 'x', timestamp: '5' }]);
  const after = Date.now();
  const [{ timestamp }] = await kit.read(topic, 1);
  assert(before <= Number(timestamp) && Number(timestamp) <= after, `${before} <= ${timestamp} <= ${after}`);
  equal(timestamp, logAppendTime, 'acknowledged timestamp');
});

check('equal_keys_go_to_one_partition', async kit => {
  const topic = await kit.topic('keyed', 8);
  const messages = numbers(400).map(n => ({ key: String(n % 40), value: n }));
  await kit.producing({}, producer => producer.send({ topic, messages }));
  const positions = numbers(8).map(p => ({ topic, partition: Number(p), offset: 0 }));
  const got = await kit.reading({}, reader => reader.readAll(positions, 400));
  const places = new Map(numbers(40).map(key => [key, new Set()]));
  got.forEach(({ partition, message }) => places.get(message.key.toString()).add(partition));
  assert([...places.values()].every(partitions => partitions.size === 1));
  assert(new Set(got.map(({ partition }) => partition)).size > 1);
});

check('offsets_are_listed_by_edge_and_by_time', async kit => {
  const topic = await kit.topic('list-offsets', 2, { 'retention.ms': '-1' });
  await kit.send(topic, [0, 50, 20].map(n => ({ value: 'x', timestamp: String(BASE_MS + n) })));
  const byPartition = listed => listed.sort((a, b) => a.partition - b.partition);
  const edges = byPartition(await kit.admin.fetchTopicOffsets(topic));
  equal([['0', '3'], ['0', '0']], edges.map(({ low, high }) => [low, high]), 'edges');
  const byTime = async time => {
    const listed = await kit.admin.fetchTopicOffsetsByTimestamp(topic, BASE_MS + time);
    return byPartition(listed).map(({ offset }) => offset);
  };
  equal(['1', '0'], await byTime(20), 'offsets for a time');
  equal(['3', '0'], await byTime(51), 'offsets for a time after the last record');
});

check('reads_from_the_middle_of_a_batch', async kit => {
  const topic = await kit.topic('middle');
  await kit.send(topic, numbers(300).map(value => ({ value })), { compression: CompressionTypes.GZIP });
  for (const offset of [150, 299, 1]) {
    equal(numbers(300).slice(offset), texts(await kit.read(topic, 300 - offset, { offset })), 'values');
  }
});

check('an_offset_out_of_range_is_told', async kit => {
  const topic = await kit.topic('range');
  await kit.send(topic, [{ value: 'x' }]);
  await fails('OFFSET_OUT_OF_RANGE', kit.read(topic, 1, { offset: 1_000 }));
});

check('a_committed_reader_reads_what_no_transaction_holds_back', async kit => {
  const topic = await kit.topic('committed');
  await kit.send(topic, numbers(500).map(value => ({ value })));
  equal(numbers(500), texts(await kit.read(topic, 500, { committed: true })), 'values');
});

check('a_waiting_reader_is_woken_by_a_record', async kit => {
  const topic = await kit.topic('wakes');
  await kit.producing({}, producer =>
    kit.reading({}, async reader => {
      for (let n = 0; n < 10; n++) {
        // A fetch may wait five minutes: only the append itself can bring this message in time.
        const waiting = reader.read(topic, 1, 0, n, 290_000);
        const early = await Promise.race([waiting, new Promise(resolve => setTimeout(resolve, 30))]);
        equal(undefined, early, 'before the record');
        await producer.send({ topic, messages: [{ value: String(n), partition: 0 }] });
        equal([String(n)], texts(await waiting), 'the record that woke it');
      }
    })
  );
});

check('small_fetch_limits_still_make_progress', async kit => {
  const topic = await kit.topic('small-fetches', 2);
  const sent = numbers(40).map(n => noise(20_000, n));
  await kit.producing({}, async producer => {
    for (const [n, value] of sent.entries()) {
      await producer.send({ topic, messages: [{ value, partition: n % 2 }] });
    }
  });
  const positions = [0, 1].map(partition => ({ topic, partition, offset: 0 }));
  const limits = { maxBytes: 1_000, maxBytesPerPartition: 1_000 };
  const got = await kit.reading(limits, reader => reader.readAll(positions, 40));
  for (const p of [0, 1]) {
    const messages = got.filter(({ partition }) => partition === p).map(({ message }) => message);
    equal(sent.filter((_, n) => n % 2 === p), bytes(messages), `values of partition ${p}`);
  }
});

check('a_long_log_is_read_in_many_fetches', async kit => {
  const topic = await kit.topic('long', 1, { 'segment.bytes': '1048576' });
  const sent = numbers(500).map(n => noise(10_000, n));
  await kit.producing({}, async producer => {
    for (let from = 0; from < 500; from += 20) {
      await producer.send({ topic, messages: sent.slice(from, from + 20).map(value => ({ value })) });
    }
  });
  equal(sent, bytes(await kit.read(topic, 500, { maxBytesPerPartition: 300_000 })), 'values');
});

check('one_reader_reads_a_hundred_partitions', async kit => {
  const topic = await kit.topic('many', 100);
  const partitions = numbers(100).map(Number);
  const sent = partitions.flatMap(partition => numbers(10).map(value => ({ partition, value })));
  await kit.send(topic, sent, { producer: IDEMPOTENT });
  const positions = partitions.map(partition => ({ topic, partition, offset: 0 }));
  const got = await kit.reading({}, reader => reader.readAll(positions, 1_000));
  for (const p of partitions) {
    const messages = got.filter(({ partition }) => partition === p).map(({ message }) => message);
    equal(numbers(10), texts(messages), `values of partition ${p}`);
  }
});

check('many_topics', async kit => {
  const topics = numbers(100).map(() => kit.name('topics'));
  await kit.admin.createTopics({ topics: topics.map(topic => newTopic(topic)) });
  const topicMessages = topics.map(topic => ({ topic, messages: [{ value: topic }] }));
  const sent = await kit.producing(IDEMPOTENT, producer => producer.sendBatch({ topicMessages }));
  equal([...topics].sort(), sent.map(({ topicName }) => topicName).sort(), 'topics acknowledged');
  equal(true, sent.every(({ baseOffset }) => baseOffset === '0'), 'first offsets');
  const positions = topics.map(topic => ({ topic, partition: 0, offset: 0 }));
  const got = await kit.reading({}, reader => reader.readAll(positions, 100));
  equal(true, got.every(({ topic, message }) => message.value.toString() === topic), 'each topic has its record');
  await kit.admin.deleteTopics({ topics });
  await soon([], () => kit.listed(topics), 'topics that were deleted');
});

check('a_topic_is_created_by_its_first_record_if_allowed', async kit => {
  const topic = kit.name('auto');
  const [{ baseOffset }] = await kit.send(topic, [{ value: 'x' }]);
  equal('0', baseOffset, 'first offset');
  equal(['x'], texts(await kit.read(topic, 1)), 'its value');
  const refused = kit.name('not-auto');
  const producer = { allowAutoTopicCreation: false };
  await fails('UNKNOWN_TOPIC_OR_PARTITION', kit.send(refused, [{ value: 'x' }], { producer }));
  assert(!(await kit.admin.listTopics()).includes(refused));
});

check('many_requests_are_in_flight', async kit => {
  const topic = await kit.topic('in-flight', 4);
  await kit.producing({}, producer => {
    const send = (value, partition) => producer.send({ topic, messages: [{ value, partition }] });
    return Promise.all(numbers(400).map(n => send(n, n % 4)));
  });
  for (const partition of [0, 1, 2, 3]) {
    const got = texts(await kit.read(topic, 100, { partition }));
    equal(numbers(400).filter(n => n % 4 === partition), got, `values of partition ${partition}`);
  }
});

main('kafkajs', Kit.connect);
