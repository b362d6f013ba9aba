"""An idempotent producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND."""

import sys
import time

from confluent_kafka import Producer

bootstrap, topic, count, rate = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
acknowledged = 0
failures = []


def delivered(error, message):
    global acknowledged
    if error is None:
        acknowledged += 1
    else:
        failures.append(error)


producer = Producer(
    {
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "delivery.timeout.ms": 120_000,
        "linger.ms": 1,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
    }
)
start = time.monotonic()
for n in range(count):
    while (wait := start + n / rate - time.monotonic()) > 0:
        producer.poll(wait)
    producer.produce(topic, str(n).encode(), partition=0, on_delivery=delivered)
    producer.poll(0)
producer.flush(120)
print(f"acknowledged {acknowledged} of {count}")
for failure in failures[:5]:
    print(failure)
sys.exit(0 if acknowledged == count else 1)
