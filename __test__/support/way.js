'use strict';

/**
 * Which cluster the programs under test get: `rust` (this package) or `node` (Node's own, as the control).
 *
 * @type {'rust' | 'node'}
 */
const way = process.env.CLUSTER ?? 'rust';

if (way !== 'rust' && way !== 'node') throw new Error(`CLUSTER is 'rust' or 'node', not '${way}'`);

module.exports = way;
