'use strict';

// Runs cases, tells what came out, and keeps it.

const path = require('node:path');

const alternate = require('./rounds');
const othersUse = require('./measure/others');
const Progress = require('./progress');
const { generator } = require('./load');
const { grow, growthTable } = require('./growth/run');
const { commit, machine } = require('./machine');
const { isAvailable, rivals: allRivals } = require('./rivals');
const { save } = require('./report/results');
const { table } = require('./report/table');

/** Rounds of a case, and of each point of a growth case. */
const ROUNDS = 7;
const GROWTH_ROUNDS = 3;

/** From how many CPUs on what others do is worth a warning. */
const DISTURBED = 0.1;

/**
 * @param {import('./cases').Case[]} cases
 * @param {{ rounds?: number, seconds?: number, rivals?: string[], others: import('./rivals').Rival[] }} options
 * @param {string} name of the results file
 * @returns {Promise<import('./report/results').Run>}
 */
async function run(cases, options, name) {
  const { name: tool, version } = generator();
  const results = {
    date: new Date().toISOString(),
    node: process.versions.node,
    commit: commit(),
    draft: isDraft(cases, options),
    machine: machine(),
    load: { name: tool, version },
    cases: {},
  };
  const { cpu, cpus, kernel } = results.machine;
  console.log(`Node ${results.node}, ${cpus} × ${cpu}, ${kernel}`);
  console.log(`commit ${results.commit}, load by ${tool} ${version}\n`);

  for (const [i, benchmark] of cases.entries()) {
    const reason = await benchmark.unavailable?.();
    if (reason) {
      console.log(`${benchmark.name}: left out, ${reason}\n`);
      continue;
    }
    const place = `${i + 1}/${cases.length}`;
    results.cases[benchmark.name] = await runCase(benchmark, options, place);
  }
  console.log(
    `raw results${results.draft ? ', a draft' : ''}: ${path.relative(process.cwd(), save(results, name))}`,
  );
  return results;
}

async function runCase(benchmark, options, place) {
  const rivals = choose(benchmark, options);
  const rounds = roundsOf(benchmark, options);
  const seconds = options.seconds ?? benchmark.seconds;
  const others = await othersUse();
  const progress = new Progress({ name: benchmark.name, place, rounds });
  const measure = benchmark.axis ? grow : alternate;
  const outcome = await measure(benchmark, { rivals, rounds, seconds }, progress.step);
  progress.end();

  const show = benchmark.axis ? growthTable : table;
  const names = rivals.map(rival => rival.name);
  console.log(show(benchmark, outcome, names));
  if (others > DISTURBED) console.log(`disturbed: other programs were using ${others.toFixed(1)} CPUs`);
  for (const limit of outcome.limits) console.log(`not compared, the load was the limit: ${limit}`);
  for (const failure of outcome.failures) console.log(`FAILED: ${failure}`);
  if (outcome.failures.length > 0) process.exitCode = 1;
  return { seconds, others, ...outcome };
}

/** Whether the results are good for a look, but not for a report. */
function isDraft(cases, options) {
  const tooFew = cases.some(benchmark => roundsOf(benchmark, options) < roundsOf(benchmark, {}));
  return tooFew || options.seconds !== undefined || options.rivals !== undefined;
}

const roundsOf = ({ axis }, { rounds = axis ? GROWTH_ROUNDS : ROUNDS }) => rounds;

/** The rivals of a case that exist on this Node, and are asked for. */
function choose({ rivals }, { rivals: wanted = rivals, others }) {
  const asked = allRivals.filter(({ name }) => rivals.includes(name) && wanted.includes(name));
  return [...asked.filter(isAvailable), ...others];
}

module.exports = run;
