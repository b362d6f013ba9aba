"""Runs named checks one after the other, tells each result, and ends with the counts."""

import time
import traceback

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


def run(suite, kit, only):
    """Runs the checks whose name contains `only` and returns the process's exit status."""
    passed = failed = 0
    for name, function, arguments in CHECKS:
        if only not in name:
            continue
        start = time.monotonic()
        try:
            function(kit, *arguments)
            passed += 1
            word = "ok  "
        except Exception:
            failed += 1
            word = "FAIL"
            traceback.print_exc()
        print(f"{word}  {name} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)
    print(f"{suite}: {passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


def equal(expected, actual, what):
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def fails(code, call):
    """The call must fail with this error code of librdkafka."""
    from confluent_kafka import KafkaException

    try:
        call()
    except KafkaException as e:
        equal(code, e.args[0].code(), f"error code of {e}")
        return
    raise AssertionError(f"expected error {code}, but it succeeded")
