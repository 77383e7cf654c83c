'use strict';

// rust-cluster beside others, for docs/comparison.md: `balancers` (under attack) or `supervisors` (in deployments).

const what = process.argv[2] ?? 'balancers';
if (!['balancers', 'supervisors'].includes(what)) {
  console.error('node scripts/comparison.js [balancers | supervisors]');
  process.exit(2);
}
require(`./comparison/${what}`);
