'use strict';

const fs = require('node:fs');
const proc = require('./proc');

/** The descriptors that this process has open, each with what the kernel calls it. */
const descriptors = () => proc.descriptors('self');

/** How many sockets this process has open. */
const sockets = () => Object.values(descriptors()).filter(name => name.startsWith('socket:')).length;

/** The number of the socket on which a worker is given its connections: the one of its kind. */
function intake() {
  const lines = fs.readFileSync('/proc/net/unix', 'latin1').split('\n');
  const sockets = lines.map(line => line.split(/\s+/)).filter(([, , , , type]) => type === '0005');
  const names = sockets.map(([, , , , , , inode]) => `socket:[${inode}]`);
  return Number(Object.entries(descriptors()).find(([, name]) => names.includes(name))[0]);
}

/** Takes all descriptors that are left to this process. */
function takeAll() {
  const taken = [];
  try {
    for (;;) taken.push(fs.openSync('/dev/null'));
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  return taken;
}

module.exports = { descriptors, intake, sockets, takeAll };
