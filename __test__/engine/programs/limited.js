'use strict';

// WORKERS workers under the settings in DISPATCH, each of which listens on PORTS ports: 'tcp', 'http' or 'https', as
// SERVES says. Each connection or request is told at once how many its worker serves at that moment, and ends when its
// client ends it (`/ends`: at once). A request for /leave has the primary disconnect all. One that ends is replaced. Where
// FAILS is set a worker cannot open the first connection, and survives that.

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const path = require('node:path');
const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: JSON.parse(process.env.DISPATCH) });
  for (let count = Number(process.env.WORKERS ?? 2); count > 0; count--) cluster.fork();
  cluster.on('exit', worker => worker.exitedAfterDisconnect || cluster.fork());
  cluster.on('message', () => cluster.disconnect());
} else {
  const pem = name => fs.readFileSync(path.join(__dirname, '..', 'fixtures', name));
  const serve = {
    tcp: () => net.createServer(echo),
    http: () => http.createServer(answer).on('upgrade', upgrade),
    https: () => https.createServer({ key: pem('key.pem'), cert: pem('cert.pem') }, answer),
  }[process.env.SERVES ?? 'http'];
  if (process.env.FAILS) failOnce();
  for (let count = Number(process.env.PORTS ?? 1); count > 0; count--) {
    const server = serve();
    if (process.env.MAX) server.maxConnections = Number(process.env.MAX);
    server.listen(0, '127.0.0.1');
  }
}

function failOnce() {
  const { prototype } = process.binding('tcp_wrap').TCP;
  const { open } = prototype;
  let calls = 0;
  // The first one is of a socket by which the class is found.
  prototype.open = function (fd) {
    calls++;
    return calls === 2 ? -22 : open.call(this, fd);
  };
  process.once('uncaughtException', () => {});
}

function opened(what) {
  const { id, open = 0 } = cluster.worker;
  cluster.worker.open = open + 1;
  what.once('close', () => cluster.worker.open--);
  return JSON.stringify({ id, pid: process.pid, open: open + 1 });
}

function echo(socket) {
  socket.on('error', () => {});
  socket.write(opened(socket));
  socket.resume().once('end', () => socket.end());
}

function answer(request, response) {
  response.setHeader('Content-Type', 'application/json');
  response.write(opened(response));
  if (request.url === '/leave') process.send('leave');
  if (request.url === '/ends') response.end();
  else request.resume().once('end', () => response.end());
}

function upgrade(_request, socket) {
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  echo(socket);
}
