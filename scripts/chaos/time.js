'use strict';

/** Milliseconds of the clock that all processes of this machine share. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/**
 * How late this machine runs what is due: a guarantee about time is measured with that much more of it.
 *
 * @returns {() => number} ends the measurement; the longest delay in milliseconds
 */
function measureLag() {
  const every = 5;
  let last = now();
  let worst = 0;
  const look = () => {
    const time = now();
    worst = Math.max(worst, time - last - every);
    last = time;
  };
  const timer = setInterval(look, every);
  return () => {
    clearInterval(timer);
    look();
    return worst;
  };
}

/** The value below which the share `of` (0 … 1) of all values is. */
function quantile(values, of) {
  if (values.length === 0) return Number.NaN;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))];
}

const round = ms => Math.round(ms * 10) / 10;

module.exports = { now, sleep, measureLag, quantile, round };
