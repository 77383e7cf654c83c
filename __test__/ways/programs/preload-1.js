'use strict';

globalThis.preloaded ??= [];
globalThis.preloaded.push(1);
