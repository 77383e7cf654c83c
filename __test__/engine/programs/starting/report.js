'use strict';

// One worker says what it has been started with. Whoever is started as a worker and is none says so, and forks nobody.

const loaded = process.env.LOAD ? require(process.env.LOAD) : undefined;
const cluster = require('node:cluster');
const fs = require('node:fs');

function primary() {
  if (process.env.CHDIR) process.chdir(process.env.CHDIR);
  if (process.env.LAUNCHER) process.execPath = process.env.LAUNCHER;
  cluster.setupPrimary(JSON.parse(process.env.SETTINGS ?? '{}'));
  const worker = cluster.fork({ DEPTH: '1' });
  worker.on('message', facts => {
    const commandLine = fs
      .readFileSync(`/proc/${worker.process.pid}/cmdline`, 'utf8')
      .split('\0')
      .slice(0, -1);
    console.log(JSON.stringify({ ...facts, commandLine }));
    worker.disconnect();
  });
  worker.on('exit', (code, signal) => console.log(JSON.stringify({ exit: signal ?? code })));
}

/** Whether this process is of its parent's session. */
function sameSession() {
  const [own, parent] = [process.pid, process.ppid].map(
    pid => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /s, '').split(' ')[3],
  );
  return own === parent;
}

function worker() {
  const { execArgv, env, argv } = process;
  process.send({
    id: cluster.worker.id,
    same: loaded === undefined || loaded === cluster,
    cwd: process.cwd(),
    execArgv,
    argv: argv.slice(2),
    session: sameSession(),
    nodeOptions: env.NODE_OPTIONS ?? null,
    // What is there beside what the primary's environment has.
    variables: Object.keys(env).filter(name => /^(RUST_CLUSTER|NODE_(UNIQUE|CHANNEL))/.test(name)),
    preloads: process._preload_modules,
    files: Object.keys(require.cache).filter(file => file.includes('cluster/preload')),
  });
}

if (cluster.isWorker) worker();
else if (process.env.DEPTH) console.log(JSON.stringify({ depth: 1 }));
else primary();
