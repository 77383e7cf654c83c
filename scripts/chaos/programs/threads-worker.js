'use strict';

// What a thread forks: a server.

require('node:net').createServer().listen(0, '127.0.0.1');
