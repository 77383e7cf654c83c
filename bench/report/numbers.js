'use strict';

/** A figure as a person reads it: three significant digits, thousands apart. */
function number(value) {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(1);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}

const ratio = value => (value === undefined ? '–' : `${value.toFixed(2)}×`);

module.exports = { number, ratio };
