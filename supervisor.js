'use strict';

// require('rust-cluster/supervisor'): what the command `rust-cluster` is made of.

const cluster = require('./index');
const { supervise } = require('./lib/supervisor/supervise');

module.exports = { supervise: options => supervise(cluster, options) };
