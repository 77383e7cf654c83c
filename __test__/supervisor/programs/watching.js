'use strict';

// A supervisor that watches, as the command `rust-cluster --watch` makes one. What it reports goes to stdout.

const { supervise } = require('../../../supervisor');
const { watch } = require('../../../lib/supervisor/watch');

const options = JSON.parse(process.env.OPTIONS);
const supervisor = supervise(options);
supervisor.on('report', report => console.log(JSON.stringify(report)));
watch(supervisor, { paths: Array.isArray(options.watch) ? options.watch : undefined });
supervisor.finished.then(code => process.exit(code));
