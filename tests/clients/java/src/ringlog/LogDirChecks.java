package ringlog;

import static ringlog.Checks.equal;
import static ringlog.Checks.fails;
import static ringlog.Checks.that;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.DescribeReplicaLogDirsResult.ReplicaLogDirInfo;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.errors.LogDirNotFoundException;

/** What an administrator sees of log directories, and replicas that move between them; the broker has two. */
final class LogDirChecks {
    private static final int PARTITIONS = 4;
    private static final int RECORDS = 2_000;

    private final Kit kit;

    LogDirChecks(Kit kit) {
        this.kit = kit;
    }

    void addTo(Checks checks) {
        checks.add("log_dirs_are_described_with_what_lies_in_them", this::describe);
        checks.add("a_replica_moves_between_log_dirs_while_it_is_written", this::move);
        checks.add("a_log_dir_that_is_not_there_is_named", this::unknown);
    }

    private int node() throws Exception {
        return kit.admin.describeCluster().nodes().get().iterator().next().id();
    }

    private Map<String, LogDirDescription> dirs() throws Exception {
        return kit.admin.describeLogDirs(List.of(node())).allDescriptions().get().get(node());
    }

    private void describe() throws Exception {
        String name = kit.topic("spread", PARTITIONS);
        Map<String, LogDirDescription> dirs = dirs();
        equal(2, dirs.size(), "log directories");
        long found = 0;
        for (LogDirDescription dir : dirs.values()) {
            equal(null, dir.error(), "error");
            that(dir.totalBytes().getAsLong() >= dir.usableBytes().getAsLong(), "room");
            Set<TopicPartition> here = dir.replicaInfos().keySet().stream()
                    .filter(partition -> partition.topic().equals(name)).collect(Collectors.toSet());
            that(!here.isEmpty(), "partitions are spread over both");
            found += here.size();
        }
        equal((long) PARTITIONS, found, "each partition once");
    }

    private ReplicaLogDirInfo where(TopicPartitionReplica replica) throws Exception {
        return kit.admin.describeReplicaLogDirs(List.of(replica)).all().get().get(replica);
    }

    private void move() throws Exception {
        String name = kit.topic("moved", 1);
        TopicPartitionReplica replica = new TopicPartitionReplica(name, 0, node());
        String from = where(replica).getCurrentReplicaLogDir();
        String to = dirs().keySet().stream().filter(dir -> !dir.equals(from)).findFirst().orElseThrow();
        byte[] value = new byte[500];
        try (KafkaProducer<byte[], byte[]> producer = kit.producer("enable.idempotence", true)) {
            for (int n = 0; n < RECORDS; n++) {
                if (n == RECORDS / 2) {
                    kit.admin.alterReplicaLogDirs(Map.of(replica, to)).all().get();
                }
                producer.send(new ProducerRecord<>(name, 0, null, value));
            }
            producer.flush();
        }
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (!to.equals(where(replica).getCurrentReplicaLogDir())) {
            that(System.nanoTime() < deadline, "it has moved");
            TimeUnit.MILLISECONDS.sleep(20);
        }
        equal(null, where(replica).getFutureReplicaLogDir(), "the move is over");
        equal(RECORDS, kit.read(name, 0, RECORDS).size(), "records");
        // Where it is already.
        kit.admin.alterReplicaLogDirs(Map.of(replica, to)).all().get();
    }

    private void unknown() throws Exception {
        String name = kit.topic("stays", 1);
        TopicPartitionReplica replica = new TopicPartitionReplica(name, 0, node());
        fails(LogDirNotFoundException.class,
                () -> kit.admin.alterReplicaLogDirs(Map.of(replica, "/no/such/directory")).all().get());
    }
}
