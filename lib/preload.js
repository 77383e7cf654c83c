'use strict';

// The first code that runs in a worker: `node --require lib/preload.js …` (see ./worker_process). It makes the
// process a worker before any user code runs, and leaves no trace of itself.

const { VARIABLE, install, preloadOption } = require('./install');

// Named on the command line, and in NODE_OPTIONS before what the user preloads there. Worker threads of this
// process have both too, though they are nobody's workers.
const place = process.execArgv.indexOf(__filename);
if (place > 0) process.execArgv.splice(place - 1, 2);
const { NODE_OPTIONS } = process.env;
const option = preloadOption(__filename);
if (NODE_OPTIONS?.startsWith(option)) process.env.NODE_OPTIONS = NODE_OPTIONS.slice(option.length);

if (process.env[VARIABLE]) install();
