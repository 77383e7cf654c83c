'use strict';

// supervise(), driven by messages: the first has its options, each later one names a method. What it reports goes back.

const { supervise } = require('../../../supervisor');

let supervisor;

function begin({ options, file }) {
  // Options that are in a file are read anew each time.
  supervisor = supervise(file ? () => JSON.parse(require('node:fs').readFileSync(file, 'utf8')) : options);
  supervisor.on('report', report => process.send({ report }));
  supervisor.finished.then(
    code => process.send({ finished: code }, () => process.exit(code)),
    ({ code }) => process.send({ refused: code }, () => process.exit(1)),
  );
}

async function call(id, { method, args }) {
  try {
    process.send({ id, value: await supervisor[method](...args) });
  } catch ({ code, message, slot, why, lines }) {
    process.send({ id, error: { code, message, slot, why, lines } });
  }
}

process.on('message', message => {
  if (message.method) for (const id of message.ids) call(id, message);
  else begin(message);
});
