'use strict';

// Loaded before a program that cannot be told its port: MOVED says which it names, and on which it listens instead.

const net = require('node:net');

const [from, to] = process.env.MOVED.split(' ').map(Number);
const { listen } = net.Server.prototype;

net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, port === from ? to : port, ...rest);
};
