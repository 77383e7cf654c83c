'use strict';

// ./served.js with rust-cluster, as a program that loads the package by its name.

const cluster = require('rust-cluster');

if (!cluster[Symbol.for('rust-cluster.installed')]) throw new Error("this is Node's own cluster");

require('./served');
