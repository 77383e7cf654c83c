'use strict';

// rust-cluster ps, top, reload, scale, stop, as a person sees them.

const configuration = require('./configuration');
const errors = require('../errors');
const { ask, running, telemetryOf, withTelemetry } = require('./control_client');
const { Output, isColoured, line, size, time } = require('./output');
const { startFolder } = require('./start_folder');

const FAILED = 1;

/**
 * @param {{ command: string, given: Record<string, any>, own: Record<string, any>, rest: string[] }} parsed
 */
async function run({ command, given, own, rest }) {
  try {
    if (command === 'ps') await ps(given.name, own.json);
    else if (command === 'top') await top(given, own);
    else await tell(await nameOf(given, own), request(command, rest), own.json);
  } catch (error) {
    // With --json the supervisor's own answer was printed already.
    if (own.json && !error.printed)
      say({ done: true, ok: false, error: { code: error.code, message: error.message } });
    if (!own.json) new Output(process.stderr).error(error);
    process.exitCode = FAILED;
  }
}

/** The one that is named, or that the command would have in this folder. */
const nameOf = async (given, own) =>
  given.name ?? (await configuration.load({ given, own }, startFolder())).options.name;

const say = message =>
  process.stdout.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`);

function request(command, [count]) {
  if (command !== 'scale') return { command };
  return /^[+-]/.test(count) ? { command, by: Number(count) } : { command, count: Number(count) };
}

/** Asks, and prints what happens until it is done. */
async function tell(name, asked, json) {
  let printed = false;
  const hear = told => {
    printed ||= told.done;
    const text = json
      ? told
      : told.report && line(told.report, process.stdout.isTTY && process.stdout.hasColors());
    if (text) say(text);
  };
  try {
    await ask(name, asked, hear);
  } catch (error) {
    throw Object.assign(error, { printed });
  }
}

async function ps(name, json) {
  const names = name === undefined ? await running() : [name];
  const statuses = await Promise.all(names.map(each => ask(each, { command: 'ps' })));
  if (json) say(statuses);
  else if (statuses.length === 0) say('No supervisor runs for this user.');
  else say(statuses.map(table).join('\n\n'));
}

/** Its telemetry is asked, and not the supervisor: that answers while JavaScript hangs. */
async function top(given, own) {
  const place = given.telemetry === undefined ? await placeOf(given, own) : reachable(given.telemetry);
  const colours = isColoured(process.stdout, process.env);
  await require('../telemetry/top').top(place, { json: own.json, colours });
}

const reachable = setting =>
  require('../telemetry/client').reachable(require('../telemetry/setting').telemetrySetting(setting));

/** Where a supervisor has said that its telemetry is. */
async function placeOf(given, own) {
  const known = withTelemetry();
  const name = given.name ?? (known.length === 1 ? known[0] : await nameOf(given, own));
  const place = telemetryOf(name);
  if (!place)
    throw errors.noStatus(
      `supervisor ${name}`,
      known.length > 0 ? `those that say it: ${known.join(', ')}` : 'none does',
    );
  return place;
}

const COLUMNS = {
  slot: ({ slot }) => slot,
  worker: ({ id }) => id,
  pid: ({ pid }) => pid,
  state: ({ state }) => state,
  for: ({ since }) => since !== undefined && time(Math.max(0, Date.now() - since)),
  restarts: ({ restarts }) => restarts,
  memory: ({ memory }) => memory && size(memory),
  connections: ({ connections }) => connections,
  listens: ({ addresses }) => addresses?.join(' '),
};

/** A status, for people. */
function table({ name, pid, state, version, workers }) {
  const cell = value => `${value === undefined || value === false || value === null ? '-' : value}`;
  const rows = [
    Object.keys(COLUMNS),
    ...workers.map(worker => Object.values(COLUMNS).map(value => cell(value(worker)))),
  ];
  const widths = Object.keys(COLUMNS).map((_, index) => Math.max(...rows.map(row => row[index].length)));
  const lines = rows.map(row =>
    row
      .map((text, index) => text.padEnd(widths[index]))
      .join('  ')
      .trimEnd(),
  );
  return [`${name}  (pid ${pid}, rust-cluster ${version})  ${state}`, ...lines].join('\n');
}

module.exports = { run };
