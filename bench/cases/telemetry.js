'use strict';

const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');

const { withProgram } = require('../measure/program');
const proc = require('../../__test__/support/proc');

const WORKERS = 32;

/** How often each is asked. */
const SCRAPES = 200;
const AGGREGATED = 20;

/** What workers with much to say have each, how often they are asked, and with how much time in between: 20 seconds. */
const SERIES = 1000;
const READS = 200;
const BETWEEN = 100;

/** For how long the primary spins. */
const SPIN = 3000;

const milliseconds = title => ({ title, unit: 'ms', better: 'lower' });

/** Asks for metrics; how long the whole answer took, and whether it was one. */
function scrape(port, path = '/') {
  return new Promise((resolve, reject) => {
    const begin = performance.now();
    const request = http.get({ host: '127.0.0.1', port, path, agent: false }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', part => {
        text += part;
      });
      response.on('end', () =>
        resolve({ took: performance.now() - begin, status: response.statusCode, text }),
      );
    });
    request.on('error', reject);
  });
}

/** The 99th percentile of so many scrapes, or the middle of them. */
async function slowest(port, count, path, between) {
  return percentile(await took(port, count, path, between), 0.99);
}

const percentile = (times, share) => times[Math.ceil(times.length * share) - 1];

/** How long so many scrapes took each, the shortest first. */
async function took(port, count, path, between = 0) {
  const times = [];
  for (let left = count; left > 0; left--) {
    if (between) await sleep(between);
    const { took, status, text } = await scrape(port, path);
    if (path && (status !== 200 || !text.includes(`slot="${WORKERS - 1}"`)))
      throw new Error(`no metrics: ${status}`);
    times.push(took);
  }
  return times.sort((one, other) => one - other);
}

/** For how many milliseconds the threads of telemetry had a processor, until now. */
async function processorTime(port) {
  return 1000 * JSON.parse((await scrape(port, '/status')).text).telemetry.cpu;
}

async function sample(rival) {
  return { figures: { ...(await small(rival)), ...(await large(rival)) } };
}

async function small(rival) {
  return withProgram('telemetry', rival, async program => {
    const { pids, telemetry, aggregator } = await program.start({ workers: WORKERS });
    const ours = () => slowest(telemetry, SCRAPES, '/metrics');
    const figures = { idle: await ours(), aggregator: await slowest(aggregator, AGGREGATED) };
    proc.stop(pids[0]);
    figures.oneStopped = await ours();
    figures.aggregatorOneStopped = await slowest(aggregator, 1);
    pids.forEach(proc.stop);
    figures.allStopped = await ours();
    for (const pid of pids) proc.signal(pid, 'SIGCONT');
    await program.ask('spin', { milliseconds: SPIN });
    await sleep(200);
    figures.primarySpins = await ours();
    figures.aggregatorPrimarySpins = await slowest(aggregator, 1);
    return figures;
  });
}

/** The first readings are of what was never said before. */
async function large(rival) {
  return withProgram('telemetry', rival, async program => {
    const { telemetry, aggregator } = await program.start({ workers: WORKERS, series: SERIES });
    await slowest(telemetry, 30, '/metrics', BETWEEN);
    const [before, begin] = [await processorTime(telemetry), performance.now()];
    const times = await took(telemetry, READS, '/metrics', BETWEEN);
    const seconds = (performance.now() - begin) / 1000;
    return {
      large: percentile(times, 0.99),
      largeMiddle: percentile(times, 0.5),
      largeProcessor: ((await processorTime(telemetry)) - before) / seconds,
      aggregatorLarge: await slowest(aggregator, AGGREGATED, undefined, BETWEEN),
    };
  });
}

module.exports = {
  name: 'telemetry',
  title: `Metrics of ${WORKERS} workers, the 99th percentile of ${SCRAPES} scrapes; and prom-client's aggregator beside`,
  verified: 'that each answer has every slot',
  rivals: ['rust-rr'],
  figures: {
    idle: milliseconds('all idle'),
    oneStopped: milliseconds('one worker stopped'),
    allStopped: milliseconds('all workers stopped'),
    primarySpins: milliseconds('the primary in a loop'),
    large: milliseconds(`${SERIES} series a worker, ${READS} scrapes, ten a second`),
    largeMiddle: milliseconds('the middle of these'),
    largeProcessor: milliseconds('processor time of the threads in a second of that'),
    aggregator: milliseconds(`prom-client, all idle (${AGGREGATED} scrapes)`),
    aggregatorOneStopped: milliseconds('prom-client, one worker stopped (one scrape)'),
    aggregatorPrimarySpins: milliseconds('prom-client, the primary in a loop (one scrape)'),
    aggregatorLarge: milliseconds(`prom-client, ${SERIES} series a worker (${AGGREGATED} scrapes)`),
  },
  sample,
};
