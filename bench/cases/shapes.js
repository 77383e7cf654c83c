'use strict';

const { figuresOf, sampleOf } = require('../measure/streams');

/** Milliseconds before a measurement. */
const WARM_UP = 100;

/** @type {{ serialization: string, shape: string, size: number, label: string }[]} */
const streams = [
  { serialization: 'json', shape: 'string', size: 1000, label: 'one string, 1 kB' },
  { serialization: 'json', shape: 'string', size: 100_000, label: 'one string, 100 kB' },
  { serialization: 'json', shape: 'fields', size: 1000, label: 'small fields, 1 kB' },
  { serialization: 'json', shape: 'fields', size: 100_000, label: 'small fields, 100 kB' },
  { serialization: 'json', shape: 'numbers', size: 10_000, label: 'array of numbers, 10 kB' },
  { serialization: 'json', shape: 'records', size: 10_000, label: 'array of objects, 10 kB' },
  { serialization: 'advanced', shape: 'buffer', size: 1000, label: 'Buffer, 1 kB' },
  { serialization: 'advanced', shape: 'buffer', size: 100_000, label: 'Buffer, 100 kB' },
];

module.exports = {
  name: 'shapes',
  title: 'Messages of several shapes between the primary and one worker',
  verified:
    'number and order of every message; the content of every string and Buffer, and of one in fifty of the others',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.2,
  figures: figuresOf(streams),
  sample: sampleOf(streams, WARM_UP),
};
