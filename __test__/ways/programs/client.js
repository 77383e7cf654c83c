'use strict';

// What a test of somebody's own server does, under whatever runs it: asks who it is, and starts the server.

const { execFileSync } = require('node:child_process');
const path = require('node:path');

/** @returns {{ isPrimary: boolean, answers: string[] }} */
module.exports = () => {
  const cluster = require(process.env.PACKAGE);
  const output = execFileSync(
    process.env.NODE,
    ['-r', process.env.PRELOAD, path.join(__dirname, 'served.js')],
    { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } },
  );
  const [, said] = output.match(/^result (.*)$/m);
  return { isPrimary: cluster.isPrimary, answers: JSON.parse(said).answers };
};
