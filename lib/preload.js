'use strict';

// The first code that runs in a worker: `node --require lib/preload.js …` (see ./worker_process). It makes the
// process a worker before any user code runs, and leaves no trace of itself.

const { VARIABLE, install } = require('./install');

// Preloads run in the worker threads of this process too, which are nobody's workers.
if (process.env[VARIABLE]) {
  const place = process.execArgv.indexOf(__filename);
  if (place > 0) process.execArgv.splice(place - 1, 2);
  install();
}
