'use strict';

// A message that was delivered is the program's alone: it can be collected though none follows it.

const cluster = require('rust-cluster');

if (cluster.isPrimary) {
  cluster.setupPrimary({ serialization: process.env.SERIALIZATION });
  const worker = cluster.fork();
  worker.once('message', message => {
    const reference = new WeakRef(message);
    // In turns of their own: a reference that was looked at lives until the end of the turn.
    setImmediate(() => {
      globalThis.gc();
      setImmediate(() => {
        console.log(reference.deref() ? 'kept' : 'let go');
        worker.disconnect();
      });
    });
  });
} else {
  process.send({ some: 'message' });
}
