'use strict';

// The trace that a message belongs to: what the primary posts, and what a worker and another channel hear of it.

const { once } = require('node:events');
const { BroadcastChannel } = require('rust-cluster/bus');
const { cases, say } = require('../../support/cases');

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

/** What arrives: the data, and the trace. */
const tell = (name, channel) => {
  channel.onmessage = ({ data, traceparent }) => say(name, [data, traceparent ?? null]);
};

/** Posts once a worker listens, and ends when it has heard all. */
async function primary(cluster, post) {
  const [channel, second] = [new BroadcastChannel('traced'), new BroadcastChannel('traced')];
  tell('here', second);
  const worker = cluster.fork();
  await once(worker, 'message');
  post(channel);
  channel.postMessage('end', { traceparent: null });
  await once(worker, 'exit');
  channel.close();
  second.close();
}

async function worker(cluster) {
  const channel = new BroadcastChannel('traced');
  tell('there', channel);
  channel.addEventListener('message', ({ data }) => data === 'end' && cluster.worker.disconnect());
  await channel.ready();
  process.send('listens');
}

cases({
  given: {
    worker,
    primary: cluster =>
      primary(cluster, channel => {
        channel.postMessage({ a: 'none' });
        channel.postMessage({ a: 'one' }, { traceparent: `00-${TRACE}-${SPAN}-01` });
        channel.postMessage(new Map([[1, 'of a later version']]), { traceparent: `cc-${TRACE}-${SPAN}-ff` });
        const none = [
          ...[
            null,
            5,
            {},
            '',
            'x',
            `00-${TRACE}-${SPAN}`,
            ` 00-${TRACE}-${SPAN}-01`,
            `00-${TRACE}-${SPAN}-01\n`,
          ],
          ...[
            `ff-${TRACE}-${SPAN}-01`,
            `00-${'0'.repeat(32)}-${SPAN}-01`,
            `00-${TRACE}-${'0'.repeat(16)}-01`,
          ],
          ...[`00-${TRACE.toUpperCase()}-${SPAN}-01`, `00-${TRACE}-${SPAN}-01-more`],
        ];
        for (const traceparent of none) channel.postMessage('none', { traceparent });
        channel.postMessage('no options', undefined);
        channel.postMessage('those of a MessagePort', []);
        channel.postMessage('null', null);
      }),
  },

  "OpenTelemetry's": {
    worker,
    primary: cluster =>
      primary(cluster, channel => {
        const { ROOT_CONTEXT, context, propagation, trace } = require('@opentelemetry/api');
        const { AsyncLocalStorageContextManager } = require('@opentelemetry/context-async-hooks');
        const { W3CTraceContextPropagator } = require('@opentelemetry/core');
        const span = { traceId: TRACE, spanId: SPAN, traceFlags: 1 };
        const within = act => context.with(trace.setSpanContext(ROOT_CONTEXT, span), act);
        within(() => channel.postMessage('before it is set up'));
        context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
        within(() => channel.postMessage('without a propagator'));
        propagation.setGlobalPropagator(new W3CTraceContextPropagator());
        within(() => channel.postMessage('active'));
        within(() => channel.postMessage('given', { traceparent: `00-${TRACE}-${'1'.repeat(16)}-00` }));
        within(() => channel.postMessage('none', { traceparent: null }));
        channel.postMessage('outside');
        const found = trace.getSpanContext(
          propagation.extract(ROOT_CONTEXT, { traceparent: `00-${TRACE}-${SPAN}-01` }),
        );
        say('extracted', [found.traceId, found.spanId, found.isRemote]);
      }),
  },

  'nothing is loaded': {
    primary: async () => {
      const channel = new BroadcastChannel('traced');
      channel.postMessage(1);
      await channel.ready();
      channel.close();
      say(
        'loaded',
        Object.keys(require.cache).filter(file => file.includes('opentelemetry')),
      );
    },
  },
});
