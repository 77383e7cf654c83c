'use strict';

// Two machines and the cable between them, which is cut under load and mended. Nobody is told of the cut: what is sent is lost.
// The broker is beside one of them.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { missing, startBroker } = require('../support/broker');
const networks = require('../support/networks');
const { run } = require('../support/program');
const way = require('../support/way');

const noBus = way === 'node' && "Node's own cluster has no bus";
const CLIENTS = noBus ? {} : require('../support/broker-clients');
const noNetworks = networks.missing();

/** How long a broker may be silent, in milliseconds, before its client says so. */
const PATIENCE = 2000;

/** A machine, and what its processes have said so far. */
class Machine {
  constructor(program) {
    this.program = program;
  }

  /** What was said under this name, from a line on. */
  all(name, since = 0) {
    const said = this.program.stdout.slice(since).map(line => JSON.parse(line));
    return said.filter(([of]) => of === name).map(([, value]) => value);
  }

  get lines() {
    return this.program.stdout.length;
  }

  /** How far a worker has heard a machine. */
  last(slot, machine) {
    return this.all('heard').findLast(heard => heard.slot === slot && heard.machine === machine)?.last ?? 0;
  }

  until(what, probe) {
    return this.program.until(what, probe);
  }

  is(state) {
    return this.until(state, () => this.all('state').at(-1) === state);
  }

  /** Until both workers have heard a machine say so many more. */
  async hears(machine, more) {
    for (const slot of [0, 1]) {
      const last = this.last(slot, machine);
      await this.until(`slot ${slot} hears ${machine}`, () => this.last(slot, machine) >= last + more);
    }
  }
}

/** Runs a machine on each end of the cable. */
function onBoth(client, at, machines, body) {
  const start = (place, name, then) =>
    run(
      'bus/programs/under-load.js',
      {
        within: machines[place].within,
        env: { CLIENT: client, AT: JSON.stringify({ ...at, patience: PATIENCE }), MACHINE: name },
        exits: [0, 0],
      },
      async program => {
        await then(new Machine(program));
        program.process.kill('SIGTERM');
        assert.deepEqual(await program.end(), { code: 0, signal: null });
      },
    );
  return start(0, 'near', near => start(1, 'far', far => body(near, far)));
}

/** What a worker has heard is in order: of its own machine all, of the other what has not been told to be missing. */
function check(of, own) {
  const all = of.all('heard');
  assert.deepEqual(
    all.filter(({ inOrder }) => !inOrder),
    [],
    'in order, at most once',
  );
  for (const { machine, first, last, count, missed, unknown } of all) {
    if (machine === own) assert.equal(count, last - first + 1);
    else if (unknown === 0) assert.equal(count + missed, last - first + 1, 'what is missing has been told');
  }
}

for (const client of ['nats', '@nats-io/transport-node', 'ioredis', 'redis']) {
  const kind = CLIENTS[client]?.broker;
  const lacks = noNetworks ?? (kind && missing(kind));
  const title = `a cable that is cut under load and mended leaves gaps, and nobody waits, over ${client}`;
  test(lacks ? `${title}: skipped, ${lacks}` : title, { skip: noBus || Boolean(lacks) }, async t => {
    const { machines, cut, mend } = await networks.twoMachines(t);
    const [{ host, within }] = machines;
    const { port } = await startBroker(t, kind, { host, within });
    await onBoth(client, { host, port }, machines, async (near, far) => {
      await near.hears('far', 100);
      await far.hears('near', 100);
      cut();
      await far.is('disconnected');
      // On both ends all goes on.
      await far.hears('far', 100);
      await near.hears('near', 100);
      const before = far.lines;
      mend();
      await far.is('connected');
      // Each is told, of what it cannot know.
      for (const slot of [0, 1])
        await far.until(`slot ${slot} has a gap`, () =>
          far.all('gap', before).some(gap => gap.slot === slot && gap.missed === null),
        );
      await near.hears('far', 200);
      await far.hears('near', 200);
      check(near, 'near');
      check(far, 'far');
    });
  });
}
