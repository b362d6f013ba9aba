package ringlog;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import kafka.tools.StorageTool;
import org.apache.kafka.common.Uuid;

/** A data directory that Ringlog and Kafka serve in turns, by the same server.properties and at the same address. */
final class SharedDirectory implements AutoCloseable {
    /** What Kafka makes, and what Ringlog leaves beside it: where Raft stood at a snapshot, and what a clean stop knew of the logs. */
    private static final Pattern KNOWN = Pattern.compile(
            "\\d{20}\\.(log|index|timeindex|txnindex|snapshot)|\\d{20}-\\d{10}\\.(checkpoint|raft)"
            + "|(leader-epoch|recovery-point-offset|log-start-offset|replication-offset|cleaner-offset)-checkpoint|quorum-state"
            + "|bootstrap\\.checkpoint|partition\\.metadata|meta\\.properties|\\.kafka_cleanshutdown|\\.lock"
            + "|ringlog-clean-start");

    final Path data;
    final String bootstrap;
    private final String ringlog;
    private final Path home;
    private final Path settings;
    private final int port;
    private int starts;

    SharedDirectory(String ringlog) throws IOException {
        this.ringlog = ringlog;
        home = Files.createTempDirectory("ringlog-swap");
        data = home.resolve("data");
        settings = home.resolve("server.properties");
        port = freePort();
        bootstrap = "127.0.0.1:" + port;
        Files.writeString(settings, settings(freePort()));
    }

    /** Kafka's stock settings of a single node, but that the coordinators' topics are small and snapshots of the metadata come early. */
    private String settings(int controllerPort) {
        String listeners = "PLAINTEXT://127.0.0.1:" + port + ",CONTROLLER://127.0.0.1:" + controllerPort;
        return String.join("\n",
                "process.roles=broker,controller",
                "node.id=1",
                "controller.quorum.bootstrap.servers=127.0.0.1:" + controllerPort,
                "listeners=" + listeners,
                "advertised.listeners=" + listeners,
                "inter.broker.listener.name=PLAINTEXT",
                "controller.listener.names=CONTROLLER",
                "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                "log.dirs=" + data,
                "offsets.topic.replication.factor=1",
                "offsets.topic.num.partitions=2",
                "transaction.state.log.replication.factor=1",
                "transaction.state.log.min.isr=1",
                "transaction.state.log.num.partitions=2",
                "share.coordinator.state.topic.replication.factor=1",
                "share.coordinator.state.topic.min.isr=1",
                "metadata.log.max.record.bytes.between.snapshots=1000",
                "");
    }

    /** What Kafka's operators do before the first start. Ringlog formats an empty directory itself. */
    void formatAsKafka() {
        int status = StorageTool.execute(
                new String[] {"format", "-t", Uuid.randomUuid().toString(), "-c", settings.toString(), "--standalone"}, System.out);
        Checks.equal(0, status, "status of the storage tool");
    }

    ServerProcess startRinglog() throws Exception {
        return start("ringlog", List.of(ringlog, "serve", "--config", settings.toString()), 0);
    }

    ServerProcess startKafka() throws Exception {
        // A JVM that was ended by SIGTERM says so, however well it ended.
        List<String> command = List.of("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dlog4j2.configurationFile=server-log4j2.yaml", "-cp", System.getProperty("java.class.path"),
                "kafka.Kafka", settings.toString());
        return start("kafka", command, 128 + 15);
    }

    /** What Kafka's own tool finds wrong with the files of a stopped broker, and what has no place among them. */
    void checkFiles() throws IOException {
        try (Stream<Path> paths = Files.walk(data)) {
            List<Path> strays = paths.filter(Files::isRegularFile)
                    .filter(path -> !KNOWN.matcher(path.getFileName().toString()).matches())
                    .toList();
            Checks.equal(List.of(), strays, "stray files");
        }
        SegmentDump.check(data);
    }

    private ServerProcess start(String name, List<String> command, int statusOfAStop) throws Exception {
        return new ServerProcess(command, home.resolve(name + "-" + starts++), port, statusOfAStop);
    }

    private static int freePort() throws IOException {
        // Below the ports that the kernel gives to clients, so that it stays free between two servers.
        while (true) {
            int port = 20_000 + (int) (Math.random() * 12_000);
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return socket.getLocalPort();
            } catch (IOException taken) {
                continue;
            }
        }
    }

    @Override
    public void close() throws IOException {
        try (Stream<Path> paths = Files.walk(home)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
