// All bindings of both modules, in primary and worker, and what becomes of them. Loaded by itself, this file is
// an ES module of a program that loads the cluster with --import or not at all.

import builtIn, * as namespace from 'node:cluster';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import cases from '../../../support/cases.js';

const { say } = cases;
const { PACKAGE } = process.env;
const required = createRequire(import.meta.url)('node:cluster');
const ours = PACKAGE ? await import(PACKAGE) : namespace;
const where = builtIn.isPrimary ? 'primary' : 'worker';

/** Members whose binding is not what the object has. An emitter's own fields change with every listener. */
const stale = module =>
  Object.keys(module).filter(
    name => !/^_event|^default$|^module\.exports$/.test(name) && module[name] !== builtIn[name],
  );

say(`${where} same`, [builtIn === required, ours.default === builtIn]);
say(`${where} stale`, [stale(namespace), stale(ours)]);
say(`${where} names`, Object.keys(namespace));
say(`${where} names of the package`, Object.keys(ours));

if (namespace.isPrimary) {
  namespace.setupPrimary({ args: ['one'] });
  // The documentation of node:module: what was changed is seen after this call.
  syncBuiltinESMExports();
  say('settings', [namespace.settings.args, ours.settings.args]);
  const worker = namespace.fork();
  say('workers', [Object.keys(namespace.workers), Object.keys(ours.workers)]);
  worker.on('online', () => worker.disconnect());
} else {
  say('args', process.argv.slice(2));
}
