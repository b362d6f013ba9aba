package ringlog;

import static ringlog.Checks.equal;
import static ringlog.Checks.that;
import static ringlog.DataChecks.number;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.TopicExistsException;

/** Topics that come and go: many of them, by themselves, and again under the same name. */
final class TopicLifeChecks {
    private static final int MANY = 1_000;

    private final Kit kit;

    TopicLifeChecks(Kit kit) {
        this.kit = kit;
    }

    void addTo(Checks checks) {
        checks.add("a_topic_is_created_by_its_first_record", this::autoCreate);
        checks.add("a_producer_goes_on_after_its_topic_is_created_again", this::producerSurvives);
        checks.add("a_consumer_goes_on_after_its_topic_is_created_again", this::consumerSurvives);
        checks.add("a_topic_created_again_is_empty_and_has_another_id", this::createdAgain);
        checks.add("a_thousand_topics", this::manyTopics);
    }

    private void autoCreate() throws Exception {
        String topic = kit.name("auto");
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            equal(0L, producer.send(new ProducerRecord<>(topic, number(1))).get().offset(), "first offset");
        }
        equal(1, number(kit.read(topic, 0, 1).get(0).value()), "its value");
    }

    private void createdAgain() throws Exception {
        String topic = kit.topic("again", 2);
        Uuid lastId = id(topic);
        for (int round = 0; round < 5; round++) {
            try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
                for (int p = 0; p < 2; p++) {
                    long offset = producer.send(new ProducerRecord<>(topic, p, null, number(round))).get().offset();
                    equal(0L, offset, "the first offset of round " + round);
                }
            }
            equal(round, number(kit.read(topic, 1, 1).get(0).value()), "the record of round " + round);
            again(topic, 2);
            Uuid newId = id(topic);
            that(!newId.equals(lastId), "another id");
            lastId = newId;
        }
    }

    private void producerSurvives() throws Exception {
        String topic = kit.topic("producer-survives", 1);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("retry.backoff.ms", 20)) {
            for (int n = 0; n < 10; n++) {
                producer.send(new ProducerRecord<>(topic, 0, null, number(n))).get();
            }
            again(topic, 1);
            sendUntilAccepted(producer, topic);
            for (int n = 0; n < 10; n++) {
                producer.send(new ProducerRecord<>(topic, 0, null, number(100 + n))).get();
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            TopicPartition tp = new TopicPartition(topic, 0);
            int end = consumer.endOffsets(List.of(tp)).get(tp).intValue();
            that(end >= 11, "records after the topic came back");
            List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, end);
            for (int n = 0; n < 10; n++) {
                equal(100 + n, number(records.get(end - 10 + n).value()), "the newest records");
            }
        }
    }

    /** The first sends may still meet the topic that is gone; the producer must find the new one by itself. */
    private static void sendUntilAccepted(KafkaProducer<byte[], byte[]> producer, String topic) throws Exception {
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (true) {
            try {
                producer.send(new ProducerRecord<>(topic, 0, null, number(0))).get();
                return;
            } catch (ExecutionException e) {
                if (System.nanoTime() > deadline) {
                    throw e;
                }
            }
        }
    }

    private void consumerSurvives() throws Exception {
        String topic = kit.topic("consumer-survives", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer =
                kit.consumer("auto.offset.reset", "earliest", "metadata.max.age.ms", 1_000, "retry.backoff.ms", 20)) {
            consumer.assign(List.of(tp));
            consumer.seekToBeginning(List.of(tp));
            send(topic, 0, 50);
            equal(49, number(Kit.take(consumer, 50).get(49).value()), "last record of the first life");
            again(topic, 1);
            send(topic, 1_000, 5);
            List<ConsumerRecord<byte[], byte[]>> records = Kit.take(consumer, 5);
            for (int n = 0; n < 5; n++) {
                equal((long) n, records.get(n).offset(), "offset in the second life");
                equal(1_000 + n, number(records.get(n).value()), "value in the second life");
            }
        }
    }

    private void send(String topic, int from, int count) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (int n = from; n < from + count; n++) {
                acks.add(producer.send(new ProducerRecord<>(topic, 0, null, number(n))));
            }
            for (Future<RecordMetadata> ack : acks) {
                ack.get();
            }
        }
    }

    /** Deletes a topic and creates it again at once, as long as the old one's name is not free yet. */
    private void again(String topic, int partitions) throws Exception {
        kit.admin.deleteTopics(List.of(topic)).all().get();
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (true) {
            try {
                kit.admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get();
                return;
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof TopicExistsException) || System.nanoTime() > deadline) {
                    throw e;
                }
                Thread.sleep(10);
            }
        }
    }

    private Uuid id(String topic) throws Exception {
        return kit.admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId();
    }

    private void manyTopics() throws Exception {
        List<String> names = new ArrayList<>();
        List<NewTopic> topics = new ArrayList<>();
        for (int i = 0; i < MANY; i++) {
            names.add(kit.name("thousand"));
            topics.add(new NewTopic(names.get(i), 1, (short) 1));
        }
        kit.admin.createTopics(topics).all().get();
        Set<String> listed = kit.admin.listTopics().names().get();
        that(listed.containsAll(names), "all are listed");
        Set<Uuid> ids = new HashSet<>();
        kit.admin.describeTopics(names).allTopicNames().get().values().forEach(d -> ids.add(d.topicId()));
        equal(MANY, ids.size(), "different ids");

        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 5)) {
            List<Future<RecordMetadata>> acks = new ArrayList<>();
            for (int i = 0; i < MANY; i++) {
                acks.add(producer.send(new ProducerRecord<>(names.get(i), 0, null, number(i))));
            }
            for (Future<RecordMetadata> ack : acks) {
                equal(0L, ack.get().offset(), "first offset");
            }
        }
        List<TopicPartition> all = names.stream().map(name -> new TopicPartition(name, 0)).toList();
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (ConsumerRecord<byte[], byte[]> record : Kit.take(consumer, MANY)) {
                equal(names.get(number(record.value())), record.topic(), "the topic of record");
            }
            that(consumer.poll(Duration.ofMillis(10)).isEmpty(), "each record once");
        }
        kit.admin.deleteTopics(names).all().get();
        Set<String> left = kit.admin.listTopics().names().get();
        that(names.stream().noneMatch(left::contains), "all are deleted");
    }
}
