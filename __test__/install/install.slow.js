'use strict';

// Every way in which the package comes to a user's machine: from the tarball that `npm pack` makes, into a
// folder outside the checkout, where a clustered server must then run. The Rust core is built again and again:
// minutes.

const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { get } = require('../support/http');
const { run } = require('../support/program');

const ROOT = path.join(__dirname, '..', '..');
const MANIFEST = require('../../package.json');
/** The C library of this machine, as the names of the platform packages have it. */
const LIBC = process.report.getReport().header.glibcVersionRuntime ? 'gnu' : 'musl';
const PLATFORM = `linux-${process.arch}-${LIBC}`;
const PLATFORM_PACKAGE = `rust-cluster-${PLATFORM}`;
const ADDON = 'rust-cluster.node';

/** Package managers that the registry has, and how they add a package where its install script may run. */
const MANAGERS = {
  'pnpm 12': {
    spec: 'pnpm@12.21.0',
    add: ['pnpm', 'add'],
    // By the package's name it can be allowed too, but not one of a tarball.
    allowed: { files: { 'pnpm-workspace.yaml': 'dangerouslyAllowAllBuilds: true\n' } },
    blocked: { code: 1 },
  },
  'yarn 1': { spec: 'yarn@1.22.22', add: ['yarn', 'add'], allowed: {} },
  'yarn 4': {
    spec: '@yarnpkg/cli-dist@4.18.1',
    add: ['yarn', 'add'],
    allowed: { env: { YARN_ENABLE_SCRIPTS: 'true', YARN_NODE_LINKER: 'node-modules' } },
    // Plug'n'Play, its way unless told otherwise.
    blocked: { code: 0, nodeArgs: ['--require', './.pnp.cjs'] },
  },
  'npm 12': { spec: 'npm@12.2.0', add: ['npm', 'install'], blocked: { code: 0 } },
};

/** What the package consists of, besides all that git knows of these folders. */
const FOLDERS = ['lib', 'src', 'docs', 'examples', 'bench/plots'];
const FILES = [
  '.cargo/config.toml',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'Cargo.lock',
  'Cargo.toml',
  'LICENSE',
  'README.md',
  'SECURITY.md',
  'build.rs',
  'index.d.mts',
  'index.d.ts',
  'index.js',
  'index.mjs',
  'package.json',
  'register.d.ts',
  'register.js',
  'scripts/install.js',
  'sticky.d.ts',
  'sticky.js',
];

const BASE = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-install-')));
/** The programs that an installation without Rust has. */
const BIN = path.join(BASE, 'bin');
/** Where cargo leaves what one test has built for the next: the dependencies. */
const TARGET = path.join(BASE, 'target');

const CACHE = path.join(BASE, 'cache');

/** The package's own tarball, and what `npm pack` tells of it. */
let tarball;
let packed;

before(async () => {
  fs.mkdirSync(BIN);
  const npm = process.env.PATH.split(path.delimiter)
    .map(folder => path.join(folder, 'npm'))
    .find(file => fs.existsSync(file));
  fs.symlinkSync(process.execPath, path.join(BIN, 'node'));
  fs.symlinkSync(fs.realpathSync(npm), path.join(BIN, 'npm'));
  fs.symlinkSync('/bin/sh', path.join(BIN, 'sh'));
  // What the checkout has built of the dependencies is as good.
  const known = path.join(ROOT, 'target', 'release');
  const copy = { recursive: true, preserveTimestamps: true };
  if (fs.existsSync(known)) fs.cpSync(known, path.join(TARGET, 'release'), copy);
  const { output } = await command('npm', ['pack', '--json', '--pack-destination', BASE], { cwd: ROOT });
  [packed] = JSON.parse(output);
  tarball = path.join(BASE, packed.filename);
});

after(() => fs.rmSync(BASE, { recursive: true }));

/** The environment of a user who has Rust, or has not. What a running npm has set is not his. */
function environment({ rust, ...more }) {
  const foreign =
    /^(npm_(config_local_prefix|package|lifecycle|execpath|node)|NODE_|CARGO_|RUST_CLUSTER|INIT_CWD)/;
  const own = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  const PATH = rust ? `${BIN}${path.delimiter}${process.env.PATH}` : BIN;
  // The caches of other package managers than npm keep the package itself.
  const caches = { YARN_CACHE_FOLDER: CACHE, YARN_GLOBAL_FOLDER: CACHE, XDG_DATA_HOME: CACHE };
  return { ...Object.fromEntries(own), ...caches, PATH, ...more };
}

/**
 * Runs a program to its end.
 *
 * @returns {Promise<{ code: number, output: string, errors: string }>}
 */
