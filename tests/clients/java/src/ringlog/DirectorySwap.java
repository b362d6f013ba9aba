package ringlog;

import static ringlog.Checks.equal;

import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;

/**
 * Ringlog and Kafka on one data directory, one after the other: each finds all that the other acknowledged, and goes on.
 * Arguments: RINGLOG-BINARY [PART-OF-A-CHECK'S-NAME].
 */
public final class DirectorySwap {
    private static final TopicPartition KEPT_ALIVE = new TopicPartition("kept-alive", 0);
    private static final TopicPartition SHORTENED = new TopicPartition("plain", 1);

    private final String ringlog;

    private DirectorySwap(String ringlog) {
        this.ringlog = ringlog;
    }

    public static void main(String[] args) {
        DirectorySwap swap = new DirectorySwap(args[0]);
        Checks checks = new Checks("swap");
        checks.add("kafka_and_ringlog_again_go_on_with_what_ringlog_began", swap::fromRinglog);
        checks.add("ringlog_and_kafka_again_go_on_with_what_kafka_began", swap::fromKafka);
        System.exit(checks.run(args.length > 1 ? args[1] : null));
    }

    private void fromRinglog() throws Exception {
        try (SharedDirectory directory = new SharedDirectory(ringlog);
                Kit kit = new Kit(directory.bootstrap);
                KafkaProducer<byte[], byte[]> keptAlive = kit.producer()) {
            Ledger ledger = new Ledger();
            Load load = new Load(ledger);
            try (ServerProcess server = directory.startRinglog()) {
                load.createTopics(kit);
                load.createTwice(kit);
                ledger.create(kit, new NewTopic("durable", 1, (short) 1).configs(Map.of("ringlog.ack", "durable")));
                load.produce(kit);
                load.send(keptAlive, "durable", 1, 20);
                load.send(keptAlive, "kept-alive", 1, 40);
                ledger.check(kit);
                server.stop();
            }
            directory.checkFiles();
            try (ServerProcess server = directory.startKafka()) {
                ledger.onlyKafkasSettings();
                ledger.check(kit);
                equal(List.of(39), lastSequences(kit), "Kafka's last sequences of " + KEPT_ALIVE);
                load.produce(kit);
                load.transact(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                server.stop();
            }
            try (ServerProcess server = directory.startRinglog()) {
                ledger.check(kit);
                load.produce(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                ledger.check(kit);
                server.stop();
            }
            directory.checkFiles();
        }
    }

    private void fromKafka() throws Exception {
        try (SharedDirectory directory = new SharedDirectory(ringlog);
                Kit kit = new Kit(directory.bootstrap);
                KafkaProducer<byte[], byte[]> keptAlive = kit.producer()) {
            Ledger ledger = new Ledger();
            Load load = new Load(ledger);
            directory.formatAsKafka();
            try (ServerProcess server = directory.startKafka()) {
                load.createTopics(kit);
                load.createTwice(kit);
                load.produce(kit);
                load.transact(kit);
                load.leaveTransactionOpen(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                commitOffset(kit);
                kit.admin.deleteRecords(Map.of(SHORTENED, RecordsToDelete.beforeOffset(77))).all().get();
                ledger.startsAt(SHORTENED, 77);
                server.stop();
            }
            try (ServerProcess server = directory.startRinglog()) {
                ledger.check(kit);
                load.produce(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                ledger.check(kit);
                server.stop();
            }
            directory.checkFiles();
            try (ServerProcess server = directory.startKafka()) {
                ledger.check(kit);
                equal(List.of(79), lastSequences(kit), "Kafka's last sequences of " + KEPT_ALIVE);
                equal(33L, kit.admin.listConsumerGroupOffsets("swap").partitionsToOffsetAndMetadata().get().get(KEPT_ALIVE).offset(),
                        "committed offset");
                load.produce(kit);
                load.transact(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                ledger.check(kit);
                server.kill();
            }
            try (ServerProcess server = directory.startRinglog()) {
                ledger.check(kit);
                load.produce(kit);
                load.send(keptAlive, "kept-alive", 1, 40);
                server.stop();
            }
        }
    }

    private static List<Integer> lastSequences(Kit kit) throws Exception {
        return kit.admin.describeProducers(List.of(KEPT_ALIVE)).partitionResult(KEPT_ALIVE).get().activeProducers().stream()
                .map(ProducerState::lastSequence)
                .toList();
    }

    private static void commitOffset(Kit kit) {
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer("group.id", "swap")) {
            consumer.assign(List.of(KEPT_ALIVE));
            consumer.commitSync(Map.of(KEPT_ALIVE, new OffsetAndMetadata(33)), Kit.PATIENCE);
        }
    }
}
