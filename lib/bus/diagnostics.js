'use strict';

// What goes over the bus from and to this process, for whoever subscribes by node:diagnostics_channel. See docs/bus.md.

const { channel } = require('node:diagnostics_channel');

const published = channel('rust-cluster:bus:publish');
const delivered = channel('rust-cluster:bus:deliver');
const missed = channel('rust-cluster:bus:gap');

/** Something was posted. */
function posted(name, data) {
  if (published.hasSubscribers) published.publish({ name, data });
}

/** An event comes to a channel of this process. */
function arrives(name, event) {
  const { type } = event;
  if (type === 'gap') {
    if (missed.hasSubscribers) missed.publish({ name, missed: event.missed });
  } else if (delivered.hasSubscribers) {
    const { from, data } = event;
    delivered.publish(type === 'messageerror' ? { name, from, error: data } : { name, from, data });
  }
}

module.exports = { arrives, posted };
