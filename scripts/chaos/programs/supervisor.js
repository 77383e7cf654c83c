'use strict';

// A supervisor with the options that OPTIONS says, which tells what it reports, and does what the attack wants.

const { obey, say } = require('./tether');
const { supervise } = require('rust-cluster/supervisor');

const supervisor = supervise({
  exec: `${__dirname}/supervised-server.js`,
  ...JSON.parse(process.env.OPTIONS),
});
supervisor.on('report', ({ event, time, ...details }) => say(event, { ...details, reported: time }));
supervisor.finished.then(code => process.exit(code));

obey({
  reload() {
    supervisor.reload().then(
      result => say('reloaded', result),
      ({ code, why, lines }) => say('reload rejected', { code, why, lines }),
    );
  },
  stop: () => supervisor.stop(),
  status: () => say('status', supervisor.status()),
});
