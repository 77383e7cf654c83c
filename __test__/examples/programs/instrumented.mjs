// A program that forks its workers itself, says which instance each is, and has OpenTelemetry's SDK by --import.

import cluster from 'node:cluster';
import http from 'node:http';

if (cluster.isPrimary) {
  for (const slot of [0, 1])
    cluster.fork({ OTEL_RESOURCE_ATTRIBUTES: `service.instance.id=own.${slot}` }, { slot });
  process.once('SIGTERM', () => cluster.disconnect());
} else {
  const server = http.createServer((_request, response) =>
    response.end(`Hello from process ${process.pid}\n`),
  );
  server.listen(0, '127.0.0.1');
}
