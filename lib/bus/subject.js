'use strict';

/** What a channel is called at the broker: nothing in it is special to any of them, and all of it can be read. */
function subjectOf(prefix, topic) {
  // No other name is written so.
  if (topic === '') return `${prefix}.%`;
  return `${prefix}.${encodeURIComponent(topic).replace(/[.*]/g, special => `%${special.charCodeAt(0).toString(16).toUpperCase()}`)}`;
}

module.exports = { subjectOf };
