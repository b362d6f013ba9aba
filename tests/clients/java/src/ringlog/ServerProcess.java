package ringlog;

import java.io.IOException;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A broker's process, from the moment it accepts connections on. It doesn't outlive this program, however that ends. */
final class ServerProcess implements AutoCloseable {
    private final Process process;
    private final Thread killer;
    private final Path output;
    private final int statusOfAStop;

    ServerProcess(List<String> command, Path output, int port, int statusOfAStop) throws Exception {
        this.output = output;
        this.statusOfAStop = statusOfAStop;
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
        // A loaded machine is no complaint.
        builder.environment().put("RUST_LOG", "warn,ringlog::io=error");
        process = builder.start();
        killer = new Thread(process::destroyForcibly);
        Runtime.getRuntime().addShutdownHook(killer);
        try {
            awaitListener(port);
        } catch (Throwable e) {
            close();
            throw e;
        }
    }

    private void awaitListener(int port) throws Exception {
        long deadline = System.nanoTime() + Kit.PATIENCE.toNanos();
        while (true) {
            try {
                new Socket("127.0.0.1", port).close();
                return;
            } catch (IOException e) {
                Checks.that(process.isAlive(), "ended at its start:\n" + told());
                Checks.that(System.nanoTime() < deadline, "accepts no connection:\n" + told());
                Thread.sleep(20);
            }
        }
    }

    /** A clean stop: by SIGTERM, in time, and without a complaint since the start. */
    void stop() throws Exception {
        process.destroy();
        Checks.that(process.waitFor(Kit.PATIENCE.toSeconds(), TimeUnit.SECONDS), "still there after SIGTERM:\n" + told());
        Checks.equal(statusOfAStop, process.exitValue(), "exit status, having said\n" + told() + "\n");
        Checks.equal(List.of(), told().lines().filter(ServerProcess::isComplaint).toList(), "complaints");
    }

    /** As a crash ends it. */
    void kill() {
        process.destroyForcibly().onExit().join();
    }

    /** Of files that are not what they should be, or that a clean stop would have spared; Kafka checks its metadata log at each start. */
    private static boolean isComplaint(String line) {
        return line.contains(" WARN ")
                || line.contains(" ERROR ")
                || line.contains("Recovering ") && !line.contains("partition=__cluster_metadata-0");
    }

    private String told() throws IOException {
        return Files.readString(output);
    }

    @Override
    public void close() {
        kill();
        Runtime.getRuntime().removeShutdownHook(killer);
    }
}
