'use strict';

// Loaded before a program each worker of which is to have one connection, and no other.

require('node:net').Server.prototype.maxConnections = 1;
