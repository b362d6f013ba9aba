package ringlog;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutionException;

/** Runs named checks one after the other, tells each result, and ends with the counts. */
final class Checks {
    interface Body {
        void run() throws Exception;
    }

    private record Check(String name, Body body) {}

    private final String suite;
    private final List<Check> checks = new ArrayList<>();

    Checks(String suite) {
        this.suite = suite;
    }

    void add(String name, Body body) {
        checks.add(new Check(name, body));
    }

    /** Returns the process's exit status. `only`, when not null, is a part of the names to run. */
    int run(String only) {
        int passed = 0;
        int failed = 0;
        for (Check check : checks) {
            if (only != null && !check.name.contains(only)) {
                continue;
            }
            long start = System.nanoTime();
            try {
                check.body.run();
                passed++;
                System.out.printf("ok    %s (%d ms)%n", check.name, (System.nanoTime() - start) / 1_000_000);
            } catch (Throwable e) {
                failed++;
                System.out.printf("FAIL  %s (%d ms)%n", check.name, (System.nanoTime() - start) / 1_000_000);
                e.printStackTrace(System.out);
            }
        }
        System.out.printf("%s: %d passed, %d failed%n", suite, passed, failed);
        return failed == 0 && passed > 0 ? 0 : 1;
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object expected, Object actual, String what) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    /** The call must fail, and by this cause. */
    static <T extends Throwable> T fails(Class<T> cause, Body call) throws Exception {
        try {
            call.run();
        } catch (Throwable e) {
            Throwable inner = e instanceof ExecutionException ? e.getCause() : e;
            while (inner != null && !cause.isInstance(inner)) {
                inner = inner.getCause();
            }
            if (inner == null) {
                throw new AssertionError("expected " + cause.getSimpleName() + ", got " + e, e);
            }
            return cause.cast(inner);
        }
        throw new AssertionError("expected " + cause.getSimpleName() + ", but it succeeded");
    }
}
