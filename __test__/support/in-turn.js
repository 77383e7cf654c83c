'use strict';

// Loaded before a program whose workers are to have their turns however busy they are: only one that takes nothing for
// 70 ms is passed over. At SIGUSR2 the primary says a line on stdout, when it has told what has happened until then.

const cluster = process.env.CLUSTER === 'node' ? require('node:cluster') : require('../..');

if (cluster.isPrimary) {
  if (process.env.CLUSTER !== 'node') cluster.setupPrimary({ dispatch: 'round-robin' });
  process.on('SIGUSR2', () => setImmediate(() => console.log('all is told')));
}
