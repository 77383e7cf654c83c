'use strict';

// A given number of short connections, each with one request, whose answers are compared whole: where the
// number matters, and not the speed.

const net = require('node:net');

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

module.exports = connections;
