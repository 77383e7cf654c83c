'use strict';

// The files of the live view, as the thread that answers serves them: read once, when it starts.

const fs = require('node:fs');
const path = require('node:path');

const FOLDER = path.join(__dirname, 'page');

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};

/** @returns {{ path: string, type: string, bytes: Buffer }[]} */
function assets() {
  return fs.readdirSync(FOLDER).map(name => ({
    path: name === 'index.html' ? '/' : `/${name}`,
    type: TYPES[path.extname(name)],
    bytes: fs.readFileSync(path.join(FOLDER, name)),
  }));
}

module.exports = { assets };
