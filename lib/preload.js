'use strict';

// The first code that runs in a worker: `node --require lib/preload.js …` (see ./worker_process). It makes the
// process a worker before any user code runs, and leaves no trace of itself.

const { isMainThread } = require('node:worker_threads');

const install = require('./install');

if (isMainThread) {
  const place = process.execArgv.indexOf(__filename);
  if (place > 0) process.execArgv.splice(place - 1, 2);
  install();
}
