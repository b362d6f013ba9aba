"""An idempotent aiokafka producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND."""

import asyncio

from aiokafka import AIOKafkaProducer

from pace import Pace


async def main():
    pace = Pace()
    producer = AIOKafkaProducer(
        bootstrap_servers=pace.bootstrap,
        enable_idempotence=True,
        request_timeout_ms=120_000,
        linger_ms=1,
        retry_backoff_ms=50,
    )
    await producer.start()
    sent = []
    for n in range(pace.count):
        await asyncio.sleep(max(0, pace.wait_s(n)))
        sent.append(await producer.send(pace.topic, str(n).encode(), partition=0))
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    await producer.stop()
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    pace.end(len(sent) - len(failures), failures)


asyncio.run(main())
