package ringlog;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** One broker under test: its clients, topics with names of this run, and reading a partition back. */
final class Kit implements AutoCloseable {
    /** Nothing here takes this long on a working broker; it turns a hang into a failure. */
    static final Duration PATIENCE = Duration.ofSeconds(60);

    final String bootstrap;
    final Admin admin;
    private final String run = Long.toString(System.nanoTime(), 36);
    private int topics;

    Kit(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 60_000));
    }

    String name(String what) {
        return "java-" + run + "-" + what + "-" + topics++;
    }

    String topic(String what, int partitions, Map<String, String> configs) throws Exception {
        String name = name(what);
        admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all().get();
        return name;
    }

    String topic(String what, int partitions) throws Exception {
        return topic(what, partitions, Map.of());
    }

    /** Whether the broker knows a topic of this name and id, not only one of this name. */
    boolean isThere(String name, Uuid id) throws Exception {
        return admin.listTopics().namesToListings().get().values().stream()
                .anyMatch(topic -> topic.name().equals(name) && topic.topicId().equals(id));
    }

    KafkaProducer<byte[], byte[]> producer(Object... settings) {
        Map<String, Object> all = settings(settings);
        all.putIfAbsent("delivery.timeout.ms", (int) PATIENCE.toMillis());
        all.putIfAbsent("request.timeout.ms", 10_000);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A consumer without a group: partitions are assigned by hand. */
    KafkaConsumer<byte[], byte[]> consumer(Object... settings) {
        Map<String, Object> all = settings(settings);
        all.putIfAbsent("auto.offset.reset", "none");
        all.putIfAbsent("enable.auto.commit", false);
        return new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** The first `count` records of a partition, in offset order. */
    List<ConsumerRecord<byte[], byte[]>> read(String topic, int partition, int count, Object... settings) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
            TopicPartition tp = new TopicPartition(topic, partition);
            consumer.assign(List.of(tp));
            consumer.seekToBeginning(List.of(tp));
            return take(consumer, count);
        }
    }

    static List<ConsumerRecord<byte[], byte[]>> take(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (got.size() < count && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(500)).forEach(got::add);
        }
        Checks.equal(count, got.size(), "records read");
        return got;
    }

    static Collection<TopicPartition> partitions(String topic, int count) {
        return IntStream.range(0, count).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    /** `length` bytes that no codec shrinks to nothing, the same for the same seed. */
    static byte[] noise(int length, long seed) {
        byte[] bytes = new byte[length];
        new java.util.Random(seed).nextBytes(bytes);
        return bytes;
    }

    private Map<String, Object> settings(Object... pairs) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < pairs.length; i += 2) {
            all.put((String) pairs[i], pairs[i + 1]);
        }
        return all;
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(5));
    }
}
