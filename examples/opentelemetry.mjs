// Traces and metrics of each worker by OpenTelemetry's SDK, sent to a collector by OTLP. The program itself knows nothing of
// it, nor of the cluster: the command has each worker load this file first.
//
//   npm install rust-cluster @opentelemetry/sdk-node @opentelemetry/instrumentation-http
//   OTEL_SERVICE_NAME=shop npx rust-cluster --import ./examples/opentelemetry.mjs examples/server.js
//
// Where to, how often and what else is said by OpenTelemetry's variables: OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318),
// OTEL_METRIC_EXPORT_INTERVAL … The command adds which worker it is: service.instance.id, by its slot.
// The SDK is made for Node 22.15 and later.

import { register } from 'node:module';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { NodeSDK } from '@opentelemetry/sdk-node';

// What ES modules import is instrumented, too. Node 26 says that register() is deprecated: the SDK has no other way yet.
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);

const sdk = new NodeSDK({ instrumentations: [new HttpInstrumentation()] });
sdk.start();

// A worker that leaves answers what it has begun, and then nothing keeps it alive: what is left to send is sent then. A
// listener of SIGTERM that ends the process would cut its requests off.
process.once('beforeExit', () => sdk.shutdown().catch(error => console.error(error.message)));
