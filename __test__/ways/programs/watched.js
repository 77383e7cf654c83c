'use strict';

// A program with telemetry: what its thread answers, and what was said of it.

const cluster = require('rust-cluster');
const { address } = require('rust-cluster/telemetry');
const http = require('node:http');
const { once } = require('node:events');

const warnings = [];

function get(path) {
  return new Promise((resolve, reject) => {
    const where = { port: address().port, host: '127.0.0.1', path, agent: false };
    http
      .get(where, answer => {
        let text = '';
        answer.setEncoding('utf8').on('data', part => {
          text += part;
        });
        answer.on('end', () => resolve([answer.statusCode, text]));
      })
      .on('error', reject);
  });
}

async function primary() {
  process.on('warning', ({ code, message }) => warnings.push([code, message]));
  cluster.setupPrimary({ telemetry: { port: 0 } });
  const worker = cluster.fork();
  await once(worker, 'listening');
  const [[livez], [page, text], [script]] = [await get('/livez'), await get('/'), await get('/main.mjs')];
  worker.disconnect();
  await once(worker, 'exit');
  console.log(`result ${JSON.stringify({ livez, page, isPage: /<html/.test(text), script, warnings })}`);
  process.exit();
}

if (cluster.isPrimary) primary();
else http.createServer().listen(0, '127.0.0.1');
