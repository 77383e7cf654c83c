// Each line with a mark at its end is wrong, and must fail to compile, with that error.

import cluster = require('rust-cluster');

cluster.setupPrimary({ serialization: 'xml' }); // TS2322
cluster.setupPrimary({ silent: 'yes' }); // TS2322
cluster.isPrimary = true; // TS2540
cluster.settings = {}; // TS2540
cluster.forks(); // TS2551
cluster.schedulingPolicy = 'rr'; // TS2322
cluster.worker.send('hi'); // TS18048
cluster.fork().send(undefined); // TS2345
cluster.fork().kill(9); // TS2345
cluster.fork().state = 'asleep'; // TS2322
cluster.fork().disconnect('now'); // TS2554
cluster.on('exit', worker => worker.suicides); // TS2551
cluster.on('listening', (_, address) => address.ports); // TS2551
new cluster.Worker({ id: 'one' }); // TS2769
