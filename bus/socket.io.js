'use strict';

// require('rust-cluster/bus/socket.io'): a Socket.IO adapter over the bus. See docs/socket.io.md.

require('../index');

module.exports = { createAdapter: require('../lib/bus/socket_io').createAdapter };
