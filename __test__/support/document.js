'use strict';

// The programs in a document: blocks of code whose first line is a comment with the name of a file.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after } = require('node:test');

const ROOT = path.join(__dirname, '..', '..');

/**
 * Writes the programs of a document into a folder, which goes when the tests are over.
 *
 * @param {string} name of the document, in docs/
 * @param {string[]} [packages] that they load besides rust-cluster
 * @returns {{ names: string[], folder: string }}
 */
function programsOf(name, packages = []) {
  const text = fs.readFileSync(path.join(ROOT, 'docs', name), 'utf8');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-document-'));
  after(() => fs.rmSync(folder, { recursive: true }));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(ROOT, path.join(folder, 'node_modules', 'rust-cluster'));
  for (const other of packages)
    fs.symlinkSync(path.join(ROOT, 'node_modules', other), path.join(folder, 'node_modules', other));
  const programs = [...text.matchAll(/^```js\n\/\/ (\S+)\n(.*?)^```$/gms)].map(([, ...program]) => program);
  for (const [file, program] of programs) fs.writeFileSync(path.join(folder, file), program);
  return { names: programs.map(([file]) => file), folder };
}

module.exports = { programsOf };
