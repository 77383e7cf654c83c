'use strict';

// What Electron changes in its main process, as far as a cluster meets it.

const childProcess = require('node:child_process');

if (!process.env.ELECTRON_RUN_AS_NODE) {
  process.versions.electron = '40.0.0';
  process.execPath = process.env.ELECTRON;
  const { fork } = childProcess;
  childProcess.fork = (file, args, options) =>
    fork(file, args, { ...options, env: { ...options?.env, ELECTRON_RUN_AS_NODE: '1' } });
}
