'use strict';

// The memory that a worker and its primary share, as the kernel tells it.

const proc = require('./proc');

const NAME = 'memfd:rust-cluster-board';

/** Bytes of it which a process has touched, and not given back. */
function touched(pid) {
  const [, ...mappings] = (proc.read(`/proc/${pid}/smaps`) ?? '').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const ours = mappings.filter(mapping => mapping.includes(NAME));
  return ours.reduce((sum, mapping) => sum + Number(mapping.match(/^Rss: +(\d+) kB/m)[1]) * 1024, 0);
}

/** Whether a process has any, or could have. */
const has = pid =>
  proc.read(`/proc/${pid}/maps`)?.includes(NAME) ||
  Object.values(proc.descriptors(pid)).some(name => name.includes(NAME));

module.exports = { has, touched };
