'use strict';

// The same two HTTP servers behind several balancers, under the same three attacks: what the README's comparison
// says of them. Node runs the rivals that it has; PM2=FILE and NGINX=FILE name the programs of the others.

const { spawn, spawnSync } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { freePort } = require('../../__test__/support/free-port');

const ROOT = path.join(__dirname, '..', '..');
const REGISTER = path.join(ROOT, 'register.js');
const CONNECTIONS = 20;
const PATIENCE = 3000;

const SERVER = `require('node:http').createServer((request, response) => response.end(String(process.pid)))
  .listen({ port: process.env.PORT, host: '127.0.0.1', reusePort: Boolean(process.env.REUSE) });`;
const CLUSTER = `const cluster = require(process.env.CLUSTER);
if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.on('SIGUSR2', () => { for (const end = Date.now() + 10_000; Date.now() < end; ); });
} else { ${SERVER} }`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'comparison-'));
const write = (name, text) => {
  fs.writeFileSync(path.join(folder, name), text);
  return path.join(folder, name);
};
const server = write('server.js', SERVER);
const cluster = write('cluster.js', CLUSTER);

/** Programs of our own, killed at the end. */
function start(file, args, env) {
  const child = spawn(file, args, { env: { ...process.env, ...env }, stdio: 'ignore' });
  return { pid: child.pid, stop: () => child.kill('SIGKILL') && once(child, 'exit') };
}

const node = (file, env) => start(process.execPath, [file], env);
const ofCluster = name => PORT => node(cluster, { PORT, CLUSTER: name });

function two(PORT, env) {
  const both = [0, 1].map(place => node(server, { PORT: Array.isArray(PORT) ? PORT[place] : PORT, ...env }));
  return { stop: () => Promise.all(both.map(({ stop }) => stop())) };
}

function pm2(PORT, env) {
  const PM2_HOME = path.join(folder, `pm2-${PORT}`);
  const options = { env: { ...process.env, PM2_HOME, PORT, ...env }, stdio: 'ignore' };
  spawnSync(process.env.PM2, ['start', server, '-i', '2'], options);
  return { stop: () => spawnSync(process.env.PM2, ['kill'], options) };
}

async function nginx(port) {
  const ports = [await freePort(), await freePort()];
  const both = two(ports);
  const upstream = ports.map(number => `server 127.0.0.1:${number};`).join(' ');
  const text = `daemon off; pid ${folder}/nginx.pid; error_log /dev/null; worker_processes 1; events {}
http { access_log off; client_body_temp_path ${folder}/a; proxy_temp_path ${folder}/b; fastcgi_temp_path ${folder}/c;
  uwsgi_temp_path ${folder}/d; scgi_temp_path ${folder}/e;
  upstream app { ${upstream} } server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } } }`;
  const own = spawn(process.env.NGINX, ['-p', folder, '-c', write('nginx.conf', text)], { stdio: 'ignore' });
  const stop = async () => {
    own.kill('SIGTERM');
    await once(own, 'exit');
    await both.stop();
  };
  return { stop };
}

const [major, minor] = process.versions.node.split('.').map(Number);
const RIVALS = {
  "Node's cluster": ofCluster('node:cluster'),
  'rust-cluster': ofCluster(ROOT),
  ...((major > 22 || (major === 22 && minor >= 12)) && { reusePort: PORT => two(PORT, { REUSE: 1 }) }),
  ...(process.env.PM2 && {
    'pm2 cluster mode': pm2,
    'pm2 cluster mode on rust-cluster': PORT => pm2(PORT, { PM2_NODE_OPTIONS: `--require ${REGISTER}` }),
  }),
  ...(process.env.NGINX && { 'nginx, two processes': nginx }),
};

/** One request on a connection of its own: the answer, an error's code, or 'hangs'. */
function ask(port) {
  return new Promise(resolve => {
    const request = http.get({ port, host: '127.0.0.1', agent: false }, async response => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve(response.statusCode === 200 ? body : `status ${response.statusCode}`);
    });
    request.on('error', ({ code }) => resolve(code));
    request.setTimeout(PATIENCE, () => {
      resolve('hangs');
      request.destroy();
    });
  });
}

const many = port => Promise.all(Array.from({ length: CONNECTIONS }, () => ask(port)));

/** Waits until both serve: their pids. */
async function serving(port) {
  const pids = new Set();
  while (pids.size < 2) {
    for (const answer of await many(port)) if (/^\d+$/.test(answer)) pids.add(Number(answer));
  }
  return [...pids];
}

const isThere = pid => fs.existsSync(`/proc/${pid}`);

/** How many connections had which end. */
function count(answers) {
  const counts = {};
  for (const answer of answers) {
    const what = /^\d+$/.test(answer) ? 'served' : answer;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return Object.entries(counts)
    .sort()
    .map(([what, number]) => `${number} ${what}`)
    .join(', ');
}

const ATTACKS = {
  'one worker is stopped': async ({ port, pids }) => {
    process.kill(pids[0], 'SIGSTOP');
    await sleep(300);
    return many(port);
  },
  'it is stopped, then killed while they wait': async ({ port, pids }) => {
    process.kill(pids[0], 'SIGSTOP');
    const answers = many(port);
    await sleep(1000);
    process.kill(pids[0], 'SIGKILL');
    return answers;
  },
  "the primary's JavaScript is busy": async ({ port, pid }) => {
    if (!pid) return undefined; // There is no primary, or it is pm2's own.
    process.kill(pid, 'SIGUSR2');
    await sleep(300);
    return many(port);
  },
};

async function main() {
  console.log(
    `Node ${process.version}: ${CONNECTIONS} connections, two servers, ${PATIENCE / 1000} s of patience\n`,
  );
  console.log(
    `| | ${Object.keys(ATTACKS).join(' | ')} |\n|${'---|'.repeat(1 + Object.keys(ATTACKS).length)}`,
  );
  for (const [name, run] of Object.entries(RIVALS)) {
    const cells = [];
    for (const attack of Object.values(ATTACKS)) {
      const port = await freePort();
      const rival = await run(port);
      const pids = await serving(port);
      const answers = await attack({ port, pids, pid: rival.pid });
      cells.push(answers ? count(answers) : 'not tried');
      for (const pid of pids.filter(isThere)) process.kill(pid, 'SIGCONT');
      await rival.stop();
    }
    console.log(`| ${name} | ${cells.join(' | ')} |`);
  }
  fs.rmSync(folder, { recursive: true, force: true });
}

main();
