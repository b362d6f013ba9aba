package ringlog;

import static ringlog.Checks.equal;
import static ringlog.Checks.that;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.record.TimestampType;

/** What a topic's settings make of the batches that come to it: another codec, other times, a refusal. */
final class AppendChecks {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final long BASE = 1_700_000_000_000L;
    private static final int COUNT = 200;

    private final Kit kit;

    AppendChecks(Kit kit) {
        this.kit = kit;
    }

    void addTo(Checks checks) {
        for (String type : List.of("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")) {
            checks.add("every_codec_to_a_topic_of_" + type, () -> stored(Map.of("compression.type", type)));
        }
        for (String[] level : new String[][] {{"gzip", "9"}, {"lz4", "12"}, {"zstd", "-3"}, {"zstd", "19"}}) {
            String setting = "compression." + level[0] + ".level";
            checks.add("every_codec_to_a_topic_of_" + level[0] + "_" + level[1],
                    () -> stored(Map.of("compression.type", level[0], setting, level[1])));
        }
        checks.add("compression_type_of_a_topic_in_use_changes", this::changes);
        checks.add("append_time_of_a_topic_with_a_codec", this::appendTime);
        checks.add("a_batch_that_grows_beyond_the_limit_is_refused", this::grows);
        checks.add("records_without_keys_are_named", this::keyless);
        checks.add("records_of_wrong_times_are_named", this::wrongTimes);
        checks.add("one_record_of_a_wrong_time_has_its_own_exception", this::oneWrongTime);
    }

    private void stored(Map<String, String> configs) throws Exception {
        String topic = kit.topic("stored", 1, with(configs, "retention.ms", "-1"));
        for (String codec : CODECS) {
            send(topic, codec);
        }
        check(kit.read(topic, 0, CODECS.size() * COUNT), 0);
    }

