'use strict';

// node -r rust-cluster/register app.js: require('cluster') is this cluster, for the program and all it loads.

require('./index');
