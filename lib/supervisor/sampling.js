'use strict';

// What the core wants to know of the workers again and again, as far as an option asks for it. No worker is asked.

const { readFile } = require('node:fs/promises');

const { boardOf } = require('../cluster/worker_process');

/** How often memory is looked at, in ms: the kernel walks a process's pages for it, a millisecond or so. */
const MEMORY = 2000;

/** How often it is looked whether workers take what is in their queues, and how much they have taken, in ms. */
const QUEUE = 1000;

/** Of pages that several processes have, each counts its share (PSS): what the workers have in common counts once. */
const PSS = /^Pss:\s+(\d+) kB$/m;

/**
 * @param {object} options of the supervisor
 * @param {Map<number, import('node:cluster').Worker>} workers
 * @param {(event: object) => void} tell
 * @returns {{ stop: () => void }}
 */
function sample({ maxMemory, maxConnections, stuck, stuckReport, execArgv }, workers, tell) {
  const timers = [];
  const every = (period, look) => timers.push(setInterval(look, period).unref());
  if (maxMemory > 0) every(MEMORY, () => sampleMemory(workers, tell));
  if (maxConnections > 0) every(QUEUE, () => sampleConnections(workers, tell));
  // One that a debugger has stopped is not stuck.
  if ((stuck > 0 || stuckReport > 0) && !isInspected(execArgv)) every(QUEUE, quietSampler(workers, tell));
  return { stop: () => timers.forEach(clearInterval) };
}

async function sampleMemory(workers, tell) {
  for (const [id, { process }] of [...workers]) {
    const bytes = await memoryOf(process.pid);
    if (bytes !== undefined && workers.has(id)) tell({ type: 'memory', worker: id, bytes });
  }
}

/** What a process occupies: PSS; where the kernel does not tell it, RSS, which counts what is shared in full. */
async function memoryOf(pid) {
  const read = name => readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '');
  const [, pss] = PSS.exec(await read('smaps_rollup')) ?? [];
  if (pss) return Number(pss) * 1024;
  const [, rss] = /^VmRSS:\s+(\d+) kB$/m.exec(await read('status')) ?? [];
  return rss && Number(rss) * 1024;
}

function sampleConnections(workers, tell) {
  for (const [id, worker] of [...workers]) {
    const count = boardOf(worker)?.read()?.taken;
    if (count > 0) tell({ type: 'connections', worker: id, count });
  }
}

function quietSampler(workers, tell) {
  const quiet = new Set();
  let last = performance.now();
  return () => {
    const now = performance.now();
    const late = now - last > 2 * QUEUE;
    last = now;
    // Neither a machine that was asleep nor a supervisor that was stuck itself says anything about the workers.
    if (late) return;
    for (const [id, worker] of [...workers]) {
      const duration = boardOf(worker)?.quiet() ?? 0;
      if (duration === 0 && !quiet.delete(id)) continue;
      if (duration > 0) quiet.add(id);
      tell({ type: 'quiet', worker: id, for: duration });
    }
  };
}

const isInspected = execArgv =>
  [...execArgv, process.env.NODE_OPTIONS ?? ''].some(option => /--inspect\b|--inspect-brk/.test(option));

module.exports = { sample, memoryOf };
