'use strict';

// node bench/guard.js: fails when the primary makes more system calls than it may. Counts, not seconds: they
// say the same on a busy machine. Where strace cannot count, it says so and passes.

const { aligned } = require('./report/table');
const { number } = require('./report/numbers');
const { perConnection, inVainPerConnection, perThousandMessages } = require('./measure/syscalls');
const { rivals } = require('./rivals');
const { unavailable } = require('./measure/strace');

const ours = rivals.find(({ name }) => name === 'rust-rr');

/** A call or two may be under way as the counting begins. */
const IN_VAIN = 0.01;

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
    // Each connection wakes the acceptor.
    measure: async () => ({ 'per connection, 1 client': await perConnection(ours, 1) }),
    // Above six: a worker that is slow to take is looked at, a thousand times a second at most.
    limits: { 'per connection, 1 client': 7 },
  },
  // The kernel says who waits, and nobody else accepts: so there is nothing of it, however busy the machine is.
  ...[1, 64].map(clients => {
    const accepts = `accepts that find nobody, per connection, ${clients} client${clients > 1 ? 's' : ''}`;
    const wakes = `wake-ups for nobody, per connection, ${clients} client${clients > 1 ? 's' : ''}`;
    return {
      measure: async () => {
        const inVain = await inVainPerConnection(ours, clients);
        return {
          [accepts]: { total: inVain.accepts, calls: {} },
          [wakes]: { total: inVain.wakes, calls: {} },
        };
      },
      limits: { [accepts]: IN_VAIN, [wakes]: IN_VAIN },
    };
  }),
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
