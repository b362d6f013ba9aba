// An idempotent producer that sends the numbers 0 to COUNT-1 to partition 0 and ends well when each was
// acknowledged, while someone kills the broker under it. Arguments: BOOTSTRAP TOPIC COUNT RECORDS-PER-SECOND.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { Kafka, Partitioners, logLevel } = require('kafkajs');

async function main(bootstrap, topic, count, rate) {
  const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING });
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
    retry: { initialRetryTime: 20, maxRetryTime: 200, retries: Number.MAX_SAFE_INTEGER },
  });
  await producer.connect();
  const start = performance.now();
  let sent = 0;
  // The client keeps no order among its calls: what is due goes in one, and the next waits for its answer.
  while (sent < count) {
    const due = Math.min(count, Math.floor(((performance.now() - start) * rate) / 1_000) + 1);
    const messages = Array.from({ length: due - sent }, (_, n) => ({ value: String(sent + n), partition: 0 }));
    if (messages.length > 0) {
      await producer.send({ topic, messages });
      sent = due;
    }
    await sleep(1);
  }
  await producer.disconnect();
  console.log(`acknowledged ${sent} of ${count}`);
}

const [bootstrap, topic, count, rate] = process.argv.slice(2);
main(bootstrap, topic, Number(count), Number(rate)).catch(e => {
  console.log(e);
  process.exit(1);
});
