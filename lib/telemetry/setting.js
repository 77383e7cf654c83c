'use strict';

// The setting `telemetry`: where metrics, health and status are. Loaded where it is set.

const net = require('node:net');
const path = require('node:path');

const errors = require('../errors');

/** Where OpenTelemetry's exporter for Prometheus listens, too. */
const PORT = 9464;

/** Whoever asks from another machine is to be let in on purpose. */
const HOST = '127.0.0.1';

const EXPECTS =
  "an object with some of port, host (an IP address, or 'localhost'), path (of a socket) and hosts (a list of names), or a " +
  "text: '127.0.0.1:9464', '9464', '/run/app.sock'";

const READERS = {
  port: value => (Number.isInteger(value) && value >= 0 && value <= 65535 ? value : undefined),
  host: value => (value === 'localhost' ? HOST : net.isIP(value) ? value : undefined),
  path: value =>
    typeof value === 'string' && value !== '' && !value.slice(1).includes('\0') ? value : undefined,
  // Of an array with holes every() sees nothing.
  hosts: value => (Array.isArray(value) && [...value].every(isName) ? [...value] : undefined),
};

const isName = value => typeof value === 'string' && /^[\w.-]+$/.test(value);

/**
 * @param {unknown} value as the user has set it
 * @returns {{ port: number, host: string, hosts: string[] } | { path: string } | undefined} undefined: it is none
 */
function read(value) {
  const given = typeof value === 'string' ? fromText(value) : value;
  if (given === null || typeof given !== 'object' || Array.isArray(given)) return undefined;
  const setting = {};
  for (const [key, member] of Object.entries(given)) {
    if (!Object.hasOwn(READERS, key)) return undefined;
    if (member === undefined) continue;
    setting[key] = READERS[key](member);
    if (setting[key] === undefined) return undefined;
  }
  if (setting.path === undefined) return { port: PORT, host: HOST, hosts: [], ...setting };
  // A socket of the file system has neither, and no browser comes there.
  return Object.keys(setting).length === 1 ? setting : undefined;
}

function fromText(text) {
  if (/^\d+$/.test(text)) return { port: Number(text) };
  const [, host, port] = text.match(/^(.+):(\d+)$/) ?? [];
  if (host !== undefined && !text.includes('/'))
    return { host: host.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
  return text.includes('/') ? { path: text } : undefined;
}

/** @throws ERR_INVALID_ARG_VALUE */
function telemetrySetting(value) {
  const setting = read(value);
  if (!setting) throw errors.badSetting('telemetry', EXPECTS, value);
  return setting.path === undefined ? setting : { path: absolute(setting.path) };
}

/** The first character of an abstract name is NUL. */
const absolute = name => (name[0] === '\0' ? name : path.resolve(name));

/** As a person writes it. */
function textOf({ path: name, host, port }) {
  if (name !== undefined) return name.replace(/^\0/, '@');
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

module.exports = { EXPECTS, read, telemetrySetting, textOf };
