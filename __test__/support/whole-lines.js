'use strict';

// Loaded into every process of a program under test: they share their output's pipe by whole lines, however slow the
// test is to read it. What waits in a stream Node writes together, and of that the kernel takes a part where there is
// no room for more: another process's lines come in the middle of one.

for (const name of ['stdout', 'stderr']) {
  const { get, ...property } = Object.getOwnPropertyDescriptor(process, name);
  Object.defineProperty(process, name, {
    ...property,
    get() {
      const stream = get.call(this);
      // As for a handle that cannot: each write is one of its own, which the kernel takes as a whole, or later.
      stream._writev = null;
      return stream;
    },
  });
}
