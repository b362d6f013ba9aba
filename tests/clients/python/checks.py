"""What the suites share: named checks, run one after the other with each result told and the counts at the end;
names that no other run has; bytes to send."""

import os
import random
import sys
import time
import traceback

# Nothing here takes this long on a working broker; it turns a hang into a failure.
PATIENCE_S = 60
# Nor does a broker of Kafka take this long to follow its controller.
SOON_S = 10

CHECKS = []


def check(function):
    """Registers a check under its function's name."""
    CHECKS.append((function.__name__, function, ()))
    return function


def check_each(*values):
    """Registers one check for each value."""

    def register(function):
        for value in values:
            CHECKS.append((f"{function.__name__}_{value}", function, (value,)))
        return function

    return register


def main(suite, kit_for, perform=lambda function, *arguments: function(*arguments)):
    """Runs a suite for the command line BOOTSTRAP [PART-OF-A-CHECK'S-NAME] and ends the process.

    `perform` calls a check; a suite of coroutines gives its own."""
    only = sys.argv[2] if len(sys.argv) > 2 else ""
    sys.exit(run(suite, kit_for(sys.argv[1]), only, perform))


def run(suite, kit, only, perform):
    """Runs the checks whose name contains `only` and returns the process's exit status."""
    passed = failed = 0
    for name, function, arguments in CHECKS:
        if only not in name:
            continue
        start = time.monotonic()
        try:
            perform(function, kit, *arguments)
            passed += 1
            word = "ok  "
        except Exception:
            failed += 1
            word = "FAIL"
            traceback.print_exc()
        print(f"{word}  {name} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)
    print(f"{suite}: {passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


class Names:
    """Names of topics that no other run has."""

    def __init__(self, suite):
        self.run = f"{suite}-{os.getpid()}-{time.time_ns():x}"
        self.given = 0

    def name(self, what):
        self.given += 1
        return f"{self.run}-{what}-{self.given}"


def equal(expected, actual, what):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def soon(expected, look, what):
    """Looks until it sees what is expected: Kafka acknowledges a change of metadata a little before it shows it."""
    deadline = time.monotonic() + SOON_S
    while (actual := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.01)
    equal(expected, actual, what)


def fails(kind, call):
    """The call must raise this exception."""
    try:
        call()
    except kind:
        return
    raise AssertionError(f"expected {kind.__name__}, but it succeeded")


def dotted(settings):
    """Kafka's names of settings given as keywords: `max_message_bytes` is `max.message.bytes`."""
    return {name.replace("_", "."): value for name, value in settings.items()}


def noise(length, seed):
    """Bytes that no codec shrinks to nothing, the same for the same seed."""
    return random.Random(seed).randbytes(length)


def number(n):
    return str(n).encode()


def numbers(end):
    return [number(n) for n in range(end)]
