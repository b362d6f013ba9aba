package ringlog;

import static ringlog.Checks.equal;
import static ringlog.Checks.fails;
import static ringlog.Checks.that;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;

/** Records in and out: each check produces to a topic of its own and reads it back. */
final class DataChecks {
    private static final int LARGE = 900 * 1024;

    private final Kit kit;

    DataChecks(Kit kit) {
        this.kit = kit;
    }

    void addTo(Checks checks) {
        checks.add("default_producer_is_idempotent_and_offsets_have_no_gap", this::idempotentByDefault);
        for (String acks : List.of("0", "1", "all")) {
            checks.add("acks_" + acks, () -> acks(acks));
        }
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.add("codec_" + codec, () -> codec(codec));
        }
        checks.add("a_record_of_900_KiB", this::large);
        checks.add("max_message_bytes_of_a_topic_holds_for_it_alone", this::tooLarge);
        checks.add("headers_keep_order_duplicates_and_nulls", this::headers);
        checks.add("null_and_empty_keys_and_values_stay_apart", this::nulls);
        checks.add("create_time_is_kept", this::createTime);
        checks.add("append_time_is_the_brokers", this::appendTime);
        checks.add("timestamps_too_far_ahead_are_refused", this::farAhead);
        checks.add("list_offsets_earliest_latest_max_timestamp_and_by_time", this::listOffsets);
        checks.add("offsets_for_times_of_a_consumer", this::offsetsForTimes);
        checks.add("seek_to_the_middle_of_a_batch", this::seek);
        checks.add("an_offset_out_of_range_is_told", this::outOfRange);
        checks.add("a_waiting_consumer_is_woken_by_a_record", this::wakes);
        checks.add("small_fetch_limits_still_make_progress", this::smallFetches);
        checks.add("read_committed_sees_plain_records", this::readCommitted);
        checks.add("several_producers_keep_each_ones_order", this::severalProducers);
        checks.add("one_consumer_reads_many_partitions", this::manyPartitions);
    }

    private void idempotentByDefault() throws Exception {
        String topic = kit.topic("defaults", 3);
        int perPartition = 2_000;
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 1)) {
            for (int n = 0; n < perPartition; n++) {
                for (int p = 0; p < 3; p++) {
                    acks.add(producer.send(new ProducerRecord<>(topic, p, number(p), number(n))));
                }
            }
        }
        for (int i = 0; i < acks.size(); i++) {
            equal((long) (i / 3), acks.get(i).get().offset(), "acknowledged offset");
        }
        for (int p = 0; p < 3; p++) {
            List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, p, perPartition);
            for (int n = 0; n < perPartition; n++) {
                equal((long) n, records.get(n).offset(), "offset");
                equal(n, number(records.get(n).value()), "value");
                equal(p, number(records.get(n).key()), "key");
            }
        }
    }

    private void acks(String acks) throws Exception {
        String topic = kit.topic("acks", 1);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("acks", acks, "enable.idempotence", acks.equals("all"))) {
            for (int n = 0; n < 100; n++) {
                long offset = producer.send(new ProducerRecord<>(topic, number(n))).get().offset();
                equal(acks.equals("0") ? -1L : n, offset, "acknowledged offset");
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, 100);
        for (int n = 0; n < 100; n++) {
            equal(n, number(records.get(n).value()), "value");
        }
    }

    private void codec(String codec) throws Exception {
        String topic = kit.topic("codec", 1);
        int count = 500;
        // Half noise, half zeros: every codec shrinks it, none to nothing.
        try (KafkaProducer<byte[], byte[]> producer =
                kit.producer("compression.type", codec, "linger.ms", 20, "batch.size", 200_000)) {
            for (int n = 0; n < count; n++) {
                producer.send(new ProducerRecord<>(topic, number(n), Arrays.copyOf(Kit.noise(700, n), 1_400)));
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, count);
        for (int n = 0; n < count; n++) {
            equal((long) n, records.get(n).offset(), "offset");
            equal(n, number(records.get(n).key()), "key");
            that(Arrays.equals(Arrays.copyOf(Kit.noise(700, n), 1_400), records.get(n).value()), "value of " + n);
        }
    }

    private void large() throws Exception {
        String topic = kit.topic("large", 1);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            for (int n = 0; n < 5; n++) {
                producer.send(new ProducerRecord<>(topic, number(n), Kit.noise(LARGE, n))).get();
                producer.send(new ProducerRecord<>(topic, number(n), number(n))).get();
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, 10);
        for (int n = 0; n < 5; n++) {
            that(Arrays.equals(Kit.noise(LARGE, n), records.get(2 * n).value()), "large value " + n);
            equal(n, number(records.get(2 * n + 1).value()), "small value");
        }
    }

    private void tooLarge() throws Exception {
        String small = kit.topic("small", 1, Map.of("max.message.bytes", "1000"));
        String wide = kit.topic("wide", 1, Map.of("max.message.bytes", "3000000"));
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("max.request.size", 5_000_000)) {
            producer.send(new ProducerRecord<>(small, Kit.noise(500, 1))).get();
            fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(small, Kit.noise(2_000, 2))).get());
            producer.send(new ProducerRecord<>(wide, Kit.noise(2_500_000, 3))).get();
            fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(wide, Kit.noise(3_100_000, 4))).get());
        }
        equal(500, kit.read(small, 0, 1).get(0).value().length, "the record that fitted");
        that(Arrays.equals(Kit.noise(2_500_000, 3), kit.read(wide, 0, 1).get(0).value()), "the wide record");
    }

    private void headers() throws Exception {
        String topic = kit.topic("headers", 1);
        RecordHeaders sent = new RecordHeaders();
        sent.add("a", new byte[] {1, 2, 3});
        sent.add("empty", new byte[0]);
        sent.add("null", null);
        sent.add("a", "second".getBytes(StandardCharsets.UTF_8));
        sent.add("ключ", Kit.noise(1_000, 5));
        sent.add("", new byte[] {9});
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, number(1), number(2), sent)).get();
            producer.send(new ProducerRecord<>(topic, 0, number(3), number(4))).get();
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, 2);
        Header[] got = records.get(0).headers().toArray();
        Header[] wanted = sent.toArray();
        equal(wanted.length, got.length, "headers");
        for (int i = 0; i < wanted.length; i++) {
            equal(wanted[i].key(), got[i].key(), "header key " + i);
            that(Arrays.equals(wanted[i].value(), got[i].value()), "header value " + i);
        }
        equal(0, records.get(1).headers().toArray().length, "headers of a record without");
    }

    private void nulls() throws Exception {
        String topic = kit.topic("nulls", 1);
        byte[][][] pairs = {{null, null}, {null, new byte[0]}, {new byte[0], null}, {new byte[0], new byte[0]},
            {number(1), null}, {null, number(1)}};
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            for (byte[][] pair : pairs) {
                producer.send(new ProducerRecord<>(topic, 0, pair[0], pair[1])).get();
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, pairs.length);
        for (int i = 0; i < pairs.length; i++) {
            that(Arrays.equals(pairs[i][0], records.get(i).key()), "key of pair " + i);
            that(Arrays.equals(pairs[i][1], records.get(i).value()), "value of pair " + i);
        }
    }

    private void createTime() throws Exception {
        String topic = kit.topic("create-time", 1, Map.of("retention.ms", "-1"));
        long[] times = {1_703_462_400_000L, 1_703_462_399_000L, 0L, 1_703_462_400_001L};
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 50)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (long time : times) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, time, null, number(1))));
            }
            for (int i = 0; i < times.length; i++) {
                equal(times[i], sent.get(i).get().timestamp(), "acknowledged timestamp");
            }
        }
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, times.length);
        for (int i = 0; i < times.length; i++) {
            equal(times[i], records.get(i).timestamp(), "timestamp");
            equal(TimestampType.CREATE_TIME, records.get(i).timestampType(), "timestamp type");
        }
    }

    private void appendTime() throws Exception {
        String topic = kit.topic("append-time", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        long before = System.currentTimeMillis();
        List<Long> acknowledged = new ArrayList<>();
        for (String codec : List.of("none", "gzip", "zstd")) {
            try (KafkaProducer<byte[], byte[]> producer = kit.producer("compression.type", codec)) {
                acknowledged.add(producer.send(new ProducerRecord<>(topic, 0, 5L, null, number(1))).get().timestamp());
            }
        }
        long after = System.currentTimeMillis();
        List<ConsumerRecord<byte[], byte[]>> records = kit.read(topic, 0, 3);
        for (int i = 0; i < 3; i++) {
            equal(TimestampType.LOG_APPEND_TIME, records.get(i).timestampType(), "timestamp type");
            equal(acknowledged.get(i), records.get(i).timestamp(), "acknowledged and read timestamp");
            that(before <= records.get(i).timestamp() && records.get(i).timestamp() <= after, "the append's time");
        }
    }

    private void farAhead() throws Exception {
        String topic = kit.topic("ahead", 1, Map.of("message.timestamp.after.max.ms", "60000"));
        long now = System.currentTimeMillis();
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, now, null, number(1))).get();
            fails(InvalidTimestampException.class,
                    () -> producer.send(new ProducerRecord<>(topic, 0, now + 3_600_000, null, number(2))).get());
        }
        kit.read(topic, 0, 1);
    }

    private void listOffsets() throws Exception {
        String topic = kit.topic("list-offsets", 1, Map.of("retention.ms", "-1"));
        TopicPartition tp = new TopicPartition(topic, 0);
        equal(0L, offset(tp, OffsetSpec.earliest()).offset(), "earliest of an empty partition");
        equal(0L, offset(tp, OffsetSpec.latest()).offset(), "latest of an empty partition");
        equal(-1L, offset(tp, OffsetSpec.maxTimestamp()).offset(), "max timestamp of an empty partition");
        long base = 1_700_000_000_000L;
        long[] times = {base, base + 10, base + 30, base + 20, base + 40, base + 40};
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            for (long time : times) {
                producer.send(new ProducerRecord<>(topic, 0, time, null, number(1))).get();
            }
        }
        equal(0L, offset(tp, OffsetSpec.earliest()).offset(), "earliest");
        equal(6L, offset(tp, OffsetSpec.latest()).offset(), "latest");
        equal(4L, offset(tp, OffsetSpec.maxTimestamp()).offset(), "max timestamp: the first that has it");
        equal(base + 40, offset(tp, OffsetSpec.maxTimestamp()).timestamp(), "the max timestamp");
        equal(0L, offset(tp, OffsetSpec.forTimestamp(0)).offset(), "by a time before all");
        equal(1L, offset(tp, OffsetSpec.forTimestamp(base + 1)).offset(), "by a time between");
        equal(2L, offset(tp, OffsetSpec.forTimestamp(base + 15)).offset(), "by a time that falls back later");
        equal(base + 30, offset(tp, OffsetSpec.forTimestamp(base + 15)).timestamp(), "its timestamp");
        equal(-1L, offset(tp, OffsetSpec.forTimestamp(base + 41)).offset(), "by a time after all");
        equal(0L, offset(tp, OffsetSpec.earliestLocal()).offset(), "earliest local");
        equal(-1L, offset(tp, OffsetSpec.latestTiered()).offset(), "latest tiered without tiering");
        that(offset(tp, OffsetSpec.latest()).leaderEpoch().isPresent(), "a leader epoch");
    }

    private ListOffsetsResultInfo offset(TopicPartition tp, OffsetSpec spec) throws Exception {
        return kit.admin.listOffsets(Map.of(tp, spec)).partitionResult(tp).get();
    }

    private void offsetsForTimes() throws Exception {
        String topic = kit.topic("for-times", 1, Map.of("retention.ms", "-1"));
        TopicPartition tp = new TopicPartition(topic, 0);
        long base = 1_700_000_000_000L;
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 100, "compression.type", "lz4")) {
            for (int n = 0; n < 100; n++) {
                producer.send(new ProducerRecord<>(topic, 0, base + n * 10L, null, number(n)));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(tp, base + 555)).get(tp);
            equal(56L, found.offset(), "the first record at or after the time, inside a batch");
            equal(base + 560, found.timestamp(), "its timestamp");
            equal(null, consumer.offsetsForTimes(Map.of(tp, base + 5_000)).get(tp), "after all records");
            equal(Map.of(tp, 0L), consumer.beginningOffsets(List.of(tp)), "beginning");
            equal(Map.of(tp, 100L), consumer.endOffsets(List.of(tp)), "end");
        }
    }

    private void seek() throws Exception {
        String topic = kit.topic("seek", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 100, "compression.type", "zstd")) {
            for (int n = 0; n < 300; n++) {
                producer.send(new ProducerRecord<>(topic, 0, null, number(n)));
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            consumer.assign(List.of(tp));
            for (int at : new int[] {150, 299, 0, 1}) {
                consumer.seek(tp, at);
                ConsumerRecord<byte[], byte[]> first = Kit.take(consumer, 300 - at).get(0);
                equal((long) at, first.offset(), "first offset after the seek");
                equal(at, number(first.value()), "its value");
            }
        }
    }

    private void outOfRange() throws Exception {
        String topic = kit.topic("range", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, null, number(7))).get();
        }
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, 1_000);
            fails(OffsetOutOfRangeException.class, () -> Kit.take(consumer, 1));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer("auto.offset.reset", "earliest")) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, 1_000);
            equal(0L, Kit.take(consumer, 1).get(0).offset(), "offset after the reset");
        }
    }

    private void wakes() throws Exception {
        String topic = kit.topic("wakes", 1);
        TopicPartition tp = new TopicPartition(topic, 0);
        // A fetch may wait five minutes: only the append itself can bring these records in time.
        KafkaConsumer<byte[], byte[]> consumer =
                kit.consumer("fetch.max.wait.ms", 300_000, "request.timeout.ms", 400_000);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, 0);
            for (int n = 0; n < 20; n++) {
                equal(0, consumer.poll(Duration.ofMillis(50)).count(), "records before the append");
                producer.send(new ProducerRecord<>(topic, 0, null, number(n))).get();
                equal(n, number(Kit.take(consumer, 1).get(0).value()), "the record that woke it");
            }
        } finally {
            // Without a limit, close would wait for the parked fetch.
            consumer.close(CloseOptions.timeout(Duration.ofMillis(100)));
        }
    }

    private void smallFetches() throws Exception {
        String topic = kit.topic("small-fetches", 2);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            for (int n = 0; n < 20; n++) {
                for (int p = 0; p < 2; p++) {
                    producer.send(new ProducerRecord<>(topic, p, null, Kit.noise(100_000, n))).get();
                }
            }
        }
        for (int p = 0; p < 2; p++) {
            List<ConsumerRecord<byte[], byte[]>> records =
                    kit.read(topic, p, 20, "max.partition.fetch.bytes", 1_000, "fetch.max.bytes", 1_000);
            for (int n = 0; n < 20; n++) {
                that(Arrays.equals(Kit.noise(100_000, n), records.get(n).value()), "value " + n);
            }
        }
    }

    private void readCommitted() throws Exception {
        String topic = kit.topic("committed", 1);
        try (KafkaProducer<byte[], byte[]> producer = kit.producer()) {
            for (int n = 0; n < 50; n++) {
                producer.send(new ProducerRecord<>(topic, 0, null, number(n)));
            }
        }
        equal(49L, kit.read(topic, 0, 50, "isolation.level", "read_committed").get(49).offset(), "last offset");
    }

    private void severalProducers() throws Exception {
        String topic = kit.topic("several", 1);
        int producers = 4;
        int each = 1_000;
        List<KafkaProducer<byte[], byte[]>> all = new ArrayList<>();
        for (int who = 0; who < producers; who++) {
            all.add(kit.producer("batch.size", 500));
        }
        for (int n = 0; n < each; n++) {
            for (int who = 0; who < producers; who++) {
                all.get(who).send(new ProducerRecord<>(topic, 0, number(who), number(n)));
            }
        }
        all.forEach(KafkaProducer::close);
        int[] next = new int[producers];
        for (ConsumerRecord<byte[], byte[]> record : kit.read(topic, 0, producers * each)) {
            int who = number(record.key());
            equal(next[who]++, number(record.value()), "next record of producer " + who);
        }
    }

    private void manyPartitions() throws Exception {
        int partitions = 64;
        int each = 50;
        String topic = kit.topic("many", partitions);
        // Kafka itself may still be opening some of them, and its producer can then lose its sequence.
        for (TopicPartition tp : Kit.partitions(topic, partitions)) {
            offset(tp, OffsetSpec.latest());
        }
        List<Future<RecordMetadata>> acks = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("linger.ms", 5)) {
            for (int n = 0; n < each; n++) {
                for (int p = 0; p < partitions; p++) {
                    acks.add(producer.send(new ProducerRecord<>(topic, p, null, number(n))));
                }
            }
        }
        for (Future<RecordMetadata> ack : acks) {
            ack.get();
        }
        int[] next = new int[partitions];
        try (KafkaConsumer<byte[], byte[]> consumer = kit.consumer()) {
            consumer.assign(Kit.partitions(topic, partitions));
            consumer.seekToBeginning(Kit.partitions(topic, partitions));
            for (ConsumerRecord<byte[], byte[]> record : Kit.take(consumer, partitions * each)) {
                equal(next[record.partition()]++, number(record.value()), "next of partition " + record.partition());
            }
        }
    }

    static byte[] number(int n) {
        return Integer.toString(n).getBytes(StandardCharsets.US_ASCII);
    }

    static int number(byte[] bytes) {
        return Integer.parseInt(new String(bytes, StandardCharsets.US_ASCII));
    }
}
