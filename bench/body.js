'use strict';

// What every worker answers, and every client expects.

module.exports = 'answered by a worker\n';
