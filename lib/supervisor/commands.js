'use strict';

// What a client of the control socket can ask of a supervisor.

const cluster = require('node:cluster');
const { boardOf } = require('../cluster/worker_process');
const errors = require('../errors');
const { memoryOf } = require('./sampling');

/** What a command tells of, while it is under way. */
const PROGRESS = ['reload', 'scale', 'stop'];

/** The status, with what the workers use. None of them is asked. */
async function ps(supervisor) {
  const { workers, ...status } = supervisor.status();
  const used = workers.map(async worker => ({
    ...worker,
    memory: worker.pid && (await memoryOf(worker.pid)),
    connections: boardOf(cluster.workers[worker.id] ?? {})?.read()?.taken,
  }));
  return { ...status, workers: await Promise.all(used) };
}

const COMMANDS = {
  ps,
  reload: supervisor => supervisor.reload(),
  scale(supervisor, { count, by }) {
    const wanted = Number.isSafeInteger(by) ? supervisor.status().wanted + by : count;
    if (!Number.isSafeInteger(wanted) || wanted < 1)
      throw errors.badRequest('scale is to end at one worker or more');
    return supervisor.scale(wanted);
  },
  stop: supervisor => supervisor.stop(),
};

/**
 * @param {import('node:events').EventEmitter} supervisor
 * @param {unknown} request as it came
 * @param {(report: object) => void} report
 */
async function act(supervisor, request, report) {
  const command = request?.command;
  if (typeof command !== 'string' || !Object.hasOwn(COMMANDS, command))
    throw errors.badRequest(`its "command" is none of ${Object.keys(COMMANDS).join(', ')}`);
  if (PROGRESS.includes(command)) supervisor.on('report', report);
  try {
    return await COMMANDS[command](supervisor, request);
  } finally {
    supervisor.off('report', report);
  }
}

module.exports = { act };
