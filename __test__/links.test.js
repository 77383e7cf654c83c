'use strict';

// Every link of our documents into this repository leads somewhere: to a file, and to a heading of it.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');

const ROOT = path.join(__dirname, '..');
const files = execFileSync('git', ['ls-files', '*.md'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');

/** What GitHub makes of the headings of a document. */
function anchors(file) {
  const headings = fs.readFileSync(file, 'utf8').match(/^#+ .*$/gm) ?? [];
  return headings.map(heading =>
    heading
      .replace(/^#+ /, '')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** The links of a document into this repository. */
function links(file) {
  const text = fs.readFileSync(path.join(ROOT, file), 'utf8').replace(/^```.*?^```/gms, '');
  const all = [...text.matchAll(/(?:\]\(|(?:src|srcset)=")([^)\s"]+)/g)].map(([, link]) => link);
  return all.filter(link => !/^[a-z]+:/.test(link));
}

test("the README's links lead somewhere in an installed package, too", () => {
  const packed = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const there = JSON.parse(packed)[0].files.map(({ path: name }) => name);
  const missing = links('README.md')
    .map(link => link.replace(/#.*/, ''))
    .filter(name => name && !there.some(file => file === name || file.startsWith(`${name}/`)));
  assert.deepEqual(missing, []);
});

for (const file of files) {
  test(`${file}: its links lead somewhere`, () => {
    for (const link of links(file)) {
      const [name, anchor] = link.split('#');
      const target = name ? path.join(ROOT, path.dirname(file), name) : path.join(ROOT, file);
      assert.ok(fs.existsSync(target), link);
      if (anchor) assert.ok(anchors(target).includes(anchor), link);
    }
  });
}
