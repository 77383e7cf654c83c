'use strict';

// A program that a bundler has made one file of: the package in it, with the addon beside it, or left outside. And one
// whose files a tracer has gathered.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const esbuild = require('esbuild');
const { copyPackage } = require('../support/copy');
const { assertServes, project, skip, served, succeed, tool } = require('./project');

const ADDON = 'rust-cluster.node';

/** A project with the package in its node_modules. */
function installed(t) {
  const folder = project(t);
  copyPackage(path.join(folder, 'node_modules', 'rust-cluster'));
  return folder;
}

/** @returns {Promise<string>} the file that esbuild has made */
async function withEsbuild(folder, external, options) {
  const outfile = path.join(folder, 'out', 'app.js');
  const { warnings } = await esbuild.build({
    entryPoints: [path.join(folder, 'packaged.js')],
    bundle: true,
    platform: 'node',
    outfile,
    logLevel: 'silent',
    loader: { '.node': 'copy' },
    external: external ? ['rust-cluster'] : [],
    ...options,
  });
  assert.deepEqual(warnings, []);
  return outfile;
}

async function withWebpack(folder, external) {
  const webpack = require(tool('webpack'));
  const stats = await new Promise((resolve, reject) => {
    const options = {
      context: folder,
      entry: './packaged.js',
      target: 'node',
      mode: 'production',
      output: { path: path.join(folder, 'out'), filename: 'app.js' },
      externals: external ? { 'rust-cluster': 'commonjs rust-cluster' } : {},
      module: { rules: [{ test: /\.node$/, loader: tool('node-loader') }] },
    };
    webpack(options, (error, made) => (error ? reject(error) : resolve(made)));
  });
  const { errors, warnings } = stats.toJson({ all: false, errors: true, warnings: true });
  assert.deepEqual(errors, []);
  // Of the packages with addons for other machines, which are not installed.
  for (const { message } of warnings) assert.match(message, /Can't resolve 'rust-cluster-linux-/);
  return path.join(folder, 'out', 'app.js');
}

async function withRollup(folder, external) {
  const { rollup } = require(tool('rollup'));
  const commonjs = require(tool('@rollup', 'plugin-commonjs'));
  const { nodeResolve } = require(tool('@rollup', 'plugin-node-resolve'));
  const bundle = await rollup({
    input: path.join(folder, 'packaged.js'),
    external: external ? ['rust-cluster'] : [],
    plugins: [nodeResolve({ preferBuiltins: true }), commonjs({ ignore: id => id.endsWith('.node') })],
    onwarn: ({ message }) => assert.fail(message),
  });
  const file = path.join(folder, 'out', 'app.js');
  await bundle.write({ file, format: 'cjs' });
  await bundle.close();
  // It copies nothing.
  const addon = path.join(folder, 'node_modules', 'rust-cluster', ADDON);
  if (!external) fs.copyFileSync(addon, path.join(folder, 'out', ADDON));
  return file;
}

async function withNcc(folder, external) {
  const ncc = require(tool('@vercel', 'ncc'));
  const options = { cache: false, quiet: true, externals: external ? ['rust-cluster'] : [] };
  const { code, assets } = await ncc(path.join(folder, 'packaged.js'), options);
  const out = path.join(folder, 'out');
  const files = { 'app.js': code, ...Object.fromEntries(assetsOf(assets)) };
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(out, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  return path.join(out, 'app.js');
}

/** Those of the live view lie in a folder. */
const assetsOf = assets => Object.entries(assets).map(([name, { source }]) => [name, source]);

/** What a bundle needs to be an ES module, as esbuild's documentation has it for packages that are none. */
const BANNER = `
  import { createRequire } from 'node:module';
  import { fileURLToPath } from 'node:url';
  const require = createRequire(import.meta.url);
  const __filename = fileURLToPath(import.meta.url);
  const __dirname = fileURLToPath(new URL('.', import.meta.url));`;

const BUNDLERS = {
  esbuild: { bundle: withEsbuild },
  'esbuild, made small': { bundle: (...args) => withEsbuild(...args, { minify: true }) },
  'esbuild, as an ES module': {
    bundle: (folder, external) =>
      withEsbuild(folder, external, {
        format: 'esm',
        banner: { js: BANNER },
        outfile: path.join(folder, 'out', 'app.mjs'),
      }).then(() => path.join(folder, 'out', 'app.mjs')),
  },
  webpack: { bundle: withWebpack, skip },
  rollup: { bundle: withRollup, skip },
  ncc: { bundle: withNcc, skip },
};

for (const [name, { bundle, ...options }] of Object.entries(BUNDLERS)) {
  test(`${name}: the package is left outside of the bundle`, options, async t =>
    assertServes(await bundle(installed(t), true)),
  );

  test(`${name}: all in one, with the addon beside it and without`, options, async t => {
    const folder = installed(t);
    const file = await bundle(folder, false);
    fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
    assertServes(file);
    assertSaysWhatToDo(withoutAddons(file));
  });

  test(`${name}: the live view is there, or it is said where its files are to be`, options, async t => {
    const folder = installed(t);
    fs.copyFileSync(path.join(__dirname, 'programs', 'watched.js'), path.join(folder, 'packaged.js'));
    const file = await bundle(folder, false);
    fs.rmSync(path.join(folder, 'node_modules'), { recursive: true });
    const whole = { livez: 200, page: 200, isPage: true, script: 200, warnings: [] };
    const found = served([file]);
    if (found.page === 200) {
      assert.deepEqual(found, whole);
      return;
    }
    const { warnings, ...answers } = found;
    assert.deepEqual(answers, { livez: 200, page: 404, isPage: false, script: 404 });
    assert.equal(warnings.length, 1);
    const [[code, text]] = warnings;
    assert.equal(code, 'ERR_RUST_CLUSTER_NO_PAGE');
    const [, place] = text.match(/cannot be read from (\/.*) \(ENOENT\)/);
    fs.cpSync(path.join(__dirname, '..', '..', 'lib', 'telemetry', 'page'), place, { recursive: true });
    assert.deepEqual(served([file]), whole);
  });
}

function withoutAddons(file) {
  const out = path.dirname(file);
  for (const name of fs.readdirSync(out)) if (name.endsWith('.node')) fs.rmSync(path.join(out, name));
  return file;
}

function assertSaysWhatToDo(file) {
  const program = `import(${JSON.stringify(file)}).catch(({ code, message }) => console.log(code, message))`;
  const said = succeed(['-e', program]);
  assert.match(said, /^ERR_RUST_CLUSTER_NO_BINARY /);
  assert.match(said, /To fix this, have the bundler leave rust-cluster external, or copy/);
  assert.doesNotMatch(said, /npm run build/);
}

test('esbuild: all in one, and RUST_CLUSTER_BINARY names the addon', async t => {
  const folder = installed(t);
  const file = await withEsbuild(folder, false, { external: ['*.node'] });
  const RUST_CLUSTER_BINARY = path.join(folder, 'node_modules', 'rust-cluster', ADDON);
  assertServes(file, { env: { RUST_CLUSTER_BINARY } });
});

test('@vercel/nft: what it has traced is all that is needed', { skip }, async t => {
  const folder = installed(t);
  const { nodeFileTrace } = require(tool('@vercel', 'nft'));
  const { fileList } = await nodeFileTrace([path.join(folder, 'packaged.js')], { base: folder });
  const there = project(t);
  for (const name of fileList) fs.cpSync(path.join(folder, name), path.join(there, name));
  fs.rmSync(folder, { recursive: true });
  assertServes(path.join(there, 'packaged.js'));
});
