'use strict';

require('./served');
