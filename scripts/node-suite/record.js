'use strict';

// Preloaded into every process of a test, under Node's own cluster as under rust-cluster: notes how the process
// itself ends and how its children did. A child's end has two witnesses, because a parent that leaves first sees
// nothing and a process that gets a signal can say nothing. No listener is added and no module of cluster is
// loaded, since tests look at both.

const { ChildProcess } = require('node:child_process');
const { appendFileSync } = require('node:fs');
const { isMainThread } = require('node:worker_threads');
const { logFile } = require('./exits.js');

const file = process.env.NODE_TEST_DIR && logFile(process.env.NODE_TEST_DIR);
const { pid } = process;

function note(event) {
  try {
    appendFileSync(file, `${JSON.stringify(event)}\n`);
  } catch {
    // The test may have taken away the rights or the folder.
  }
}

function watchChildren() {
  const { emit } = ChildProcess.prototype;
  Object.defineProperty(ChildProcess.prototype, 'emit', {
    configurable: true,
    writable: true,
    value: function (...args) {
      if (args[0] === 'exit') note({ event: 'seen', pid: this.pid, exit: args[2] ?? args[1] });
      return Reflect.apply(emit, this, args);
    },
  });
}

/** `process.exit()` ends in `reallyExit`, every other end in the event alone; listeners may change the code. */
function watchSelf() {
  const { emit, reallyExit } = process;
  process.emit = function (...args) {
    const result = Reflect.apply(emit, this, args);
    if (args[0] === 'exit') note({ event: 'end', pid, exit: process.exitCode ?? args[1] ?? 0 });
    return result;
  };
  process.reallyExit = function (code, ...rest) {
    note({ event: 'end', pid, exit: code ?? 0 });
    return Reflect.apply(reallyExit, this, [code, ...rest]);
  };
}

if (isMainThread && file) {
  note({ event: 'start', pid });
  watchChildren();
  watchSelf();
}
