'use strict';

const cluster = require('rust-cluster');

if (cluster.isMaster) {
  const worker = cluster.fork();
  worker.disconnect();
  const timeout = setTimeout(() => {
    worker.kill();
  }, process.env.TIMEOUT || 2000);
  worker.on('disconnect', () => {
    console.log('已关闭');
    clearTimeout(timeout);
  });
  worker.on('exit', (...args) => {
    console.log('已退出', args);
  });
} else if (process.env.BLOCKED) {
  for (;;);
}
