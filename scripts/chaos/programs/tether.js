'use strict';

// A process's connection to the test, beside the cluster's own: it keeps no process alive.

const fs = require('node:fs');
const net = require('node:net');

const cluster = require(process.env.CLUSTER === 'node' ? 'node:cluster' : 'rust-cluster');

const socket = net.connect(process.env.TETHER);
const log = fs.openSync(process.env.LOG, 'a');
const commands = {};
let rest = '';

socket.on('error', () => {});
socket.setEncoding('utf8');
socket.on('data', chunk => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    const { command, ...values } = JSON.parse(line);
    commands[command](values);
  }
});
socket.unref();

/** Tells the test that something happened. */
const say = (event, details) => socket.write(`${JSON.stringify({ event, ...details })}\n`);

/** Tells it even if the process dies at the next instruction. */
const note = line => fs.writeSync(log, `${line}\n`);

/** Has the test command this process. */
const obey = more => Object.assign(commands, more);

/** Keeps the processor busy. */
function spin(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

socket.write(`${JSON.stringify({ id: cluster.worker?.id ?? 0, pid: process.pid })}\n`);

module.exports = { cluster, say, note, obey, spin };