function command(file, args, { cwd, rust = false, env }) {
  return new Promise((resolve, reject) => {
    const options = { cwd, env: environment({ rust, ...env }), stdio: ['ignore', 'pipe', 'pipe'] };
    const child = spawn(file, args, options);
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', data => {
      output += data;
    });
    child.stderr.setEncoding('utf8').on('data', data => {
      errors += data;
    });
    child.once('error', reject);
    child.once('close', code => resolve({ code, output, errors }));
  });
}

/** Runs a program, which must end well. */
async function succeed(file, args, options) {
  const end = await command(file, args, options);
  assert.equal(end.code, 0, `${file} ${args.join(' ')}\n${end.output}${end.errors}`);
  return end;
}

/** An empty project. */
function project(name = 'project') {
  const folder = fs.mkdtempSync(path.join(BASE, `${name}-`));
  fs.writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ name: 'app', version: '1.0.0' }));
  fs.copyFileSync(path.join(__dirname, 'app.js'), path.join(folder, 'app.js'));
  return folder;
}

/** Runs the project's server: the place that its addon was loaded from. */
async function serve(folder, nodeArgs) {
  let addon;
  await run(path.join(folder, 'app.js'), { nodeArgs, env: { CLUSTER: 'rust' } }, async program => {
    const [{ address }] = await program.events('listening', 2);
    [[, addon]] = await program.lines(/^addon (.*)$/);
    const answers = [await get(address.port), await get(address.port)];
    assert.deepEqual(answers.map(({ body }) => body).sort(), ['worker 1\n', 'worker 2\n']);
  });
  return addon;
}

/** Where the addon of a project lies that was built for it. */
function built(folder) {
  return path.join(fs.realpathSync(path.join(folder, 'node_modules', 'rust-cluster')), ADDON);
}

/** The files and folders at the top of a package. */
function roots(files) {
  return [...new Set(files.map(file => file.path.split('/')[0]))].sort();
}

/** Makes cargo build the package anew: what it has built of it in another folder is the same to it. */
function forget() {
  const fingerprints = path.join(TARGET, 'release', '.fingerprint');
  for (const name of fs.existsSync(fingerprints) ? fs.readdirSync(fingerprints) : []) {
    if (/^rust-cluster-\w+$/.test(name)) fs.rmSync(path.join(fingerprints, name), { recursive: true });
  }
}

/** A user who has Rust, with the dependencies built already. */
function rustacean(env) {
  forget();
  return { rust: true, env: { CARGO_TARGET_DIR: TARGET, ...env } };
}

/**
 * Checks the message of the first require: every place, why it failed, and what to do.
 *
 * @returns {Promise<string>} the command to mend it
 */
async function assertExplained(folder, nodeArgs = []) {
  const program = "try { require('rust-cluster') } catch ({ code, message }) { console.log(code, message) }";
  fs.writeFileSync(path.join(folder, 'explain.js'), program);
  const { output } = await succeed('node', [...nodeArgs, 'explain.js'], { cwd: folder });
  const lines = output.split('\n');
  assert.match(lines[0], /^ERR_RUST_CLUSTER_NO_BINARY /);
  for (const place of [ADDON, PLATFORM_PACKAGE]) {
    const line = lines.findIndex(text => /^ {2}\S/.test(text) && text.endsWith(place));
    assert.ok(line > 0, `${place} in\n${output}`);
    assert.match(lines[line + 1], /^ {4}\S/, `why ${place} failed, in\n${output}`);
  }
  const mending = lines.find(line => line.endsWith('npm run build'));
  assert.ok(mending, output);
  return mending.trim();
}

/** Runs the command that the message names, after which the server runs. */
async function assertMends(mending, folder, nodeArgs) {
  await succeed('sh', ['-c', mending], { cwd: BASE, ...rustacean() });
  assert.equal(path.basename(await serve(folder, nodeArgs)), ADDON);
}

test('the tarball has what it should have, and nothing else', async () => {
  const { output } = await command('git', ['ls-files', ...FOLDERS], { cwd: ROOT, rust: true });
  const expected = [...FILES, ...output.trim().split('\n')];
  assert.deepEqual(packed.files.map(file => file.path).sort(), expected.sort());
  assert.equal(packed.version, MANIFEST.version);
});

