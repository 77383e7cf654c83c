'use strict';

// Sticky clients, and clients of real proxies.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { test } = require('node:test');
const { get, send } = require('../support/http');
const { run } = require('../support/program');
const { find, proxied } = require('../support/proxy');
const way = require('../support/way');
const { example, EXAMPLES } = require('./example');

const skip = way === 'node' && "Node's own cluster has neither sticky clients nor the PROXY protocol";
const WORKERS = 4;

/** Runs an example with four workers. */
async function sticky(name, env, body) {
  await run(path.join(EXAMPLES, name), { env: { PORT: 0, WORKERS, ...env } }, async program => {
    const [{ address }] = await program.events('listening', WORKERS);
    await body(address.port, program);
  });
}

/** A request on a connection of its own, with the cookie that the last answer has set. */
function visit(port, cookie) {
  return new Promise((resolve, reject) => {
    const headers = cookie ? { cookie } : {};
    const request = http.get({ host: '127.0.0.1', port, agent: false, headers }, async response => {
      let body = '';
      for await (const text of response.setEncoding('utf8')) body += text;
      resolve({ body, cookie: response.headers['set-cookie']?.[0].split(';')[0] ?? cookie });
    });
    request.once('error', reject);
  });
}

test('session.js: each client keeps its session, on four workers', { skip }, () =>
  sticky('session.js', {}, async port => {
    const homes = new Set();
    while (homes.size < WORKERS) {
      let cookie;
      let home;
      for (let count = 1; count <= 4; count++) {
        const answer = await visit(port, cookie);
        const [, visits, worker] = answer.body.match(/^Visit (\d+), worker (\d+)\n$/);
        assert.equal(Number(visits), count);
        home ??= worker;
        assert.equal(worker, home);
        ({ cookie } = answer);
      }
      homes.add(home);
    }
  }),
);

test('limited.js: no pool is ever empty, and who has waited for too long is told so', { skip }, async () => {
  const all = async env => {
    const answers = [];
    await sticky('limited.js', { POOL: 2, ...env }, async port => {
      const asked = Array.from({ length: 60 }, () => get(port).catch(({ code }) => ({ status: code })));
      answers.push(...(await Promise.all(asked)));
    });
    return answers;
  };
  for (const { status, body } of await all({ QUEUE_TIMEOUT: 60_000, QUERY: 1 })) {
    assert.equal(status, 200);
    assert.match(body, /^Worker [1-4] had [12] of 2 connections in use\n$/);
  }
  const answers = await all({ QUEUE_TIMEOUT: 100, QUERY: 3000 });
  const refused = answers.filter(({ status }) => status !== 200);
  assert.ok(refused.length > 0 && refused.length < answers.length);
  // One whose request had not come by then was reset.
  assert.deepEqual(
    [...new Set(refused.map(({ status }) => status))].filter(status => status !== 'ECONNRESET'),
    [503],
  );
});

test('cache.js: what belongs to a customer is made once, on four workers', { skip }, () =>
  sticky('cache.js', { OWNER: 'strict' }, async port => {
    const makers = new Set();
    for (let customer = 0; customer < 40; customer++) {
      const pages = [];
      for (let times = 3; times > 0; times--) {
        const { request, response } = send(port, { headers: { 'X-Customer': customer } });
        request.end();
        pages.push((await response).body);
      }
      assert.match(pages[0], new RegExp(`^Made for ${customer} by worker \\d+\\n$`));
      assert.deepEqual(pages, Array(3).fill(pages[0]));
      makers.add(pages[0].match(/\d+\n/)[0]);
    }
    assert.ok(makers.size > 2);
  }),
);

const nginx = (
  port,
  target,
  folder,
) => `daemon off; master_process off; pid ${folder}/pid; error_log stderr error;
  ${fs.existsSync(NGINX_STREAM) ? `load_module ${NGINX_STREAM};` : ''}
  events {}
  stream { server { listen 127.0.0.1:${port}; proxy_pass 127.0.0.1:${target}; proxy_protocol on; } }`;

const NGINX_STREAM = '/usr/lib/nginx/modules/ngx_stream_module.so';

const haproxy = version => (port, target) =>
  `defaults
  mode tcp
  timeout connect 10s
  timeout client 60s
  timeout server 60s
listen app
  bind 127.0.0.1:${port}
  server app 127.0.0.1:${target} send-proxy${version}
`;

/** nginx, if it has `stream`: Debian's has it in a package of its own. */
function nginxWithStream() {
  const file = find('nginx');
  const says = file ? spawnSync(file, ['-V'], { encoding: 'utf8' }).stderr : '';
  return says.includes('--with-stream ') || (file && fs.existsSync(NGINX_STREAM)) ? file : undefined;
}

for (const [what, program, options, configure, missing] of [
  ['nginx', nginxWithStream(), ['-c'], nginx, 'nginx with its stream module'],
  ['HAProxy, version 1', find('haproxy'), ['-db', '-f'], haproxy(''), 'haproxy'],
  ['HAProxy, version 2', find('haproxy'), ['-db', '-f'], haproxy('-v2'), 'haproxy'],
]) {
  const name = `behind-proxy.js: the address is the client's, behind ${what}`;
  test(program ? name : `${name}: skipped, ${missing} is not installed`, { skip: skip || !program }, () =>
    example('behind-proxy.js', {}, (_program, target) =>
      proxied([program, ...options], configure, target, async port => {
        for (let times = 6; times > 0; times--) {
          // Another address of this machine than the proxy's own.
          const { request, response } = send(port, { localAddress: '127.0.0.5' });
          request.end();
          const { body } = await response;
          assert.match(body, /^Hello 127\.0\.0\.5:\d+ from worker \d+\n$/);
        }
        // Who comes without a proxy, from its address, says nothing of its client.
        await assert.rejects(get(target));
      }),
    ),
  );
}
