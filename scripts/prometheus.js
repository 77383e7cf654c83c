'use strict';

// A real Prometheus scrapes a real cluster through a reload and a kill storm, and what it has counted is held against
// what the clients have: `node scripts/prometheus.js`, half a minute, where `prometheus` and `promtool` are (Debian's
// package prometheus has both). Each query of docs/telemetry/grafana.json and each alert's is asked, too.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { freePort } = require('../__test__/support/free-port');
const { start, run } = require('../__test__/supervisor/command');

const DOCS = path.join(__dirname, '..', 'docs', 'telemetry');
const KILLS = 12;
const CLIENTS = 8;

const say = text => process.stdout.write(`${text}\n`);
const after = ms => new Promise(resolve => setTimeout(resolve, ms));

/** What a test would end is ended here at the end, the last first. */
const ends = [];
const scope = { after: end => ends.unshift(end) };

function promtool(args, input) {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  if (error) throw error;
  assert.equal(status, 0, `promtool ${args.join(' ')}\n${stdout}${stderr}`);
  say(
    `promtool ${args.slice(0, 2).join(' ')}: ${(stdout + stderr).trim().split('\n').at(-1).trim() || 'nothing to say'}`,
  );
}

/** @returns {Promise<{ status: number, text: string }>} */
function get(port, url, headers) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, host: '127.0.0.1', path: url, headers, agent: false }, response => {
      let text = '';
      response.setEncoding('utf8').on('data', more => {
        text += more;
      });
      response.on('end', () => resolve({ status: response.statusCode, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

async function query(port, expression) {
  const { text } = await get(port, `/api/v1/query?query=${encodeURIComponent(expression)}`);
  const { status, data, error } = JSON.parse(text);
  assert.equal(status, 'success', `${expression}: ${error}`);
  return data.result;
}

const numberOf = async (port, expression) => Number((await query(port, expression))[0]?.value[1]);

async function startPrometheus(folder, target) {
  const port = await freePort();
  fs.copyFileSync(path.join(DOCS, 'alerts.yml'), path.join(folder, 'alerts.yml'));
  const file = path.join(folder, 'prometheus.yml');
  fs.writeFileSync(
    file,
    `global: { scrape_interval: 500ms, evaluation_interval: 1s }
rule_files: [alerts.yml]
scrape_configs:
  - job_name: rust-cluster
    static_configs: [{ targets: ['127.0.0.1:${target}'] }]
`,
  );
  promtool(['check', 'config', file]);
  const child = spawn(
    'prometheus',
    [
      `--config.file=${file}`,
      `--storage.tsdb.path=${path.join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  scope.after(() => child.kill('SIGKILL'));
  let said = '';
  await new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', text => {
      said += text;
      if (/Server is ready/.test(said)) resolve();
    });
    child.once('error', reject);
    child.once('exit', code => reject(new Error(`prometheus ended (${code})\n${said}`)));
  });
  return port;
}

/** Clients that connect, ask, hang up and count, until they are told to stop. */
class Clients {
  connected = 0;
  answered = 0;
  cut = 0;
  refused = 0;
  #going = true;

  constructor(port) {
    this.done = Promise.all(Array.from({ length: CLIENTS }, () => this.#run(port)));
  }

  async #run(port) {
    while (this.#going) {
      await new Promise(resolve => {
        let isConnected = false;
        const socket = net.connect(port, '127.0.0.1', () => {
          isConnected = true;
          this.connected++;
          socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
        });
        let said = 0;
        socket.on('data', ({ length }) => {
          said += length;
        });
        socket.on('error', () => {});
        socket.on('close', () => {
          if (said > 0) this.answered++;
          else if (isConnected) this.cut++;
          else this.refused++;
          resolve();
        });
      });
      await after(5);
    }
  }

  stop() {
    this.#going = false;
    return this.done;
  }
}

/** The queries of the dashboard and the alerts, as Grafana asks them. */
function queries() {
  const { panels } = JSON.parse(fs.readFileSync(path.join(DOCS, 'grafana.json'), 'utf8'));
  const ofPanels = panels.flatMap(({ title, targets }) =>
    targets.map(({ expr, legendFormat }) => [
      `${title}${legendFormat && ` (${legendFormat})`}`,
      expr
        .replaceAll('$job', 'rust-cluster')
        .replaceAll('$instance', '.*')
        .replaceAll('$__rate_interval', '1m'),
    ]),
  );
  // Without what it is compared with, so that there is something to see.
  const alerts = [
    ...fs.readFileSync(path.join(DOCS, 'alerts.yml'), 'utf8').matchAll(/alert: (\w+)\n +expr: (.*)/g),
  ];
  const ofAlerts = alerts.map(([, name, expression]) => [
    name,
    expression.replace(/ (?:==|>) [\d.* ]+$/, ''),
  ]);
  return [...ofPanels, ...ofAlerts];
}

async function storm(cwd, telemetry) {
  say('reload');
  const { code, stderr } = await run(cwd, ['reload', 'storm']);
  assert.equal(code, 0, stderr);
  say(`${KILLS} kills`);
  const killed = ({ exits }) => exits.SIGKILL ?? 0;
  for (let kill = 0; kill < KILLS; kill++) {
    // One serves on, or its port would be closed.
    const { slots } = await until(telemetry, status => ready(status).length > 1);
    const [victim] = ready({ slots }).slice(kill % 2);
    process.kill(victim.pid, 'SIGKILL');
    await until(telemetry, status => killed(status) > kill);
  }
  await until(telemetry, status => ready(status).length === status.slots.length);
}

const ready = ({ slots }) => slots.filter(({ state }) => state === 'ready');

/** The status, once it is like that. */
async function until(telemetry, isSo) {
  for (;;) {
    const status = JSON.parse((await get(telemetry, '/status')).text);
    if (isSo(status)) return status;
    await after(50);
  }
}

async function main() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'rust-cluster-'));
  scope.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  promtool(['check', 'rules', path.join(DOCS, 'alerts.yml')]);
  promtool(['test', 'rules', path.join(DOCS, 'alerts.test.yml')]);

  const telemetry = await freePort();
  fs.writeFileSync(
    path.join(folder, 'app.js'),
    `const { BroadcastChannel } = require(${JSON.stringify(path.join(__dirname, '..', 'bus.js'))});
const news = new BroadcastChannel('news');
const server = require('node:http').createServer((_, response) => {
  news.postMessage('hello');
  response.end('hello');
});
server.listen(0, '127.0.0.1');`,
  );
  const options = [
    '--name',
    'storm',
    '-i',
    '3',
    '--metrics',
    `127.0.0.1:${telemetry}`,
    '--max-restarts',
    '100/1m',
  ];
  const supervised = start(scope, folder, [...options, 'app.js']);
  const port = await supervised.port();
  promtool(['check', 'metrics'], (await get(telemetry, '/metrics')).text);
  const prometheus = await startPrometheus(folder, telemetry);

  const clients = new Clients(port);
  await after(3000);
  await storm(folder, telemetry);
  await after(3000);
  await clients.stop();
  // Two scrapes later all of it is known.
  await after(1500);

  const sum = name => numberOf(prometheus, `sum(cluster_${name})`);
  const accepted = await sum('connections_accepted_total');
  say(
    `clients: ${clients.connected} connected, ${clients.answered} answered, ${clients.cut} cut off by a kill, ${clients.refused} refused`,
  );
  const taken = await sum('connections_taken_total');
  say(`Prometheus: ${accepted} accepted, ${taken} taken, ${await sum('handoff_seconds_count')} timed`);
  assert.equal(accepted, clients.connected, 'accepted, as Prometheus and as the clients have counted');
  assert.ok(clients.answered <= taken && taken <= accepted, 'who was answered was taken');
  const starts = await sum('worker_starts_total');
  const killed = await numberOf(prometheus, 'sum(cluster_worker_exits_total{cause="SIGKILL"})');
  assert.equal(killed, KILLS);
  assert.equal(starts, 3 + 3 + KILLS, 'the first, those of the reload, and one for each that was killed');
  const counters = await query(
    prometheus,
    'group by (__name__) ({__name__=~"cluster_.*_(total|count|bucket|sum)"})',
  );
  for (const { metric } of counters)
    assert.deepEqual(await query(prometheus, `resets(${metric.__name__}[5m]) > 0`), [], 'it has gone down');
  say(`none of ${counters.length} counters has gone down`);
  await ask(prometheus);
}

/** Each query has an answer. */
async function ask(prometheus) {
  const empty = [];
  const all = queries();
  for (const [name, expression] of all)
    if ((await query(prometheus, expression)).length === 0) empty.push(`${name}: ${expression}`);
  assert.deepEqual(empty, []);
  say(`${all.length} queries of the dashboard and the alerts have an answer`);
  const { text } = await get(prometheus, '/api/v1/rules');
  const rules = JSON.parse(text).data.groups.flatMap(group => group.rules);
  assert.deepEqual(
    rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => `${name}: ${lastError}`),
    [],
  );
  say(`alerts: ${rules.map(({ name, state }) => `${name} ${state}`).join(', ')}`);
}

main()
  .then(
    () => say('all agree'),
    error => {
      console.error(error);
      process.exitCode = 1;
    },
  )
  .finally(async () => {
    for (const end of ends) await end();
    process.exit();
  });
