// For the control: `import … from 'rust-cluster'` gets Node's own cluster.

import * as module from 'node:module';

function resolve(specifier, context, next) {
  return next(specifier === 'rust-cluster' ? 'node:cluster' : specifier, context);
}

if (module.registerHooks) module.registerHooks({ resolve });
else module.register(`data:text/javascript,export ${encodeURIComponent(`async ${resolve}`)}`);
