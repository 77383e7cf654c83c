'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const readline = require('node:readline');
const { test } = require('node:test');
const { missing, startBroker } = require('../support/broker');
const { run } = require('../support/program');
const way = require('../support/way');
const { COUNT, EXAMPLES } = require('./example');

const skip = way === 'node' && "Node's own cluster has no bus";
const WORKERS = Math.max(2, COUNT);

const chat = (env, body) =>
  run(
    path.join(EXAMPLES, 'chat.js'),
    { env: { PORT: 0, ...env }, exits: Array(WORKERS).fill('SIGTERM') },
    async program => {
      const workers = await program.events('listening', WORKERS);
      await body(program, workers[0].address.port);
      for (const { pid } of workers) process.kill(pid, 'SIGTERM');
    },
  );

/** A person at a terminal, once there is a chat. */
async function person(t, port) {
  const socket = net.connect(port, '127.0.0.1');
  t.after(() => socket.destroy());
  const lines = readline.createInterface({ input: socket });
  const heard = [];
  lines.on('line', line => heard.push(line));
  const until = async pattern => {
    while (!heard.some(line => pattern.test(line))) await once(lines, 'line');
  };
  await until(/^welcome$/);
  return { say: text => socket.write(`${text}\n`), until, heard };
}

test('chat.js: what one writes the others read, by whatever workers', { skip }, t =>
  chat({ MACHINE: 'a' }, async (_program, port) => {
    const people = await Promise.all(Array.from({ length: 6 }, () => person(t, port)));
    people[0].say('hello');
    for (const other of people.slice(1)) await other.until(/^a\/\d hello$/);
    people[1].say('bye');
    await people[0].until(/^a\/\d bye$/);
    assert.deepEqual(
      people[0].heard.filter(line => line.endsWith('hello')),
      [],
      'no echo',
    );
  }),
);

for (const [kind, variable, at] of [
  ['nats', 'NATS', port => `127.0.0.1:${port}`],
  ['redis', 'REDIS', port => `redis://127.0.0.1:${port}`],
]) {
  const lacks = missing(kind);
  const name = `chat.js: two machines, over ${kind}`;
  test(lacks ? `${name}: skipped, ${lacks}` : name, { skip: skip || Boolean(lacks) }, async t => {
    const env = { [variable]: at((await startBroker(t, kind)).port) };
    await chat({ ...env, MACHINE: 'a' }, (first, one) =>
      chat({ ...env, MACHINE: 'b' }, async (second, other) => {
        for (const program of [first, second]) await program.lines(/^joined$/);
        const [ada, bob] = [await person(t, one), await person(t, other)];
        ada.say('hello');
        await bob.until(/^a\/\d hello$/);
        bob.say('hello back');
        await ada.until(/^b\/\d hello back$/);
      }),
    );
  });
}
