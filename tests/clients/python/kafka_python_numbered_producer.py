"""An idempotent kafka-python producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND."""

import time

from kafka import KafkaProducer

from pace import Pace

pace = Pace()
producer = KafkaProducer(
    bootstrap_servers=pace.bootstrap,
    enable_idempotence=True,
    delivery_timeout_ms=120_000,
    linger_ms=1,
    reconnect_backoff_ms=20,
    reconnect_backoff_max_ms=200,
)
sent = []
for n in range(pace.count):
    if (wait := pace.wait_s(n)) > 0:
        time.sleep(wait)
    sent.append(producer.send(pace.topic, str(n).encode(), partition=0))
failures = []
for future in sent:
    try:
        future.get(120)
    except Exception as e:
        failures.append(e)
pace.end(len(sent) - len(failures), failures)
