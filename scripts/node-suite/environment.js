'use strict';

/**
 * The environment of a test, less what belongs to whoever runs the suite: a npm script, a test runner, a shell.
 *
 * @param {import('./ways.js').Way} way
 * @returns {Record<string, string | undefined>}
 */
function environment(way) {
  const foreign = /^(NODE_|npm_|FORCE_COLOR$|NO_COLOR$)/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), ...way.env, NODE_OPTIONS: way.preloads.map(preload).join(' ') };
}

function preload(file) {
  return `--require=${/[\s"\\]/.test(file) ? JSON.stringify(file) : file}`;
}

module.exports = { environment };
