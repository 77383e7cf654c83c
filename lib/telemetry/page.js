'use strict';

// The files of the live view, as the thread that answers serves them: read once, when it starts.

const fs = require('node:fs');
const path = require('node:path');

const errors = require('../errors');

const FOLDER = path.join(__dirname, 'page');

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** By name: in a bundle the folder may be a program's own, and nothing of that is to be served. */
const FILES = [
  'index.html',
  'charts.mjs',
  'history.mjs',
  'icon.svg',
  'life.mjs',
  'main.mjs',
  'measures.mjs',
  'source.mjs',
  'style.css',
  'table.mjs',
  'uPlot.LICENSE.txt',
  'uPlot.iife.min.js',
  'uPlot.min.css',
  'view.mjs',
  'words.mjs',
];

/**
 * All of them, or none, which is said: all else is there without them.
 * @returns {{ path: string, type: string, bytes: Buffer }[]}
 */
function assets() {
  try {
    return FILES.map(name => ({
      path: name === 'index.html' ? '/' : `/${name}`,
      type: TYPES[path.extname(name)],
      bytes: fs.readFileSync(path.join(FOLDER, name)),
    }));
  } catch (error) {
    process.emitWarning(errors.noPage(FOLDER, error));
    return [];
  }
}

module.exports = { assets };
