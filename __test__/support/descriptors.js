'use strict';

const proc = require('./proc');

/** The descriptors that this process has open, each with what the kernel calls it. */
const descriptors = () => proc.descriptors('self');

/** How many sockets this process has open. */
const sockets = () => Object.values(descriptors()).filter(name => name.startsWith('socket:')).length;

module.exports = { descriptors, sockets };
