package ringlog;

import static ringlog.DataChecks.number;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.record.TimestampType;

/** Topics of several kinds, and records for each in rounds, all of which go into the ledger. */
final class Load {
    /** Segments roll within a round: the smallest that Kafka lets a topic have. */
    private static final Map<String, String> SMALL_SEGMENTS = Map.of("segment.bytes", "1048576", "index.interval.bytes", "1024");

    private static final Map<String, Map<String, String>> TOPICS = Map.of(
            "plain", SMALL_SEGMENTS,
            "codecs", SMALL_SEGMENTS,
            // Compacted only after the test, so that every record can be compared.
            "compacted", Map.of("cleanup.policy", "compact", "min.compaction.lag.ms", "86400000", "segment.bytes", "1048576"),
            "append-time", Map.of("message.timestamp.type", "LogAppendTime"),
            "set", Map.of("retention.ms", "-1", "max.message.bytes", "2000000", "min.insync.replicas", "1", "flush.messages", "1"),
            "kept-alive", Map.of());

    private static final int PLAIN_PARTITIONS = 3;

    private final Ledger ledger;
    private int rounds;

    Load(Ledger ledger) {
        this.ledger = ledger;
    }

    void createTopics(Kit kit) throws Exception {
        for (String name : TOPICS.keySet()) {
            int partitions = name.equals("plain") ? PLAIN_PARTITIONS : 1;
            ledger.create(kit, new NewTopic(name, partitions, (short) 1).configs(TOPICS.get(name)));
        }
    }

    /** A topic that is deleted, and another of its name: the files of the first must not come back. */
    void createTwice(Kit kit) throws Exception {
        createAgain(kit, 2);
        ledger.delete(kit, "again");
        createAgain(kit, 1);
    }

    private void createAgain(Kit kit, int partitions) throws Exception {
        ledger.create(kit, new NewTopic("again", partitions, (short) 1));
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            send(producer, "again", partitions, partitions * 10);
        }
    }

    /** The next round: producers of each kind that write to all topics but `kept-alive`. */
    void produce(Kit kit) throws Exception {
        rounds++;
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("acks", "1", "enable.idempotence", false)) {
            send(producer, "plain", PLAIN_PARTITIONS, 3_600);
        }
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            try (KafkaProducer<byte[], byte[]> producer = kit.producer("compression.type", codec, "linger.ms", 5)) {
                send(producer, "codecs", 1, 500);
            }
        }
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 5)) {
            send(producer, "compacted", 1, 1_500);
            send(producer, "append-time", 1, 200);
            send(producer, "set", 1, 20);
        }
    }

    void send(KafkaProducer<byte[], byte[]> producer, String topic, int partitions, int count) throws Exception {
        TimestampType type = topic.equals("append-time") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        for (Sent sent : sendAll(producer, topic, partitions, count)) {
            ledger.acknowledged(sent.record, sent.acknowledged.get(), type);
        }
    }

    /** A transaction that nobody ends: the next producer of its id, in {@link #transact}, has it aborted. */
    void leaveTransactionOpen(Kit kit) throws Exception {
        ledger.create(kit, new NewTopic("open", 1, (short) 1));
        KafkaProducer<byte[], byte[]> producer = kit.producer("transactional.id", "swap");
        try {
            producer.initTransactions();
            producer.beginTransaction();
            abandon(producer, "open");
        } finally {
            // At once, so that it doesn't abort.
            producer.close(Duration.ZERO);
        }
    }

    /** One committed transaction and one that is aborted. */
    void transact(Kit kit) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("transactional.id", "swap", "linger.ms", 5)) {
            producer.initTransactions();
            producer.beginTransaction();
            send(producer, "codecs", 1, 50);
            producer.commitTransaction();
            producer.beginTransaction();
            abandon(producer, "codecs");
            producer.abortTransaction();
        }
    }

    private void abandon(KafkaProducer<byte[], byte[]> producer, String topic) throws Exception {
        List<Sent> all = sendAll(producer, topic, 1, 50);
        producer.flush();
        for (Sent sent : all) {
            ledger.aborted(sent.record, sent.acknowledged.get());
        }
    }

    private record Sent(ProducerRecord<byte[], byte[]> record, Future<RecordMetadata> acknowledged) {}

    private List<Sent> sendAll(KafkaProducer<byte[], byte[]> producer, String topic, int partitions, int count) {
        List<Sent> all = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            ProducerRecord<byte[], byte[]> record = record(topic, n % partitions, n);
            all.add(new Sent(record, producer.send(record)));
        }
        return all;
    }

    /** Keys that come back, values of a KiB that codecs shrink by half, some of both null, headers on every seventh; times go back too. */
    private ProducerRecord<byte[], byte[]> record(String topic, int partition, int n) {
        byte[] key = n % 5 == 0 && !topic.equals("compacted") ? null : number(n % 300);
        byte[] value = n % 11 == 0 ? null : Arrays.copyOf(Kit.noise(512, rounds * 100_000L + n), 1_024);
        long time = System.currentTimeMillis() - (n * 7919L) % 1_000;
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, partition, time, key, value);
        if (n % 7 == 0) {
            record.headers().add("round", number(rounds)).add("nothing", null).add("round", "again".getBytes(StandardCharsets.UTF_8));
        }
        return record;
    }
}
