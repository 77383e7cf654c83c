'use strict';

const fs = require('node:fs');
const path = require('node:path');

/**
 * @typedef {object} Test
 * @property {string} name such as parallel/test-cluster-basic
 * @property {string} file
 * @property {string[]} flags
 * @property {Record<string, string>} env
 * @property {boolean} sequential
 */

const sets = {
  cluster: { prefixes: ['cluster'] },
  handles: {
    prefixes: [
      'child-process',
      'diagnostics-channel',
      'inspector',
      'listen-fd',
      'net',
      'http',
      'https',
      'http2',
      'tls',
      'dgram',
    ],
    where: source => usesCluster(source) || passesHandles(source),
  },
};

const all = ['cluster', 'handles', 'net', 'http', 'dgram', 'tls', 'https', 'http2'];

function usesCluster(source) {
  return /(?:require|import)\(['"](?:node:)?cluster['"]\)|from ['"](?:node:)?cluster['"]/.test(source);
}

/** A second argument of `send()` need not be a handle: too many tests do no harm, too few would. */
function passesHandles(source) {
  const hasChannel = /\bfork\(|process\.send\(|require\(['"](?:node:)?child_process['"]\)/.test(source);
  return hasChannel && /\bsend\([^;]*?,\s*[A-Za-z_.]+/.test(source);
}

/**
 * The tests of the named sets, those of parallel/ first.
 *
 * @param {string} dir
 * @param {string[]} names
 * @param {RegExp} only
 * @returns {Test[]}
 */
function select(dir, names, only) {
  const chosen = names.flatMap(name => (name === 'all' ? all : [name]));
  const filters = chosen.map(name => sets[name] ?? { prefixes: [name] });
  return ['parallel', 'sequential'].flatMap(folder =>
    list(dir, folder)
      .filter(name => only.test(name.replace(/\.m?js$/, '')))
      .filter(name => filters.some(filter => matches(dir, name, filter)))
      .map(name => describe(dir, name)),
  );
}

function list(dir, folder) {
  const names = fs.readdirSync(path.join(dir, folder), { recursive: true, encoding: 'utf8' });
  return names
    .filter(name => /^test-.*\.m?js$/.test(path.basename(name)))
    .map(name => `${folder}/${name}`)
    .sort();
}

function matches(dir, name, { prefixes, where }) {
  const base = path.basename(name).replace(/\.m?js$/, '');
  if (!prefixes.some(prefix => base === `test-${prefix}` || base.startsWith(`test-${prefix}-`))) return false;
  return !where || where(fs.readFileSync(path.join(dir, name), 'utf8'));
}

/** Flags and environment as tools/test.py of Node reads them out of a test. */
function describe(dir, name) {
  const file = path.join(dir, name);
  const source = fs.readFileSync(file, 'utf8');
  const words = key =>
    (source.match(new RegExp(`//\\s+${key}:(.*)`))?.[1] ?? '').trim().split(/\s+/).filter(Boolean);
  const env = words('Env').map(pair => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]);
  return {
    name: name.replace(/\.m?js$/, ''),
    file,
    flags: words('Flags'),
    env: Object.fromEntries(env),
    sequential: name.startsWith('sequential/'),
  };
}

module.exports = { select };
