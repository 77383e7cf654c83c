'use strict';

// The primary is stuck: new connections go on being served at the full rate.

const { withProgram } = require('../program');
const { Crowd, latency, rain, outcomes } = require('../load');
const { measureLag, quantile, round, sleep } = require('../time');

module.exports = {
  title: 'The primary is stuck (its event loop blocked)',
  limit: { short: 40_000, long: 120_000 },

  async run({ way, short, progress }) {
    const result = { tried: 0, lost: 0, unit: 'connections', notes: [], broken: [] };
    await withProgram('server.js', { way, env: { WORKERS: 4 } }, async program => {
      const port = await program.listening(4);
      const ms = short ? 2000 : 10_000;

      progress('endless loop');
      const lag = measureLag();
      const blocks = () => program.all('blocked').length;
      let blocked = blocks();
      program.primary.tell({ command: 'block', ms });
      await program.events('blocked', blocked + 1);
      const attempts = await rain(port, ms - 200, { every: 5, patience: ms + 5000 });
      await program.events('unblocked', blocked + 1);
      const waited = lag();
      const late = attempts.filter(one => latency(one) > 100 + waited);
      const { served, refused, reset, hung } = outcomes(attempts);
      result.tried = attempts.length;
      result.lost = late.length + refused + reset;
      result.notes.push(
        `${ms} ms in a loop: ${served} served, ${late.length} later than 100 ms (and ${round(waited)} ms of the ` +
          `machine's own), ${refused} refused, ${reset} reset, ${hung} left hanging, ` +
          `p99 ${round(quantile(attempts.map(latency), 0.99))} ms`,
      );

      // The full rate: the primary waits without using the processor, so that both have the same of it.
      progress('the rate');
      const before = await rate(port);
      blocked = blocks();
      program.primary.tell({ command: 'block', ms: 1600, idle: true });
      await program.events('blocked', blocked + 1);
      const during = await rate(port);
      await program.events('unblocked', blocked + 1);
      if (during < before / 2)
        result.broken.push(`${during} connections/s while it is stuck, ${before} before`);
      result.notes.push(`${before} connections/s before, ${during} while it is stuck`);
    });
    return result;
  },
};

async function rate(port) {
  const crowd = new Crowd(port, { clients: 8, patience: 5000 });
  await sleep(1000);
  const served = crowd.attempts.filter(({ outcome }) => outcome === 'served').length;
  await crowd.stop();
  return served;
}
