'use strict';

// Options of Node that load this package: `-r rust-cluster/register`. A worker needs none, and may have another working
// directory, or another release, in which there is no such file. So they are left out where a worker is started, and
// put back into what its program sees (./preload).

const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { fileURLToPath } = require('node:url');

const ROOT = path.join(__dirname, '..', '..');
const NAMES = new Set(['rust-cluster', 'rust-cluster/register']);
const FILES = new Set(['index.js', 'index.mjs', 'register.js'].map(name => path.join(ROOT, name)));

const OPTION = /^(?:-r|--require|--import)$/;
const OPTION_WITH_VALUE = /^(?:--require|--import)=(.*)$/s;

/** As Node splits NODE_OPTIONS: at spaces that are not within quotes. */
const WORD = /(?:[^ "]|"(?:[^"\\]|\\.)*")+/gs;

/** Which specifiers name this package, by where they were when it was loaded. */
const known = new Map();

function isOwn(specifier) {
  if (NAMES.has(specifier)) return true;
  if (!known.has(specifier)) known.set(specifier, namesOwnFile(specifier));
  return known.get(specifier);
}

function namesOwnFile(specifier) {
  if (!/^(?:\.{0,2}\/|file:)/.test(specifier)) return false;
  try {
    const file = specifier.startsWith('file:') ? fileURLToPath(specifier) : specifier;
    const found = createRequire(path.join(process.cwd(), 'x')).resolve(file);
    return FILES.has(found) || FILES.has(fs.realpathSync(found));
  } catch {
    // There is no such file, or no working directory.
    return false;
  }
}

/**
 * The places of the words that load this package.
 * @param {string[]} words
 * @returns {Set<number>}
 */
function ownOptions(words) {
  const own = new Set();
  for (const [place, word] of words.entries()) {
    const value = word.match(OPTION_WITH_VALUE)?.[1];
    if (value !== undefined && isOwn(value)) own.add(place);
    if (OPTION.test(word) && typeof words[place + 1] === 'string' && isOwn(words[place + 1]))
      own.add(place).add(place + 1);
  }
  return own;
}

/** @param {string[]} execArgv */
function withoutRegister(execArgv) {
  const own = ownOptions(execArgv);
  return own.size === 0 ? execArgv : execArgv.filter((_, place) => !own.has(place));
}

/** @param {string} text NODE_OPTIONS */
function textWithoutRegister(text) {
  const quoted = text.match(WORD) ?? [];
  const own = ownOptions(
    quoted.map(word => word.replace(/"((?:[^"\\]|\\.)*)"/gs, (_, inner) => inner.replace(/\\(.)/gs, '$1'))),
  );
  return own.size === 0 ? text : quoted.filter((_, place) => !own.has(place)).join(' ');
}

// While the working directory is what it was when Node read them.
ownOptions(process.execArgv);
textWithoutRegister(process.env.NODE_OPTIONS ?? '');

module.exports = { withoutRegister, textWithoutRegister };
