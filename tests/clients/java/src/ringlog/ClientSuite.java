package ringlog;

/** Kafka's own Java clients against the broker at BOOTSTRAP. Arguments: BOOTSTRAP [PART-OF-A-CHECK'S-NAME]. */
public final class ClientSuite {
    public static void main(String[] args) {
        Checks checks = new Checks("java");
        int status;
        try (Kit kit = new Kit(args[0])) {
            new AdminChecks(kit).addTo(checks);
            new LogDirChecks(kit).addTo(checks);
            new DataChecks(kit).addTo(checks);
            new AppendChecks(kit).addTo(checks);
            new TopicLifeChecks(kit).addTo(checks);
            status = checks.run(args.length > 1 ? args[1] : null);
        }
        System.exit(status);
    }
}
