// Runs named checks one after the other, tells each result, and ends with the counts.
'use strict';

const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { inspect, isDeepStrictEqual } = require('node:util');

// Nothing here takes this long on a working broker; it turns a hang into a failure.
const PATIENCE_MS = 60_000;
// Nor does a broker of Kafka take this long to follow its controller.
const SOON_MS = 10_000;

const checks = [];

// Registers a check; its body gets the kit and may be asynchronous.
function check(name, body) {
  checks.push({ name, body });
}

// Registers one check for each of the values by name.
function checkEach(name, values, body) {
  for (const [suffix, value] of Object.entries(values)) {
    check(`${name}_${suffix}`, kit => body(kit, value));
  }
}

// Runs a suite for the command line BOOTSTRAP [PART-OF-A-CHECK'S-NAME] and ends the process.
async function main(suite, connect) {
  const [bootstrap, only = ''] = process.argv.slice(2);
  const kit = await connect(bootstrap);
  let passed = 0;
  let failed = 0;
  for (const { name, body } of checks.filter(({ name }) => name.includes(only))) {
    const start = performance.now();
    let word = 'ok  ';
    try {
      await bounded(body(kit));
      passed += 1;
    } catch (e) {
      failed += 1;
      word = 'FAIL';
      console.log(e);
    }
    console.log(`${word}  ${name} (${Math.round(performance.now() - start)} ms)`);
  }
  console.log(`${suite}: ${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

async function bounded(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${PATIENCE_MS} ms`)), PATIENCE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function equal(expected, actual, what) {
  if (!isDeepStrictEqual(expected, actual)) {
    assert.fail(`${what}: expected ${inspect(expected)}, got ${inspect(actual)}`);
  }
}

// Looks until it sees what is expected: Kafka acknowledges a change of metadata a little before it shows it.
async function soon(expected, look, what) {
  const deadline = performance.now() + SOON_MS;
  let actual = await look();
  while (!isDeepStrictEqual(expected, actual) && performance.now() < deadline) {
    await sleep(10);
    actual = await look();
  }
  equal(expected, actual, what);
}

module.exports = { PATIENCE_MS, check, checkEach, equal, main, soon };
