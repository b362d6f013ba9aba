"""Prints all of partition 0 that a confluent-kafka consumer sees, a line a record: offset, key, value; then its end offset.
Arguments: BOOTSTRAP TOPIC ISOLATION-LEVEL."""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

bootstrap, topic, isolation = sys.argv[1:]
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": "unused",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": isolation,
        "max.partition.fetch.bytes": 2_000,
    }
)
consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
while (message := consumer.poll(60)) is not None:
    if message.error() is None:
        print(message.offset(), message.key().decode(), message.value().decode())
    elif message.error().code() == KafkaError._PARTITION_EOF:
        # The end for this isolation level, or where the broker's marks say that there is more.
        print("end", message.offset())
        break
    else:
        sys.exit(str(message.error()))
consumer.close()
