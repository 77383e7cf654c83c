'use strict';

// What `rust-cluster` does: starts a supervisor and is its process, or talks to one that runs.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const { constants } = require('node:os');
const path = require('node:path');
const errors = require('../errors');
const { VERSION, supported, runtime } = require('../native');
const commandLine = require('./command_line');
const configuration = require('./configuration');
const { howMany } = require('./how_many');
const { Output } = require('./output');
const { startFolder } = require('./start_folder');

/** What the command could not begin ends with it; the other exit codes are the supervisor's. */
const USAGE = 2;

/**
 * @param {string[]} words those after `rust-cluster`
 * @param {() => (options: () => Promise<object>) => any} getSupervise
 */
async function main(words, getSupervise) {
  let output = new Output(process.stderr);
  let parsed;
  try {
    parsed = commandLine.parse(words);
    if (parsed.own.help) return say(commandLine.help());
    if (parsed.own.version) return say(`rust-cluster ${VERSION}, Node ${process.version}`);
    if (!supported) throw errors.noSupervisor(runtime);
    if (parsed.command !== 'run') return await require('./control_commands').run(parsed);
    const start = startFolder();
    const loaded = await configuration.load(parsed, start);
    output = new Output(process.stderr, loaded.logFormat);
    configuration.checkFiles(loaded.options);
    if (parsed.own.check) return check(loaded);
    return await supervise(parsed, start, loaded, output, getSupervise());
  } catch (error) {
    output.error(error);
    return end(output, USAGE);
  }
}

const say = text => void process.stdout.write(`${text}\n`);

/** Ends once its lines are written. */
const end = (output, code) => output.written().then(() => process.exit(code));

/** --check */
function check({ options, file }) {
  const { count, why } = howMany(options.workers);
  if (/\.[cm]?js$/.test(options.exec)) {
    const { status, stderr } = spawnSync(process.execPath, ['--check', options.exec], { encoding: 'utf8' });
    if (status !== 0)
      throw errors.badProgram(options.exec, `Node cannot read it\n${configuration.whatItSaid(stderr)}`);
  }
  const from = file ? `, ${file}` : '';
  say(`In order: ${options.name}, ${options.exec}${from}, ${count} worker${count === 1 ? '' : 's'}, ${why}`);
}

/**
 * Runs a supervisor to its end.
 *
 * @param {ReturnType<typeof commandLine.parse>} parsed
 * @param {string} start the folder that the command was started in
 * @param {Awaited<ReturnType<typeof configuration.load>>} loaded
 * @param {Output} output
 */
async function supervise(parsed, start, loaded, output, startSupervisor) {
  const { name, exec } = loaded.options;
  const { count, why } = howMany(loaded.options.workers);
  // Before any worker: a second supervisor of this name starts none.
  const control = loaded.control ? openControl(name, output) : undefined;
  output.print({ event: 'starting', version: VERSION, program: path.basename(exec), workers: count, why });
  if (process.env.npm_lifecycle_event || process.env.npm_execpath) output.print(warningOf(errors.underNpm()));
  const systemd = lookAround();

  let loadedFirst = loaded;
  const options = async () => {
    const found = loadedFirst ?? (await reload(parsed, start, output));
    loadedFirst = undefined;
    return { ...found.options, name, workers: howMany(found.options.workers).count };
  };
  const supervisor = startSupervisor(options);
  systemd?.notify(supervisor);
  if (loaded.options.watch) watch(supervisor, loaded, start);
  let isServing = false;
  if (control && loaded.options.telemetry !== undefined) announce(control);
  supervisor.on('report', report => {
    const isFirst = report.event === 'all-ready' && !isServing;
    output.print(isFirst ? { ...report, why } : report);
    if (!isFirst) return;
    isServing = true;
    for (const { name: socket, address } of systemd?.unusedSockets() ?? [])
      output.print({ event: 'unused-socket', socket, address });
  });
  control?.serve((request, report) => require('./commands').act(supervisor, request, report));
  const forced = onSignals(supervisor);
  const code = await supervisor.finished;
  await control?.close();
  await end(output, forced() ?? code);
}

/** Says where the telemetry is, once it is there. */
function announce(control) {
  require('../telemetry/primary').whenListening(found => {
    const place = typeof found === 'string' ? { path: found } : { host: found.address, port: found.port };
    control.announce(require('../telemetry/client').reachable(place));
  });
}

/** What there is around this process: a service manager, or nobody else in its container. To be done before any fork. */
function lookAround() {
  if (process.pid === 1) require('./orphans').reapOrphans();
  const { LISTEN_FDS, NOTIFY_SOCKET, WATCHDOG_USEC } = process.env;
  if (!LISTEN_FDS && !NOTIFY_SOCKET && !WATCHDOG_USEC) return undefined;
  const systemd = require('./systemd');
  if (LISTEN_FDS) systemd.inheritSockets();
  return systemd;
}

/** --watch: what the workers load or what is named, and what the options are from. */
function watch(supervisor, { options, file }, start) {
  const { watch: what, cwd = start, envFile } = options;
  const files = [file, envFile && path.resolve(cwd, envFile)].filter(Boolean);
  require('./watch').watch(supervisor, { paths: Array.isArray(what) ? what : undefined, files });
}

/** The options as they are now. What is wrong with them is said, whoever has asked for the reload. */
async function reload(parsed, start, output) {
  try {
    const found = await configuration.load(parsed, start);
    configuration.checkFiles(found.options);
    howMany(found.options.workers);
    return found;
  } catch (error) {
    output.error(error);
    throw error;
  }
}

/** One that cannot be had is no reason not to serve; a name that somebody has is. */
function openControl(name, output) {
  try {
    return require('./control_socket').open(name);
  } catch (error) {
    if (error.code !== 'ERR_RUST_CLUSTER_NO_CONTROL') throw error;
    output.print(warningOf(error));
    return undefined;
  }
}

const warningOf = ({ code, message }) => ({ event: 'warning', code, message });

/**
 * SIGTERM and SIGINT stop, a second one at once; SIGHUP reloads, unless the terminal has gone.
 * @returns {() => number | undefined} the exit code where a second signal came
 */
function onSignals(supervisor) {
  let stopping = false;
  let code;
  const stop = signal => {
    if (stopping) code ??= 128 + constants.signals[signal];
    stopping = true;
    supervisor.stop(signal);
  };
  const hadTerminal = hasTerminal();
  process.on('SIGTERM', stop).on('SIGINT', stop);
  process.on('SIGHUP', () => {
    if (hadTerminal && !hasTerminal()) stop('SIGHUP');
    // Why it failed was printed.
    else supervisor.reload().catch(() => {});
  });
  return () => code;
}

/** Whether somebody sits before it. */
function hasTerminal() {
  try {
    fs.closeSync(fs.openSync('/dev/tty', 'r+'));
    return true;
  } catch {
    return false;
  }
}

module.exports = { main };
