'use strict';

// The options of the command, from wherever they may stand: the command line, the environment, the configuration,
// package.json, in that order. Read at the start, and anew at each reload.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const { createRequire } = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const v8 = require('node:v8');
const errors = require('../errors');
const { OPTIONS, checkGiven, fromText, nearest, variable, withDefaults } = require('./options');

const FILES = ['rust-cluster.config.js', 'rust-cluster.config.mjs', 'rust-cluster.config.json'];
const KEY = 'rust-cluster';
const PREFIX = 'RUST_CLUSTER_';

/** How long a configuration may take to say what is in it. */
const PATIENCE = 30_000;

const VARIABLES = new Map(OPTIONS.filter(({ only }) => !only).map(option => [variable(option.name), option]));
const CONFIG = variable('config');

/** Variables with our prefix that are no options. */
const OTHERS = [CONFIG, 'RUST_CLUSTER_BINARY', 'RUST_CLUSTER_WORKER'];

/** What the environment says. */
function fromEnvironment(environment) {
  const given = {};
  const shortened = [...VARIABLES.keys()].map(name => name.slice(PREFIX.length));
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || text === '' || OTHERS.includes(name)) continue;
    const option = VARIABLES.get(name);
    // Others may have variables of that name (Kubernetes, of a service rust-cluster), but not almost ours.
    const near = option ? undefined : nearest(name.slice(PREFIX.length), shortened);
    if (near) throw errors.unknownOption(name, 'the environment', `${PREFIX}${near}`);
    if (option) given[option.name] = fromText(option, text, name);
  }
  return given;
}

/** @returns {Promise<unknown>} what a configuration exports, as of now, with all that it loads */
async function read(file) {
  if (path.extname(file) === '.json') return readJson(file);
  // In a process of its own, since modules stay as they were when they were loaded first.
  const child = spawn(process.execPath, ['--input-type=module', '--eval', SAY, pathToFileURL(file).href], {
    stdio: ['ignore', 2, 'pipe', 'pipe'],
    timeout: PATIENCE,
    killSignal: 'SIGKILL',
  });
  const [said, words, code] = await Promise.all([
    all(child.stdio[3]),
    all(child.stderr),
    new Promise((resolve, reject) =>
      child.once('error', reject).once('close', (exitCode, signal) => resolve(exitCode ?? signal)),
    ),
  ]);
  if (code !== 0)
    throw errors.badConfiguration(file, whatItSaid(words.toString()) ?? `it ended with ${code}`);
  return v8.deserialize(said);
}

/** Runs in that process. The values are numbers and texts; a function says that it is none. */
const SAY = `
import { writeSync } from 'node:fs';
import { serialize } from 'node:v8';
const { default: options } = await import(process.argv[1]);
let bytes = serialize(options);
while (bytes.length > 0) bytes = bytes.subarray(writeSync(3, bytes));
process.exit();
`;

async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Node's words about what went wrong, without its stack. */
function whatItSaid(words) {
  const lines = words.split('\n').filter(line => line && !/^\s+at |^Node\.js v|^\(node:/.test(line));
  return lines.length > 0 ? lines.join('\n') : undefined;
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch (error) {
    throw errors.badConfiguration(file, error.message);
  }
}

/** The configuration of a folder; undefined if there is none. */
function find(folder, named) {
  if (named !== undefined) {
    if (!fs.existsSync(named)) throw errors.badConfiguration(named, 'there is no such file');
    return named;
  }
  const found = FILES.map(name => path.join(folder, name)).filter(file => fs.existsSync(file));
  if (found.length > 1)
    throw errors.badConfiguration(found[0], `there is also ${found[1]}; keep one of them`);
  return found[0];
}

/** Paths in a configuration start at its folder, all others where the command was started. */
function resolved(given, folder) {
  const options = { ...given };
  for (const { name, kind } of OPTIONS)
    if (kind === 'file' && options[name] !== undefined) options[name] = path.resolve(folder, options[name]);
  if (Array.isArray(options.watch)) options.watch = options.watch.map(name => path.resolve(folder, name));
  return options;
}

async function readFile(file) {
  if (!file) return {};
  return resolved(checkGiven(await read(file), file), path.dirname(file));
}

/** The name in a package.json, and its options. */
function readPackage(folder) {
  const file = path.join(folder, 'package.json');
  if (!fs.existsSync(file)) return { given: {} };
  const manifest = readJson(file);
  const given = checkGiven(manifest?.[KEY] ?? {}, `"${KEY}" of ${file}`);
  return { name: manifest?.name, given: resolved(given, folder) };
}

/** A name for a supervisor that was given none: the package's, or the folder's. */
function nameOf(text) {
  const name = `${text}`.replace(/[^\w.-]+/g, '-').replace(/^[^A-Za-z0-9]+/, '');
  return name.slice(0, 64) || KEY;
}

/**
 * @param {{ given: Record<string, unknown>, own: Record<string, any> }} commandLine
 * @param {string} start the folder that the command was started in
 * @returns {Promise<{ options: Record<string, any>, logFormat: 'text' | 'json', control: boolean, file?: string }>}
 * `options` for supervise(), the command's own, and which file the configuration is
 */
async function load({ given, own }, start, environment = process.env) {
  const nearer = resolved({ ...fromEnvironment(environment), ...given }, start);
  const folder = nearer.cwd ?? start;
  const config = own.config ?? environment[CONFIG];
  const file = find(folder, config && path.resolve(start, config));
  const ofFile = await readFile(file);
  const { name, given: ofPackage } = readPackage(folder);
  const { logFormat, control, ...options } = withDefaults({
    name: nameOf(name ?? path.basename(folder)),
    ...(start !== process.cwd() && { cwd: start }),
    ...ofPackage,
    ...ofFile,
    ...checkGiven(nearer, 'the command line'),
  });
  return { options, logFormat, control, file };
}

/** That the program and the environment file of the workers are there, and can be read. */
function checkFiles({ exec, envFile }) {
  checkProgram(exec);
  try {
    if (envFile !== undefined) fs.accessSync(envFile, fs.constants.R_OK);
  } catch (error) {
    throw errors.badConfiguration(envFile, WHY[error.code] ?? error.message);
  }
}

/** That a program is there, and can be read. Node adds `.js`, and finds a folder's `main`. */
function checkProgram(program) {
  if (program === undefined) throw errors.badProgram();
  try {
    const file = createRequire(path.join(path.dirname(program), 'any.js')).resolve(program);
    fs.accessSync(file, fs.constants.R_OK);
  } catch (error) {
    throw errors.badProgram(program, WHY[error.code] ?? error.message);
  }
}

const WHY = {
  MODULE_NOT_FOUND: 'there is no such file',
  ENOENT: 'there is no such file',
  EACCES: 'it cannot be read (EACCES)',
};

module.exports = { load, checkFiles, checkProgram, whatItSaid };
