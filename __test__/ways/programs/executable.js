'use strict';

// The program of a single-executable application: `require` knows Node's own modules only, the others lie beside it.

const { createRequire } = require('node:module');

createRequire(process.execPath)(process.env.PROGRAM);
