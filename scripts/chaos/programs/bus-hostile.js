'use strict';

// What a hostile member of the bus does: it joins as anyone, and writes what it likes on the socket that it is given.

const { randomBytes } = require('node:crypto');
const fs = require('node:fs');
const { PROTOCOL, WISH, say: command, sayJson } = require('../../../lib/bus/protocol');
const { cluster, say, obey } = require('./tether');

/** Frame kinds: see src/messages/frame.rs. */
const JSON_KIND = 1;
const ADVANCED = 2;

/** More than a process may have of anything. */
const MANY = 20_000;

const HEADER = 8;

const join = () =>
  new Promise(resolve => {
    const within = cluster[Symbol.for('rust-cluster.within')];
    within.channel.ask({ act: 'joinBus', protocol: PROTOCOL }, (_message, fd) => resolve(fd));
  });

function frame(kind, payload, length = payload.length) {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(length);
  header[4] = kind;
  return Buffer.concat([header, Buffer.from(payload)]);
}

const told = bytes => frame(ADVANCED, bytes);
const longName = number => `${number}`.padStart(1024, 'x');

/** Each gets a socket, and gives what is to be written there. */
const attacks = {
  *garbage() {
    for (let count = 0; count < 64; count++) yield randomBytes(1 + count * 17);
  },
  *lyingLength() {
    yield frame(ADVANCED, randomBytes(100), 0xffff_ffff);
    yield randomBytes(1_000_000);
  },
  *neverFinished() {
    yield frame(ADVANCED, Buffer.alloc(15_000_000), 16_000_000);
  },
  *lyingName() {
    yield told(Buffer.from([1, 1, 0, 0, 0, 0xff, 0xff, 120]));
  },
  *aMillionNames() {
    for (let number = 0; number < 1_000_000; number += 4) {
      const name = `${number}`;
      const all = [
        told(command.subscribe(number, name)),
        told(command.serve(number + 1, name)),
        told(command.lock(number + 2, WISH.exclusive, name)),
      ];
      if (number % 400 === 0) all.push(frame(JSON_KIND, sayJson.ask(number + 3, 0, 0, '"work"', '[0,"x"]')));
      yield Buffer.concat(all);
    }
  },
  *longNames() {
    for (let number = 0; number < MANY; number++)
      yield Buffer.concat([
        told(command.subscribe(number, longName(number))),
        told(command.serve(MANY + number, longName(number))),
        told(command.lock(2 * MANY + number, WISH.shared, longName(number))),
      ]);
  },
  *readsNoAnswer() {
    yield told(command.set(1, 0, 'large', Buffer.alloc(4_000_000)));
    for (let id = 2; id < 100; id++) yield told(command.get(id, 'large'));
  },
  *readsNothing() {
    for (const name of ['news', 'flood', 'gossip']) yield told(command.subscribe(1, name));
  },
  *answersForOthers() {
    for (let token = 0; token < MANY; token++) {
      yield frame(JSON_KIND, sayJson.answer(token, '["it is mine","0/1"]'));
      yield told(command.answer(token, true, Buffer.from([9, 9, 9])));
    }
  },
  *passesForAnother() {
    yield frame(JSON_KIND, '["gossip",1],[0,"news",["0/1",99999999]]');
  },
  *noJson() {
    yield frame(JSON_KIND, '["gossip",');
  },
  *freesOthersLocks() {
    for (let id = 0; id < MANY; id++) yield told(command.unlock(id));
  },
  *fillsTheStore() {
    for (let number = 0; number < MANY; number++)
      yield told(command.set(number, 0, longName(number), randomBytes(8192)));
  },
};

/** How many sockets it gets. */
const SOCKETS = 16;

obey({
  async attack({ name }) {
    const fds = [];
    for (let count = 0; count < (name === 'readsNothing' ? 2 : SOCKETS); count++) fds.push(await join());
    let written = 0;
    // On one after the other: the last ones are there while the first write.
    for (const fd of name.startsWith('reads') ? fds.slice(0, 2) : fds.slice(0, 1)) {
      try {
        for (const bytes of attacks[name]()) {
          for (let at = 0; at < bytes.length; ) at += fs.writeSync(fd, bytes, at);
          written += bytes.length;
        }
      } catch ({ code }) {
        say('cut off', { id: cluster.worker.id, name, code });
      }
    }
    say('attacked', { id: cluster.worker.id, name, written });
  },
  attacks: () => say('attacks', { names: Object.keys(attacks) }),
});

say('ready', { id: cluster.worker.id, role: 'hostile' });
