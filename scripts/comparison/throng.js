'use strict';

// The same server as app.js, as a program of throng's.

const { createRequire } = require('node:module');
const path = require('node:path');

const throng = createRequire(path.join(process.env.THRONG, 'index.js'))('throng');

throng({ count: 2, worker: () => require('./app') });
