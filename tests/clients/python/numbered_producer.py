"""An idempotent confluent-kafka producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND."""

from confluent_kafka import Producer

from pace import Pace

acknowledged = 0
failures = []


def delivered(error, message):
    global acknowledged
    if error is None:
        acknowledged += 1
    else:
        failures.append(error)


pace = Pace()
producer = Producer(
    {
        "bootstrap.servers": pace.bootstrap,
        "enable.idempotence": True,
        "delivery.timeout.ms": 120_000,
        "linger.ms": 1,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
    }
)
for n in range(pace.count):
    while (wait := pace.wait_s(n)) > 0:
        producer.poll(wait)
    producer.produce(pace.topic, str(n).encode(), partition=0, on_delivery=delivered)
    producer.poll(0)
producer.flush(120)
pace.end(acknowledged, failures)
