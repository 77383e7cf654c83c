'use strict';

// A given number of short connections, each with one request, whose answers are compared whole: where the
// number matters, and not the speed.

const net = require('node:net');
const { setTimeout } = require('node:timers/promises');

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';

/**
 * @param {{ port: number, count: number, clients: number, body: string }} load
 * @throws if an answer is missing or wrong
 */
async function connections({ port, count, clients, body }) {
  let left = count;
  await Promise.all(
    Array.from({ length: Math.min(clients, count) }, async () => {
      while (left-- > 0) await connection(port, body);
    }),
  );
}

/**
 * As many a second, whether those before have been answered or not: where a client waits, the others come all the same.
 * @param {{ port: number, perSecond: number, count: number, body: string }} load
 * @returns {Promise<number[]>} how long each took from when it was to begin, in ms
 */
async function arrivals({ port, perSecond, count, body }) {
  const begin = performance.now();
  const one = async number => {
    const due = begin + (number * 1000) / perSecond;
    await setTimeout(Math.max(0, due - performance.now()));
    await connection(port, body);
    return performance.now() - due;
  };
  return Promise.all(Array.from({ length: count }, (_, number) => one(number)));
}

function connection(port, body) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.setEncoding('latin1');
    socket.on('connect', () => socket.write(REQUEST));
    socket.on('data', text => {
      answer += text;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      if (answer.startsWith('HTTP/1.1 200 OK\r\n') && answer.endsWith(`\r\n\r\n${body}`)) resolve();
      else reject(new Error(`a wrong answer: ${JSON.stringify(answer)}`));
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer within 10 s')));
  });
}

module.exports = Object.assign(connections, { arrivals });
