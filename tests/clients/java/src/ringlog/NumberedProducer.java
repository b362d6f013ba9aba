package ringlog;

import static ringlog.DataChecks.number;

import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
 * acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND.
 */
public final class NumberedProducer {
    public static void main(String[] args) throws Exception {
        int count = Integer.parseInt(args[2]);
        long gapNanos = 1_000_000_000L / Integer.parseInt(args[3]);
        Map<String, Object> settings = Map.of("bootstrap.servers", args[0], "acks", "all", "linger.ms", 1,
                "delivery.timeout.ms", 120_000, "request.timeout.ms", 5_000, "reconnect.backoff.ms", 20,
                "reconnect.backoff.max.ms", 200, "retry.backoff.ms", 20);
        AtomicInteger acknowledged = new AtomicInteger();
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            long start = System.nanoTime();
            for (int n = 0; n < count && failure.get() == null; n++) {
                while (System.nanoTime() - start < n * gapNanos) {
                    Thread.sleep(1);
                }
                producer.send(new ProducerRecord<>(args[1], 0, null, number(n)), (metadata, e) -> {
                    if (e == null) {
                        acknowledged.incrementAndGet();
                    } else {
                        failure.compareAndSet(null, e);
                    }
                });
            }
        }
        System.out.println("acknowledged " + acknowledged.get() + " of " + count);
        if (failure.get() != null) {
            failure.get().printStackTrace(System.out);
        }
        System.exit(acknowledged.get() == count ? 0 : 1);
    }
}
