package ringlog;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** What one broker after the other acknowledged. Each must tell the same, whoever wrote it. */
final class Ledger {
    /** All of a record but its place; of its contents a digest. */
    private record Entry(long timestamp, TimestampType type, String digest) {}

    private record Topic(Uuid id, int partitions, Map<String, String> configs) {
        Topic withKafkasSettings() {
            Map<String, String> kafkas = new HashMap<>(configs);
            kafkas.keySet().removeIf(name -> name.startsWith("ringlog."));
            return new Topic(id, partitions, kafkas);
        }
    }

    private final Map<TopicPartition, TreeMap<Long, Entry>> records = new HashMap<>();
    private final Map<TopicPartition, TreeMap<Long, Entry>> aborted = new HashMap<>();
    private final Map<TopicPartition, Long> starts = new HashMap<>();
    private final Map<String, Topic> topics = new HashMap<>();

    /** Creates it and waits until the broker knows: Kafka's answer comes before. */
    void create(Kit kit, NewTopic wanted) throws Exception {
        String name = wanted.name();
        CreateTopicsResult made = kit.admin.createTopics(List.of(wanted));
        Topic topic = new Topic(made.topicId(name).get(), made.numPartitions(name).get(), own(made.config(name).get().entries()));
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (!kit.isThere(name, topic.id)) {
            Checks.that(System.nanoTime() < deadline, name + " is created but not there");
            Thread.sleep(10);
        }
        topics.put(name, topic);
    }

    void delete(Kit kit, String name) throws Exception {
        kit.admin.deleteTopics(List.of(name)).all().get();
        topics.remove(name);
        records.keySet().removeIf(partition -> partition.topic().equals(name));
    }

    void acknowledged(ProducerRecord<byte[], byte[]> record, RecordMetadata metadata, TimestampType type) {
        add(records, record, metadata, type);
    }

    /** Acknowledged in a transaction that is aborted, or will be. */
    void aborted(ProducerRecord<byte[], byte[]> record, RecordMetadata metadata) {
        add(aborted, record, metadata, TimestampType.CREATE_TIME);
    }

    /** Records before `offset` were deleted. */
    void startsAt(TopicPartition partition, long offset) {
        starts.put(partition, offset);
        records.get(partition).headMap(offset).clear();
    }

    /** Kafka drops every topic's setting that isn't its own, for good (KAFKA-19851). */
    void onlyKafkasSettings() {
        topics.replaceAll((name, topic) -> topic.withKafkasSettings());
    }

    /** The broker has these topics and no others, with their ids and settings, and these records, at their offsets. */
    void check(Kit kit) throws Exception {
        equal(topics, describe(kit, kit.admin.listTopics().names().get()), "topic");
        for (IsolationLevel isolation : IsolationLevel.values()) {
            checkRecords(kit, isolation);
        }
    }

    private void checkRecords(Kit kit, IsolationLevel isolation) {
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer("isolation.level", isolation.toString(), "max.poll.records", 5_000)) {
            Collection<TopicPartition> partitions = partitions();
            Map<TopicPartition, Long> begin = new HashMap<>();
            partitions.forEach(partition -> begin.put(partition, starts.getOrDefault(partition, 0L)));
            equal(begin, consumer.beginningOffsets(partitions, Kit.PATIENCE), "start of");
            Map<TopicPartition, TreeMap<Long, Entry>> found = readToTheEnd(consumer, partitions);
            for (TopicPartition partition : partitions) {
                equal(expected(partition, isolation), found.get(partition), isolation + " of " + partition + ", offset");
            }
        }
    }

    private void add(
            Map<TopicPartition, TreeMap<Long, Entry>> to,
            ProducerRecord<byte[], byte[]> record,
            RecordMetadata metadata,
            TimestampType type) {
        TopicPartition partition = new TopicPartition(metadata.topic(), metadata.partition());
        Entry entry = new Entry(metadata.timestamp(), type, digest(record.key(), record.value(), record.headers()));
        Entry before = to.computeIfAbsent(partition, any -> new TreeMap<>()).put(metadata.offset(), entry);
        Checks.that(before == null, partition + " acknowledged offset " + metadata.offset() + " twice");
    }

    private Collection<TopicPartition> partitions() {
        return topics.entrySet().stream().flatMap(topic -> Kit.partitions(topic.getKey(), topic.getValue().partitions).stream()).toList();
    }

    private Map<Long, Entry> expected(TopicPartition partition, IsolationLevel isolation) {
        TreeMap<Long, Entry> expected = new TreeMap<>(records.getOrDefault(partition, new TreeMap<>()));
        if (isolation == IsolationLevel.READ_UNCOMMITTED) {
            expected.putAll(aborted.getOrDefault(partition, new TreeMap<>()));
        }
        return expected;
    }

    private static Map<TopicPartition, TreeMap<Long, Entry>> readToTheEnd(
            KafkaConsumer<byte[], byte[]> consumer, Collection<TopicPartition> partitions) {
        Map<TopicPartition, TreeMap<Long, Entry>> found = new HashMap<>();
        partitions.forEach(partition -> found.put(partition, new TreeMap<>()));
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions, Kit.PATIENCE);
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
            Checks.that(System.nanoTime() < deadline, "reads come to no end");
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                Entry entry = new Entry(record.timestamp(), record.timestampType(), digest(record.key(), record.value(), record.headers()));
                found.get(new TopicPartition(record.topic(), record.partition())).put(record.offset(), entry);
            }
        }
        return found;
    }

    private static Map<String, Topic> describe(Kit kit, Collection<String> names) throws Exception {
        List<ConfigResource> resources = names.stream().map(name -> new ConfigResource(ConfigResource.Type.TOPIC, name)).toList();
        Map<String, TopicDescription> described = kit.admin.describeTopics(names).allTopicNames().get();
        Map<String, Topic> topics = new HashMap<>();
        kit.admin.describeConfigs(resources).all().get().forEach((resource, config) -> {
            TopicDescription topic = described.get(resource.name());
            topics.put(resource.name(), new Topic(topic.topicId(), topic.partitions().size(), own(config.entries())));
        });
        return topics;
    }

    private static Map<String, String> own(Collection<ConfigEntry> entries) {
        return entries.stream()
                .filter(entry -> entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                .collect(Collectors.toMap(ConfigEntry::name, ConfigEntry::value));
    }

    private static String digest(byte[] key, byte[] value, Iterable<Header> headers) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            add(digest, key);
            add(digest, value);
            for (Header header : headers) {
                add(digest, header.key().getBytes(java.nio.charset.StandardCharsets.UTF_8));
                add(digest, header.value());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The length goes first, so that nothing can move from one field to the next; null has a length of its own. */
    private static void add(MessageDigest digest, byte[] bytes) {
        int length = bytes == null ? -1 : bytes.length;
        digest.update(java.nio.ByteBuffer.allocate(4).putInt(length).flip());
        if (bytes != null) {
            digest.update(bytes);
        }
    }

    /** Names the first key at which the maps differ, not all that is in them. */
    private static <K, V> void equal(Map<K, V> expected, Map<K, V> found, String what) {
        for (K key : expected.keySet()) {
            Checks.equal(expected.get(key), found.get(key), what + " " + key);
        }
        for (K key : found.keySet()) {
            Checks.that(expected.containsKey(key), what + " " + key + ": nobody expects " + found.get(key));
        }
    }
}
