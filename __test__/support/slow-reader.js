'use strict';

/** Has a stream read so slowly that whoever writes to it must wait. */
function readSlowly(stream) {
  stream.on('data', () => {
    stream.pause();
    setTimeout(() => stream.resume(), 5);
  });
}

module.exports = { readSlowly };
