'use strict';

// As Electron and pkg do it: the system loads no addon out of an archive, so it is written to a file first.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { dlopen } = process;

process.dlopen = function (module, file, ...flags) {
  if (!file.includes('.zip/')) return dlopen.call(this, module, file, ...flags);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'unpacked-'));
  const copy = path.join(folder, path.basename(file));
  fs.writeFileSync(copy, fs.readFileSync(file));
  try {
    return dlopen.call(this, module, copy, ...flags);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
};
