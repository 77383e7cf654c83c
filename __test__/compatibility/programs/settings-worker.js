'use strict';

// What the settings of a cluster make of a worker.

const cluster = require('rust-cluster');

const { COLOUR, NUMBER, NOTHING } = process.env;
// A Map arrives only under 'advanced'.
process.send(
  new Map([
    ['exec', [process.argv[1] === __filename, require.main === module]],
    ['args', process.argv.slice(2)],
    ['execArgv', process.execArgv],
    ['stackTraceLimit', Error.stackTraceLimit],
    ['cwd', process.cwd() === require('node:path').join(__dirname, '..')],
    ['env', [COLOUR, NUMBER, `${NOTHING}`]],
    ['isWorker', cluster.isWorker],
  ]),
);
