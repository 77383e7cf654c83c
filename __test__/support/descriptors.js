'use strict';

const fs = require('node:fs');

/** The descriptors that this process has open, each with what the kernel calls it. */
function descriptors() {
  const open = {};
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      open[fd] = fs.readlinkSync(`/proc/self/fd/${fd}`);
    } catch (error) {
      // The descriptor of the listing itself is closed by now.
      if (error.code !== 'ENOENT') throw error;
    }
  }
  return open;
}

/** How many sockets this process has open. */
const sockets = () => Object.values(descriptors()).filter(name => name.startsWith('socket:')).length;

module.exports = { descriptors, sockets };
