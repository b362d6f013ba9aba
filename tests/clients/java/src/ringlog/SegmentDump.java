package ringlog;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.kafka.tools.DumpLogSegments;

/** Kafka's own judgement of a directory's files. */
final class SegmentDump {
    private static final Pattern COMPLAINT = Pattern.compile(
            "mismatch|isvalid: false|non-consecutive|out of order|corrupt|exception|error|invalid|could not|missing|should be deleted"
                    + "|found log offset",
            Pattern.CASE_INSENSITIVE);

    /** What the tool says of every segment that doesn't begin at offset 0, Kafka's own too. */
    private static final Pattern BEFORE_THE_FIRST = Pattern.compile(
            "Non-consecutive offsets in \\S*/0*([1-9]\\d*)\\.log\\n  -1 is followed by \\1\\n");

    private SegmentDump() {}

    /** Every segment, index and producer snapshot of every partition in `data`. */
    static void check(Path data) throws IOException {
        List<Path> indexes = files(data, ".index", ".timeindex", ".txnindex");
        String deep = dump(files(data, ".log"), "--deep-iteration");
        Checks.that(deep.contains("| offset: 0 "), "no record is dumped");
        dump(indexes, "--verify-index-only");
        String sane = dump(indexes, "--index-sanity-check");
        long passed = sane.lines().filter(line -> line.endsWith(" passed sanity check.") || line.endsWith(" is empty.")).count();
        Checks.equal((long) files(data, ".index", ".timeindex").size(), passed, "indexes that pass");
        String producers = dump(files(data, ".snapshot"));
        Checks.that(producers.contains("producerId: "), "no producer is dumped");
        String metadata = dump(files(data, ".checkpoint", "__cluster_metadata-0/00000000000000000000.log"), "--cluster-metadata-decoder");
        Checks.that(metadata.contains("\"name\":\"plain\""), "no topic is dumped");
    }

    private static String dump(List<Path> files, String... options) throws IOException {
        Checks.that(!files.isEmpty(), "there is nothing to dump");
        List<String> arguments = new ArrayList<>(Arrays.asList(options));
        arguments.addAll(List.of("--files", String.join(",", files.stream().map(Path::toString).toList())));
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream[] before = {System.out, System.err};
        PrintStream both = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        System.setOut(both);
        System.setErr(both);
        try {
            DumpLogSegments.main(arguments.toArray(new String[0]));
        } finally {
            System.setOut(before[0]);
            System.setErr(before[1]);
        }
        String told = BEFORE_THE_FIRST.matcher(bytes.toString(StandardCharsets.UTF_8)).replaceAll("");
        List<String> complaints = told.lines().filter(COMPLAINT.asPredicate()).limit(9).toList();
        Checks.equal(List.of(), complaints, "complaints about " + arguments.get(0));
        return told;
    }

    private static List<Path> files(Path data, String... endings) throws IOException {
        try (Stream<Path> paths = Files.walk(data)) {
            return paths.filter(path -> Arrays.stream(endings).anyMatch(path.toString()::endsWith)).sorted().toList();
        }
    }
}
