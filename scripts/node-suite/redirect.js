'use strict';

// Preloaded for the way `require`: a test's `require('cluster')` or import becomes that of rust-cluster, and
// nothing of rust-cluster is loaded before the test asks for it.

const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const subject = process.env.NODE_SUITE_SUBJECT;
const target = subject ?? 'rust-cluster';
const home = `${subject ? path.dirname(subject) : path.resolve(__dirname, '../..')}${path.sep}`;

function isCluster(specifier) {
  return specifier === 'cluster' || specifier === 'node:cluster';
}

function redirectRequire() {
  const load = Module._load;
  Module._load = function (request, parent, ...rest) {
    const redirected = isCluster(request) && !parent?.filename?.startsWith(home);
    return Reflect.apply(load, this, redirected ? [target, module, false] : [request, parent, ...rest]);
  };
}

function redirectImport() {
  const here = pathToFileURL(__filename).href;
  const data = {
    here,
    target: subject ? pathToFileURL(subject).href : target,
    home: pathToFileURL(home).href,
  };
  if (Module.registerHooks) {
    const hooks = require('./redirect-import.js');
    hooks.initialize(data);
    Module.registerHooks({ resolve: hooks.resolve });
  } else if (process.argv[1]?.endsWith('.mjs')) {
    // These hooks have a thread of their own, which only the tests that need it should start.
    Module.register('./redirect-import.js', here, { data });
  }
}

redirectRequire();
redirectImport();
