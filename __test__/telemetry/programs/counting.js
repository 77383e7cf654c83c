'use strict';

// A cluster whose workers count their requests (app_requests_total), and tell of it as HOW says: nothing is done for it
// ("default"), a line is ("register", "text", "promise"), the text is no such text ("nonsense", "failing"), or those of the
// first two slots say as much as they can, as often as they can, and ever new things ("hostile"). A worker that ends is
// replaced. What it is to do besides comes in requests: /spin has the primary spin until FLAG is there, /exit
// and /leave have the worker end, /set has its gauge be another.

const fs = require('node:fs');
const http = require('node:http');
const cluster = require('cluster');
const telemetry = require('../../../telemetry');

const { HOW, TELEMETRY, WORKERS, FLAG, REPLACE } = process.env;

if (cluster.isPrimary) {
  if (TELEMETRY) cluster.setupPrimary({ telemetry: JSON.parse(TELEMETRY) });
  for (let count = 0; count < Number(WORKERS); count++) cluster.fork();
  console.log(`telemetry ${JSON.stringify(telemetry.address())}`);
  cluster.on('listening', (worker, { port }) => console.log(`worker ${worker.id} at ${port}`));
  if (REPLACE) cluster.on('exit', ({ slot }) => cluster.fork({}, { slot }));
  cluster.on('message', async (_worker, message) => {
    if (message === 'aggregate') {
      const { AggregatorRegistry } = require('prom-client');
      const text = await new AggregatorRegistry().clusterMetrics();
      console.log(`aggregated ${text.match(/^app_requests_total (\d+)$/m)[1]}`);
    }
    if (message === 'spin') while (!fs.existsSync(FLAG));
  });
  // It stays when all workers have gone.
  setInterval(() => {}, 2 ** 30);
} else {
  const { AggregatorRegistry, Counter, Gauge, Histogram, Registry, register } = require('prom-client');
  const own = HOW === 'default' ? register : new Registry();
  if (HOW === 'default') new AggregatorRegistry();
  const registers = [own];
  const requests = new Counter({ name: 'app_requests_total', help: 'Requests', registers });
  const sizes = new Histogram({ name: 'app_size', help: 'Sizes', buckets: [1, 10], registers });
  const gauge = new Gauge({ name: 'app_slot', help: 'Some number', registers });
  gauge.set(cluster.worker.slot);
  if (HOW === 'register') telemetry.collect(own);
  if (HOW === 'promise') telemetry.collect(() => own.metrics());
  if (HOW === 'failing') telemetry.collect(() => Promise.reject(new Error('no such database')));
  if (HOW === 'nonsense') telemetry.collect(() => 'app_requests_total many\n');
  let count = 0;
  const text = () => `# TYPE app_requests_total counter\napp_requests_total ${count}\n`;
  const isHostile = HOW === 'hostile' && cluster.worker.slot < 2;
  if (isHostile) {
    const { collector } = cluster[Symbol.for('rust-cluster.within')];
    telemetry.collect(() => text() + flood());
    // Nobody has asked.
    setInterval(() => collector.write(), 50);
  } else if (HOW === 'text' || HOW === 'hostile') telemetry.collect(text);
  const server = http.createServer(({ url }, response) => {
    requests.inc();
    count++;
    sizes.observe(5);
    if (url === '/spin' || url === '/aggregate') process.send(url.slice(1));
    if (url === '/leave') cluster.worker.disconnect();
    if (url === '/set') gauge.set(100);
    response.end(`${process.pid}`, () => url === '/exit' && process.exit(0));
  });
  server.listen(0, '127.0.0.1');
}

const several = (count, line) => Array.from({ length: count }, (_, number) => line(number)).join('\n');

let floods = 0;

/** Ever new counters, a histogram with too many buckets, long labels and many lines: as much as is not refused at once. */
function flood() {
  floods++;
  return [
    '# TYPE flood_total counter',
    several(10_000, number => `flood_total{n="${floods}-${process.pid}-${number}"} 1`),
    '# TYPE deep histogram',
    several(5000, number => `deep_bucket{le="${floods}${number}"} 1`),
    several(200, number => `wide{n="${number}",pad="${'x'.repeat(8000)}"} ${floods}`),
    several(50_000, () => '#'),
    '',
  ].join('\n');
}
