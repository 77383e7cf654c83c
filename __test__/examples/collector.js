'use strict';

// What takes OpenTelemetry's OTLP over HTTP, as JSON: a collector, as far as the tests need one.

const { once } = require('node:events');
const http = require('node:http');

/** The kind of a span whose request came from outside. */
const SERVER = 2;

class Collector {
  /** What came of each process, by its pid. @type {Map<number, object>} */
  processes = new Map();
  #server = http.createServer((request, response) => this.#take(request, response));

  async start(t) {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    t.after(() => this.#server.close());
    return this;
  }

  /** The variables that have a process send here, and of itself only at its end. */
  get env() {
    return {
      OTEL_SERVICE_NAME: 'shop',
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.address().port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_BSP_SCHEDULE_DELAY: 600_000,
      OTEL_METRIC_EXPORT_INTERVAL: 600_000,
    };
  }

  async #take(request, response) {
    const parts = await request.toArray();
    const { resourceSpans = [], resourceMetrics = [] } = JSON.parse(Buffer.concat(parts));
    for (const { resource, scopeSpans } of resourceSpans)
      for (const { kind } of scopeSpans.flatMap(({ spans }) => spans))
        if (kind === SERVER) this.#of(resource).spans++;
    for (const { resource, scopeMetrics } of resourceMetrics)
      for (const { name, histogram } of scopeMetrics.flatMap(({ metrics }) => metrics))
        if (name === 'http.server.request.duration')
          this.#of(resource).measured = histogram.dataPoints.reduce(
            (sum, { count }) => sum + Number(count),
            0,
          );
    response.setHeader('Content-Type', 'application/json').end('{}');
  }

  /** Of a process there is one resource: what it says it is. */
  #of({ attributes }) {
    const { 'process.pid': pid, ...is } = Object.fromEntries(
      attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]),
    );
    const found = this.processes.get(pid) ?? { spans: 0, measured: 0, instances: new Set() };
    found.instances.add(`${is['service.name']} ${is['service.instance.id']}`);
    this.processes.set(pid, found);
    return found;
  }
}

module.exports = { Collector };
