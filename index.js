'use strict';

module.exports = require('./lib/install').install();
