import java.io.File;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/**
 * One round of Kafka's own cleaner over a partition's directory, in place, for src/log/compaction/tests/kafka.rs. Prints up to where
 * the log is clean then.
 *
 * <pre>
 * Clean DIRECTORY FIRST_DIRTY FIRST_UNCLEANABLE NOW SEGMENT_BYTES INDEX_INTERVAL_BYTES DELETE_RETENTION_MS
 * </pre>
 */
class Clean {
    public static void main(String[] args) throws Exception {
        File directory = new File(args[0]);
        long firstDirty = Long.parseLong(args[1]);
        long firstUncleanable = Long.parseLong(args[2]);
        long now = Long.parseLong(args[3]);
        LogConfig config = new LogConfig(Map.of(
            "cleanup.policy", "compact",
            LogConfig.INTERNAL_SEGMENT_BYTES_CONFIG, args[4],
            "index.interval.bytes", args[5],
            "delete.retention.ms", args[6]));
        KafkaScheduler scheduler = new KafkaScheduler(1);
        scheduler.startup();
        UnifiedLog log = UnifiedLog.create(directory, config, 0, 0, scheduler, new BrokerTopicStats(), Time.SYSTEM, 300_000,
            new ProducerStateManagerConfig(Integer.MAX_VALUE, false), 600_000, new LogDirFailureChannel(1), true, Optional.empty());
        log.updateHighWatermark(log.logEndOffset());
        Throttler throttler = new Throttler(Double.MAX_VALUE, 1000, "cleaner", "bytes", Time.SYSTEM);
        Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(1 << 20), 1 << 16, 1 << 20, 0.9, throttler, Time.SYSTEM, partition -> { });
        long cleaned = cleaner.doClean(new LogToClean(log, firstDirty, firstUncleanable, false), now).getKey();
        System.out.println(cleaned);
        log.close();
        scheduler.shutdown();
        System.exit(0);
    }
}
