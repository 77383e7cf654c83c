'use strict';

// Workers come and go; each says which slot it fills.

const cluster = require('rust-cluster');
const { once } = require('node:events');
const { inspect } = require('node:util');

if (cluster.isPrimary) primary();
else process.send(cluster.worker.slot);

async function primary() {
  /** Forked, and told the same on both sides. */
  const fork = async (...options) => {
    const worker = cluster.fork(...options);
    const [said] = await once(worker, 'message');
    if (said !== worker.slot) throw new Error(`the worker says ${said}, and the primary ${worker.slot}`);
    return worker;
  };
  const slots = workers => console.log(...workers.map(({ slot }) => slot));

  const first = await Promise.all([fork(), fork(), fork()]);
  slots(first);
  // A replacement, while the old one lives; and one that has just ended.
  const replacement = await fork({}, { slot: 1 });
  first[0].kill('SIGKILL');
  await once(first[0], 'exit');
  slots([replacement, await fork()]);
  // One that leaves has left its slot, though it lives; slot 1 is filled as long as one of two is there.
  first[2].disconnect();
  first[1].kill('SIGKILL');
  await once(first[1], 'exit');
  slots([await fork(undefined, { slot: undefined }), await fork(), await fork({}, { slot: 65535 })]);
  // What listeners and map() pass is no option.
  slots(await Promise.all([7, null, [1]].map(rest => fork({}, rest))));
  for (const slot of [-1, 65536, 1.5, '1', null, NaN, 0n]) {
    try {
      cluster.fork({}, { slot });
    } catch ({ name, code, message }) {
      console.log(name, code, message);
    }
  }
  const last = await fork();
  console.log(last.id, Object.keys(last).includes('slot'), /\bslot\b/.test(inspect(last)), 'slot' in last);
  cluster.disconnect();
}
