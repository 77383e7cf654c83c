#!/usr/bin/env node
'use strict';

// rust-cluster app.js: the command line, nothing else.

require('../lib/supervisor/command').main(process.argv.slice(2), () => require('../supervisor').supervise);
