'use strict';

// A cluster with sticky clients by Socket.IO's parameter, by connection or by request (PER): WORKERS workers that give out
// sessions, and know those that they have given out. One that is killed is replaced.

const http = require('node:http');
const { cluster, say, obey } = require('./tether');
const { generateId } = require('rust-cluster/sticky');

const { WORKERS = '4', PER: per = 'connection', LISTEN } = process.env;

if (cluster.isPrimary) {
  cluster.setupPrimary({ dispatch: { policy: 'sticky', sticky: { by: 'socket.io', owner: 'strict', per } } });
  for (const event of ['listening', 'disconnect', 'exit']) {
    cluster.on(event, (worker, details) => {
      const { port } = event === 'listening' ? details : {};
      say(event, { id: worker.id, pid: worker.process.pid, slot: worker.slot, port });
    });
  }
  cluster.on(
    'exit',
    ({ slot, exitedAfterDisconnect }) => exitedAfterDisconnect || cluster.fork({}, { slot }),
  );
  for (let count = Number(WORKERS); count > 0; count--) cluster.fork();
  obey({
    /** Fills a slot anew, as a rolling restart does: the replacement first. */
    replace({ id }) {
      const old = cluster.workers[id];
      cluster.fork({}, { slot: old.slot }).once('listening', () => {
        say('leaving', { id });
        old.disconnect();
      });
    },
    usage() {
      const { rss } = process.memoryUsage();
      const { user, system } = process.cpuUsage();
      say('usage', { rss, cpu: (user + system) / 1000 });
    },
  });
} else {
  const sessions = new Set();
  const [{ port, host }] = JSON.parse(LISTEN);
  http
    .createServer(({ url }, response) => {
      const shown = new URL(url, 'http://h').searchParams.get('sid');
      const known = sessions.has(shown);
      const sid = known ? shown : generateId();
      sessions.add(sid);
      response.end(JSON.stringify({ id: cluster.worker.id, known, sid }));
    })
    .listen(port, host);
}
