'use strict';

// node bench/guard.js: fails when the primary makes more system calls than it may. Counts, not seconds: they
// say the same on a busy machine. Where strace cannot count, it says so and passes.

const { aligned } = require('./report/table');
const { number } = require('./report/numbers');
const { perConnection, perThousandMessages } = require('./measure/syscalls');
const { rivals } = require('./rivals');
const { unavailable } = require('./measure/strace');

const ours = rivals.find(({ name }) => name === 'rust-rr');

/**
 * What the primary may need at most. Every measurement gives some counts, each has a limit.
 * @type {{ measure: () => Promise<Record<string, { total: number, calls: Record<string, number> }>>,
 *   limits: Record<string, number> }[]}
 */
const guarded = [
  {
    measure: async () => ({ 'per connection, 64 clients': await perConnection(ours, 64) }),
    limits: { 'per connection, 64 clients': 4 },
  },
  {
    // Each connection wakes the acceptor, which then finds that there is no other.
    measure: async () => ({ 'per connection, 1 client': await perConnection(ours, 1) }),
    limits: { 'per connection, 1 client': 6 },
  },
  ...['json', 'advanced'].map(serialization => ({
    measure: async () => {
      const { toPrimary, toWorker } = await perThousandMessages(ours, serialization);
      return {
        [`per thousand messages received, ${serialization}`]: toPrimary,
        [`per thousand messages sent, ${serialization}`]: toWorker,
      };
    },
    limits: {
      [`per thousand messages received, ${serialization}`]: 100,
      [`per thousand messages sent, ${serialization}`]: 100,
    },
  })),
];

async function main() {
  const reason = await unavailable();
  if (reason) return console.log(`guard: skipped, ${reason}`);
  const rows = [['system calls of the primary', 'counted', 'limit', '']];
  for (const { measure, limits } of guarded) {
    for (const [name, { total, calls }] of Object.entries(await measure())) {
      const over = total > limits[name];
      if (over) process.exitCode = 1;
      rows.push([name, number(total), number(limits[name]), over ? `TOO MANY: ${most(calls)}` : 'ok']);
    }
  }
  console.log(aligned(rows));
}

/** The calls that were made most. */
function most(calls) {
  const sorted = Object.entries(calls).sort(([, a], [, b]) => b - a);
  return sorted
    .slice(0, 5)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}

main().catch(error => {
  console.error(error);
  process.exitCode = 1;
});
