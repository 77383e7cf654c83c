'use strict';

const { perConnection, perThousandMessages } = require('../measure/syscalls');
const { unavailable } = require('../measure/strace');

const figure = title => ({ title, unit: '', better: 'lower' });

module.exports = {
  name: 'syscalls',
  title: 'System calls of the primary (strace -c)',
  verified: 'every answer, every message',
  rivals: ['node-rr', 'rust-rr'],
  unavailable,
  figures: {
    connection: figure('per connection, 64 clients'),
    single: figure('per connection, 1 client'),
    received: figure('per thousand messages of 64 B received'),
    sent: figure('per thousand messages of 64 B sent'),
  },
  async sample(rival) {
    const { toPrimary, toWorker } = await perThousandMessages(rival, 'json');
    return {
      figures: {
        connection: (await perConnection(rival, 64)).total,
        single: (await perConnection(rival, 1)).total,
        received: toPrimary.total,
        sent: toWorker.total,
      },
    };
  },
};
