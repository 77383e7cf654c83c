'use strict';

// What a program preloads with NODE_OPTIONS: it sees a worker as its program does.

const { isWorker, worker } = require('node:cluster');

globalThis.preloaded = [isWorker, worker?.id, process.connected];
