'use strict';

// A deployment: `current` points to another release, and the first one is removed. The primary stays.

const cluster = require(process.env.LOAD);
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const RELEASE = path.basename(__dirname);
const { BASE } = process.env;

async function primary() {
  cluster.setupPrimary({
    exec: path.join(BASE, 'current', 'release.js'),
    cwd: '/',
    serialization: 'advanced',
  });
  for (let id = 1; id <= 2; id++) {
    const port = await new Promise(resolve => cluster.fork().once('listening', ({ port }) => resolve(port)));
    // The worker needs now what it did not need to start.
    console.log(`worker ${id}: ${await get(port)}`);
    if (id === 1) deploy();
    cluster.workers[id].disconnect();
  }
}

function get(port) {
  return new Promise(resolve => {
    http.get({ port, agent: false }, response => {
      response.setEncoding('utf8').on('data', resolve);
    });
  });
}

function deploy() {
  fs.rmSync(path.join(BASE, 'current'));
  fs.symlinkSync('second', path.join(BASE, 'current'));
  fs.rmSync(path.join(BASE, 'first'), { recursive: true });
}

function worker() {
  process.on('message', ({ map }) => {
    process.send({ map });
  });
  http.createServer((_, response) => response.end(RELEASE)).listen(0);
}

if (cluster.isPrimary) primary();
else worker();
