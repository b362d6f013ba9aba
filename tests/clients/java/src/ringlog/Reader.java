package ringlog;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints all of partition 0 that a consumer sees, a line a record: offset, key, value; then its end offset.
 * Arguments: BOOTSTRAP TOPIC ISOLATION-LEVEL.
 */
public final class Reader {
    public static void main(String[] args) {
        Map<String, Object> settings = Map.of("bootstrap.servers", args[0], "isolation.level", args[2],
                "max.partition.fetch.bytes", 2_000);
        TopicPartition partition = new TopicPartition(args[1], 0);
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.println(record.offset() + " " + record.key() + " " + record.value());
                }
            }
            System.out.println("end " + end);
        }
    }
}
