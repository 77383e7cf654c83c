'use strict';

// A process prints more lines to stderr than there is room for, and exits; two that share it end by themselves.

const { fork } = require('node:child_process');
const { Output } = require('../../../lib/supervisor/output');

const [name, count, other] = process.argv.slice(2);
if (other) fork(__filename, [other, count, '']);
const output = new Output(process.stderr, 'json');
for (let place = 0; place < Number(count); place++)
  output.print({ event: name, place, text: 'x'.repeat(2000) });
if (other === undefined) output.written().then(() => process.exit());
