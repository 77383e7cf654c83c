'use strict';

// What the first process of a container owes: processes whose parents have died become its children, and stay as
// zombies until it asks how they ended. Loaded in such a process alone.

const native = require('../native').load();

/** How long a child has been a zombie before it is taken for nobody's, in milliseconds. */
const PATIENCE = 1000;

/** Those that were zombies when we looked last. */
let seen = new Set();
let waiting = false;

/** Reaps what is left to this process, from now on. */
function reapOrphans() {
  process.on('SIGCHLD', lookLater);
}

function lookLater() {
  if (waiting) return;
  waiting = true;
  setTimeout(look, PATIENCE).unref();
}

/**
 * What Node, the cluster or an addon has started is asked for as soon as the loop turns. So what was a zombie at the last
 * look, a turn of the loop ago, and still is, is nobody's.
 */
function look() {
  waiting = false;
  const left = native.endedChildren().filter(pid => !(seen.has(pid) && native.reapChild(pid)));
  seen = new Set(left);
  if (left.length > 0) lookLater();
}

module.exports = { reapOrphans };
