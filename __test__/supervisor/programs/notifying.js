'use strict';

// What happens to a supervisor, as its parent says: each message is a report, or the workers that there are.

const EventEmitter = require('node:events');

const supervisor = new EventEmitter();
let workers = [];
supervisor.status = () => ({ wanted: 2, workers });

const { notify } = require('../../../lib/supervisor/systemd');
notify(supervisor);

process.on('message', message => {
  if (message.workers) workers = message.workers.map(state => ({ state }));
  else if (message.block) for (const end = Date.now() + message.block; Date.now() < end; );
  else supervisor.emit('report', message);
  process.send('done');
});
const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = process.env;
process.send({ NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID });
