'use strict';

// How many workers `auto` is, under control groups that a mount namespace puts in the place of the machine's.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { load } = require('../../lib/native');

const addon = JSON.stringify(require.resolve('../../lib/native'));
const asked = `console.log(JSON.stringify(require(${addon}).load().processors()))`;

/** Runs words in a mount namespace, after a script that mounts. */
const inNamespace = (script, args) =>
  spawnSync('unshare', ['--mount', '--map-root-user', 'sh', '-ec', `${script}\nexec "$@"`, 'sh', ...args], {
    encoding: 'utf8',
  });

/** The kernel's list of mounts for a version of control groups. */
const MOUNTS = {
  1: '31 23 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n',
  2: '31 23 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
};

/** What a process finds whose control groups are `files`, and whose own is `group` (as /proc/self/cgroup has it). */
function under(t, version, group, files) {
  const place = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  t.after(() => fs.rmSync(place, { recursive: true }));
  const tree = path.join(place, 'tree');
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(tree, version === 1 ? 'cpu' : '', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  // Each group of version 2 has this, by which it is known.
  if (version === 2) fs.writeFileSync(path.join(tree, 'a', 'b', 'cgroup.controllers'), 'cpu\n');
  fs.writeFileSync(path.join(place, 'group'), group);
  fs.writeFileSync(path.join(place, 'mounts'), MOUNTS[version]);
  const mounts = [
    ['group', '/proc/$$/cgroup'],
    ['mounts', '/proc/$$/mountinfo'],
    ['tree', '/sys/fs/cgroup'],
  ].map(([name, at]) => `mount --bind '${path.join(place, name)}' "${at}"`);
  const { stdout, stderr } = inNamespace(mounts.join('\n'), [process.execPath, '-e', asked]);
  return JSON.parse(stdout || JSON.stringify(stderr));
}

const { count } = load().processors();
const probe = inNamespace('mount --bind /proc/version "/proc/$$/cgroup"', ['true']);
const skip =
  (count < 2 && 'it takes two processors to lose one') ||
  (probe.status !== 0 && `no mount namespace here: ${probe.error?.message ?? probe.stderr.trim()}`);
const named = skip ? ` (skipped: ${skip})` : '';

const CASES = {
  'v2, a quota of one and a half is rounded down': [2, '0::/a/b\n', { 'a/b/cpu.max': '150000 100000\n' }, 1],
  'v2, a quota of a tenth is one': [2, '0::/a/b\n', { 'a/b/cpu.max': '10000 100000\n' }, 1],
  'v2, a quota further up counts': [
    2,
    '0::/a/b\n',
    { 'a/cpu.max': '100000 100000\n', 'a/b/cpu.max': 'max 100000\n' },
    1,
  ],
  'v2, without a quota all count, however few the shares': [
    2,
    '0::/a/b\n',
    { 'a/b/cpu.max': 'max 100000\n', 'a/b/cpu.weight': '1\n' },
    count,
  ],
  'v1, a quota is rounded down': [
    1,
    '1:cpu:/a\n',
    { 'a/cpu.cfs_quota_us': '150000\n', 'a/cpu.cfs_period_us': '100000\n' },
    1,
  ],
  'v1, a quota further up counts': [
    1,
    '1:cpu:/a/b\n',
    {
      'a/cpu.cfs_quota_us': '100000\n',
      'a/cpu.cfs_period_us': '100000\n',
      'a/b/cpu.cfs_quota_us': '-1\n',
      'a/b/cpu.cfs_period_us': '100000\n',
    },
    1,
  ],
  'v1, without a quota all count, however few the shares': [
    1,
    '1:cpu:/a\n',
    { 'a/cpu.cfs_quota_us': '-1\n', 'a/cpu.cfs_period_us': '100000\n', 'a/cpu.shares': '2\n' },
    count,
  ],
  'files that say nothing bound nothing': [2, '0::/a/b\n', { 'a/b/cpu.max': 'nonsense\n' }, count],
};

for (const [name, [version, group, files, expected]] of Object.entries(CASES)) {
  test(`${name}${named}`, { skip }, t => {
    const found = under(t, version, group, files);
    assert.equal(found.count, expected, JSON.stringify(found));
    assert.equal(found.bound === 'quota', expected < count, JSON.stringify(found));
  });
}

const alone =
  (count < 2 && 'it takes two processors to lose one') ||
  (spawnSync('taskset', ['--version']).status !== 0 && 'taskset is not installed');
test(`an affinity of one processor is one${alone ? ` (skipped: ${alone})` : ''}`, { skip: alone }, () => {
  const own = spawnSync('taskset', ['-pc', `${process.pid}`], { encoding: 'utf8' }).stdout;
  const processor = own.match(/: (\d+)/)[1];
  const { stdout } = spawnSync('taskset', ['-c', processor, process.execPath, '-e', asked], {
    encoding: 'utf8',
  });
  assert.deepEqual(JSON.parse(stdout), { count: 1, bound: 'affinity' });
});
