'use strict';

/**
 * Node's list of a server's HTTP/1 connections: their parsers. `idle()` are those between two requests, `active()` the
 * others.
 */
const parsersOf = server =>
  server[
    Object.getOwnPropertySymbols(server).find(({ description }) => description === 'http.server.connections')
  ];

module.exports = { parsersOf };
