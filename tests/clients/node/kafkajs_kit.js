// One broker under test, as kafkajs sees it: its clients, topics with names of this run, and reading a partition.
'use strict';

const assert = require('node:assert/strict');
const { createHash } = require('node:crypto');
const { Kafka, Partitioners, logLevel } = require('kafkajs');
// A public consumer always joins a group. These are what it fetches and decodes with once the group gave it partitions.
const Cluster = require('kafkajs/src/cluster');
const Batch = require('kafkajs/src/consumer/batch');
const socketFactory = require('kafkajs/src/network/socketFactory');

const { PATIENCE_MS, equal } = require('./checks');

const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const MAX_WAIT_MS = 500;

class Kit {
  static async connect(bootstrap) {
    const kit = new Kit(bootstrap);
    await kit.admin.connect();
    return kit;
  }

  constructor(bootstrap) {
    this.bootstrap = bootstrap;
    this.kafka = new Kafka({
      brokers: [bootstrap],
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 20, maxRetryTime: 200, retries: 10 },
    });
    this.admin = this.kafka.admin();
    this.run = `kafkajs-${process.pid}-${Date.now().toString(36)}`;
    this.names = 0;
  }

  name(what) {
    this.names += 1;
    return `${this.run}-${what}-${this.names}`;
  }

  async topic(what, numPartitions = 1, configs = {}) {
    const topic = this.name(what);
    await this.admin.createTopics({ topics: [newTopic(topic, numPartitions, configs)] });
    return topic;
  }

  // Which of these topics are there.
  async listed(topics) {
    const all = await this.admin.listTopics();
    return topics.filter(topic => all.includes(topic));
  }

  // Calls `work` with a connected producer.
  producing(settings, work) {
    const producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings });
    return connected(producer, work);
  }

  // Sends in one request, to partition 0 where a message names none, and returns the acknowledgements.
  send(topic, messages, { producer = {}, ...request } = {}) {
    messages = messages.map(message => ({ partition: 0, ...message }));
    return this.producing(producer, client => client.send({ topic, messages, ...request }));
  }

  // Calls `work` with a connected reader.
  reading(settings, work) {
    return connected(new Reader(this, settings), work);
  }

  // The first `count` messages of a partition from `offset`.
  read(topic, count, { partition = 0, offset = 0, ...settings } = {}) {
    return this.reading(settings, reader => reader.read(topic, count, partition, offset));
  }

  // All settings of a topic or broker by name.
  async configs(type, name) {
    const { resources } = await this.admin.describeConfigs({ resources: [{ type, name }], includeSynonyms: true });
    return Object.fromEntries(resources[0].configEntries.map(entry => [entry.configName, entry]));
  }
}

// Fetches as kafkajs's consumer does, but takes the partitions from its caller instead of a group.
class Reader {
  constructor(kit, { maxBytes = 10_485_760, maxBytesPerPartition = 1_048_576, committed = false } = {}) {
    this.limits = { maxBytes, minBytes: 1, isolationLevel: committed ? READ_COMMITTED : READ_UNCOMMITTED };
    this.maxBytesPerPartition = maxBytesPerPartition;
    this.cluster = new Cluster({
      logger: kit.kafka.logger(),
      socketFactory: socketFactory(),
      brokers: [kit.bootstrap],
      connectionTimeout: 1_000,
      enforceRequestTimeout: true,
      metadataMaxAge: 300_000,
      allowAutoTopicCreation: false,
    });
  }

  async connect() {
    await this.cluster.connect();
  }

  async disconnect() {
    await this.cluster.disconnect();
  }

  async read(topic, count, partition, offset, maxWaitTime = MAX_WAIT_MS) {
    return (await this.readAll([{ topic, partition, offset }], count, maxWaitTime)).map(({ message }) => message);
  }

  // The next `count` messages of all these positions, which move on; each with its topic and partition.
  async readAll(positions, count, maxWaitTime = MAX_WAIT_MS) {
    const got = [];
    const deadline = Date.now() + PATIENCE_MS;
    while (got.length < count && Date.now() < deadline) {
      for (const { topic, partition, messages } of await this.fetch(positions, maxWaitTime)) {
        got.push(...messages.map(message => ({ topic, partition, message })));
      }
    }
    equal(count, got.length, 'messages read');
    return got;
  }

  // One fetch of one broker; moves the positions behind what came.
  async fetch(positions, maxWaitTime) {
    await this.cluster.addMultipleTargetTopics([...new Set(positions.map(({ topic }) => topic))]);
    const [{ topic, partition }] = positions;
    const [nodeId] = Object.keys(this.cluster.findLeaderForPartitions(topic, [partition]));
    const broker = await this.cluster.findBroker({ nodeId });
    const { responses } = await broker.fetch({ ...this.limits, maxWaitTime, topics: this.requested(positions) });
    return responses.flatMap(({ topicName, partitions }) =>
      partitions.map(data => {
        const position = positions.find(p => p.topic === topicName && p.partition === data.partition);
        const batch = new Batch(topicName, String(position.offset), data);
        if (!batch.isEmptyIncludingFiltered()) {
          position.offset = Number(batch.lastOffset()) + 1;
        }
        return batch;
      })
    );
  }

  requested(positions) {
    const topics = new Map(positions.map(({ topic }) => [topic, []]));
    for (const { topic, partition, offset } of positions) {
      topics.get(topic).push({ partition, fetchOffset: String(offset), maxBytes: this.maxBytesPerPartition });
    }
    return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
  }
}

async function connected(client, work) {
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.disconnect();
  }
}

function newTopic(topic, numPartitions = 1, configs = {}, replicationFactor = 1) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  return { topic, numPartitions, replicationFactor, configEntries };
}

// The call must fail with this error of the protocol.
async function fails(type, promise) {
  const error = await promise.then(
    () => null,
    e => e
  );
  if (error === null) {
    assert.fail(`expected ${type}, but it succeeded`);
  }
  const types = (error.errors ?? [error.cause ?? error]).map(e => e.type);
  equal([type], [...new Set(types)], `the error of ${error}`);
}

// Bytes that no codec shrinks to nothing, the same for the same seed.
function noise(length, seed) {
  return createHash('shake256', { outputLength: length }).update(String(seed)).digest();
}

function numbers(end) {
  return Array.from({ length: end }, (_, n) => String(n));
}

function bytes(messages) {
  return messages.map(({ value }) => value);
}

function texts(messages) {
  return messages.map(({ value }) => value.toString());
}

function offsets(messages) {
  return messages.map(({ offset }) => Number(offset));
}

module.exports = { Kit, bytes, fails, newTopic, noise, numbers, offsets, texts };