    /** COUNT records of one producer, in few batches. */
    private void send(String topic, String codec) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer =
                kit.producer("compression.type", codec, "linger.ms", 100, "batch.size", 100_000)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = 0; n < COUNT; n++) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, time(n), key(n), value(n), headers(n))));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static void check(List<ConsumerRecord<byte[], byte[]>> records, long firstOffset) {
        for (int at = 0; at < records.size(); at++) {
            ConsumerRecord<byte[], byte[]> record = records.get(at);
            int n = at % COUNT;
            equal(firstOffset + at, record.offset(), "offset");
            equal(time(n), record.timestamp(), "timestamp of " + at);
            equal(TimestampType.CREATE_TIME, record.timestampType(), "timestamp type of " + at);
            that(Arrays.equals(key(n), record.key()), "key of " + at);
            that(Arrays.equals(value(n), record.value()), "value of " + at);
            Header[] wanted = headers(n).toArray();
            Header[] got = record.headers().toArray();
            equal(wanted.length, got.length, "headers of " + at);
            for (int i = 0; i < wanted.length; i++) {
                equal(wanted[i].key(), got[i].key(), "header " + i + " of " + at);
                that(Arrays.equals(wanted[i].value(), got[i].value()), "value of header " + i + " of " + at);
            }
        }
    }

    /** Forward and back, as times of several sources are. */
    private static long time(int n) {
        return BASE + n * 7919L % 1_000;
    }

    private static byte[] key(int n) {
        return n % 5 == 0 ? null : bytes("key " + n % 20);
    }

    /** Half noise, half zeros; a tombstone now and then. */
    private static byte[] value(int n) {
        return n % 7 == 0 ? null : Arrays.copyOf(Kit.noise(n * 4, n), n * 8);
    }

    private static RecordHeaders headers(int n) {
        RecordHeaders headers = new RecordHeaders();
        for (int i = 0; i < n % 4; i++) {
            headers.add("h" + i / 2, i == 1 ? null : bytes("value " + n));
        }
        return headers;
    }

    private void changes() throws Exception {
        String topic = kit.topic("changes", 1, Map.of("retention.ms", "-1"));
        int batches = 0;
        for (String type : List.of("producer", "zstd", "uncompressed", "lz4")) {
            set(topic, "compression.type", type);
            send(topic, "gzip");
            batches++;
        }
        check(kit.read(topic, 0, batches * COUNT), 0);
    }

    private void set(String topic, String name, String value) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET);
        kit.admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
    }

    private void appendTime() throws Exception {
        String topic = kit.topic("append-time", 1,
                Map.of("message.timestamp.type", "LogAppendTime", "compression.type", "lz4"));
        long before = System.currentTimeMillis();
        for (String codec : CODECS) {
            send(topic, codec);
        }
        long after = System.currentTimeMillis();
        for (ConsumerRecord<byte[], byte[]> record : kit.read(topic, 0, CODECS.size() * COUNT)) {
            equal(TimestampType.LOG_APPEND_TIME, record.timestampType(), "timestamp type");
            that(before <= record.timestamp() && record.timestamp() <= after, "the append's time");
        }
    }

    private void grows() throws Exception {
        String topic = kit.topic("grows", 1, Map.of("compression.type", "uncompressed", "max.message.bytes", "10000"));
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("compression.type", "zstd")) {
            producer.send(new ProducerRecord<>(topic, new byte[9_000])).get();
            Checks.fails(RecordTooLargeException.class,
                    () -> producer.send(new ProducerRecord<>(topic, new byte[11_000])).get());
        }
        equal(9_000, kit.read(topic, 0, 1).get(0).value().length, "the record that fits");
    }

    private void keyless() throws Exception {
        for (String codec : CODECS) {
            String topic = kit.topic("keyless", 1, Map.of("cleanup.policy", "compact"));
            byte[] key = bytes("k");
            List<ProducerRecord<byte[], byte[]>> records = List.of(
                    new ProducerRecord<>(topic, 0, null, key, key), new ProducerRecord<>(topic, 0, null, null, key),
                    new ProducerRecord<>(topic, 0, null, key, key), new ProducerRecord<>(topic, 0, null, null, key));
            List<Throwable> refused = refused(records, codec);
            String told = "Compacted topic cannot accept message without key in topic partition " + topic + "-0";
            for (int i : new int[] {1, 3}) {
                equal(InvalidRecordException.class, refused.get(i).getClass(), "exception of a record without key");
                equal(told, refused.get(i).getMessage(), "what is said of it");
            }
            for (int i : new int[] {0, 2}) {
                equal(KafkaException.class, refused.get(i).getClass(), "exception of a record beside it");
            }
        }
    }

    private void wrongTimes() throws Exception {
        for (String codec : CODECS) {
            String topic = kit.topic("wrong-times", 1, Map.of("message.timestamp.before.max.ms", "1000"));
            long now = System.currentTimeMillis();
            List<Throwable> refused = refused(List.of(at(topic, now - 60_000), at(topic, now), at(topic, 5)), codec);
            for (int i : new int[] {0, 2}) {
                equal(InvalidRecordException.class, refused.get(i).getClass(), "exception of a wrong time");
                long time = i == 0 ? now - 60_000 : 5;
                String told = "Timestamp " + time + " of message with offset " + i + " is out of range.";
                that(refused.get(i).getMessage().startsWith(told), refused.get(i).getMessage());
            }
            equal(KafkaException.class, refused.get(1).getClass(), "exception of the record beside them");
        }
    }

    private void oneWrongTime() throws Exception {
        String topic = kit.topic("wrong-time", 1, Map.of("message.timestamp.after.max.ms", "1000"));
        long now = System.currentTimeMillis();
        List<Throwable> refused = refused(List.of(at(topic, now), at(topic, now + 60_000)), "zstd");
        equal(InvalidTimestampException.class, refused.get(1).getClass(), "exception of the wrong time");
        equal(KafkaException.class, refused.get(0).getClass(), "exception of the record beside it");
    }

    private static ProducerRecord<byte[], byte[]> at(String topic, long time) {
        return new ProducerRecord<>(topic, 0, time, bytes("k"), bytes("v"));
    }

    /** What each of the records of one batch is refused with. */
    private List<Throwable> refused(List<ProducerRecord<byte[], byte[]>> records, String codec) throws Exception {
        List<Throwable> refused = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("compression.type", codec, "linger.ms", 500)) {
            // The topic is known before, so that all come into one batch.
            producer.partitionsFor(records.get(0).topic());
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (ProducerRecord<byte[], byte[]> record : records) {
                sent.add(producer.send(record));
            }
            for (Future<RecordMetadata> one : sent) {
                try {
                    one.get();
                    throw new AssertionError("a record was appended");
                } catch (ExecutionException e) {
                    refused.add(e.getCause());
                }
            }
        }
        return refused;
    }

    private static Map<String, String> with(Map<String, String> configs, String name, String value) {
        Map<String, String> more = new java.util.HashMap<>(configs);
        more.put(name, value);
        return more;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
