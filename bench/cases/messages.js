'use strict';

const { figuresOf, sampleOf } = require('../measure/streams');

/** Milliseconds before a measurement. */
const WARM_UP = 150;

/** @type {{ serialization: string, size: number, label: string, turn?: number }[]} */
const streams = [
  { serialization: 'json', size: 64, label: '64 B' },
  { serialization: 'json', size: 64, label: '64 B, one a turn', turn: 1 },
  { serialization: 'json', size: 10_000, label: '10 kB' },
  { serialization: 'json', size: 1_000_000, label: '1 MB' },
  { serialization: 'advanced', size: 64, label: '64 B' },
];

module.exports = {
  name: 'messages',
  title: 'Messages between the primary and one worker',
  verified: 'number and content of every message, and their order',
  rivals: ['node-rr', 'rust-rr'],
  seconds: 0.4,
  figures: figuresOf(streams),
  sample: sampleOf(streams, WARM_UP),
};
