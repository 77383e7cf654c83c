'use strict';

// The cluster that is measured: Node's own, or the package at the path that the harness names.

module.exports = require(process.env.BENCH_CLUSTER);