test('a release: the prebuilt platform package is loaded, nothing is built, and no script is needed', async () => {
  const release = path.join(BASE, 'release');
  await succeed('npm', ['run', 'rehearse', '--', release], { cwd: ROOT, ...rustacean() });
  const tarballs = [PLATFORM_PACKAGE, 'rust-cluster'].map(name =>
    path.join(release, `${name}-${MANIFEST.version}.tgz`),
  );
  for (const flags of [[], ['--ignore-scripts']]) {
    const folder = project();
    await succeed('npm', ['install', ...flags, ...tarballs], { cwd: folder });
    const installed = path.join(folder, 'node_modules');
    const manifest = fs.readFileSync(path.join(installed, 'rust-cluster', 'package.json'), 'utf8');
    const { optionalDependencies } = JSON.parse(manifest);
    assert.deepEqual(optionalDependencies, { [PLATFORM_PACKAGE]: MANIFEST.version });
    assert.deepEqual(fs.readdirSync(path.dirname(built(folder))).sort(), roots(packed.files));
    const addon = path.join(installed, PLATFORM_PACKAGE, `rust-cluster.${PLATFORM}.node`);
    assert.equal(await serve(folder), addon);
    assert.ok(fs.existsSync(path.join(path.dirname(addon), 'LICENSE')));
  }
});

test('no prebuilt package, with Rust: the install script builds the addon and leaves no more', async () => {
  const folder = project();
  // From nothing, as a user's first time.
  await succeed('npm', ['install', tarball], { cwd: folder, rust: true });
  assert.equal(await serve(folder), built(folder));
  assert.ok(!fs.existsSync(path.join(path.dirname(built(folder)), 'target')), 'what cargo has left');
});

test('no prebuilt package, with a target folder that the user has set for cargo', async () => {
  const folder = project();
  const env = { CARGO_TARGET_DIR: undefined, CARGO_BUILD_TARGET_DIR: TARGET };
  await succeed('npm', ['install', tarball], { cwd: folder, ...rustacean(env) });
  assert.equal(await serve(folder), built(folder));
});

test('a build that fails: npm ends well, and the first require explains', async () => {
  const folder = project();
  await succeed('npm', ['install', tarball], { cwd: folder, ...rustacean({ RUSTFLAGS: '--no-such-flag' }) });
  await assertExplained(folder);
});

test('neither a prebuilt package nor Rust: npm ends well, and the first require explains', async () => {
  const folder = project();
  await succeed('npm', ['install', tarball], { cwd: folder });
  assert.ok((await assertExplained(folder)).includes(path.dirname(built(folder))));
});

test('install scripts are blocked: the first require explains, and its command mends it', async () => {
  const folder = project();
  await succeed('npm', ['install', '--ignore-scripts', tarball], { cwd: folder, rust: true });
  await assertMends(await assertExplained(folder), folder);
});

test('the command that mends it works in a folder with a space in its name', async () => {
  const folder = project("a user's project");
  await succeed('npm', ['install', '--ignore-scripts', tarball], { cwd: folder, rust: true });
  await assertMends(await assertExplained(folder), folder);
});

for (const [name, { spec, add, allowed, blocked }] of Object.entries(MANAGERS)) {
  const [program, ...args] = add;
  const manager = (...rest) => ['exec', '--yes', `--package=${spec}`, '--', program, ...rest];

  // Whether the registry, and this version of Node, have it.
  const isThere = async context => {
    const { code, errors } = await command('npm', manager('--version'), { cwd: BASE });
    if (code !== 0) context.skip(`${spec} cannot be had: ${errors.trim().split('\n').at(-1)}`);
    return code === 0;
  };

  const buildsIt = async context => {
    if (!(await isThere(context))) return;
    const folder = project();
    for (const [file, text] of Object.entries(allowed.files ?? {})) {
      fs.writeFileSync(path.join(folder, file), text);
    }
    const options = { cwd: folder, ...rustacean(allowed.env) };
    await succeed('npm', manager(...args, tarball), options);
    assert.equal(await serve(folder), built(folder));
  };
  if (allowed) test(`${name}, where install scripts run: the addon is built`, buildsIt);

  const blocksIt = async context => {
    if (!(await isThere(context))) return;
    const folder = project();
    const { code, output } = await command('npm', manager(...args, tarball), { cwd: folder, rust: true });
    assert.equal(code, blocked.code, output);
    await assertMends(await assertExplained(folder, blocked.nodeArgs), folder, blocked.nodeArgs);
  };
  if (blocked) test(`${name} as it is: the first require explains, and its command mends it`, blocksIt);
}

test('a git checkout: the install script builds the addon there', async () => {
  const clone = path.join(BASE, 'clone');
  await succeed('git', ['clone', '--quiet', ROOT, clone], { cwd: BASE, rust: true });
  const folder = project();
  await succeed('npm', ['install', clone], { cwd: folder, ...rustacean() });
  assert.equal(await serve(folder), path.join(clone, ADDON));
});
