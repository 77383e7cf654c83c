'use strict';

// Two workers send messages about as large as allowed, of all kinds, after small and after large ones. Those that are
// no larger arrive, as they were, and send() throws for the others.

const net = require('node:net');
const { isDeepStrictEqual } = require('node:util');
const v8 = require('node:v8');
const cluster = require('rust-cluster');

const LIMIT = 100_000;
const { SERIALIZATION } = process.env;

const FILLER = 'y'.repeat(24_000);

const size = message =>
  SERIALIZATION === 'advanced' ? v8.serialize(message).length : Buffer.byteLength(JSON.stringify(message));

/** Characters that take more or less room in JSON, in V8's copy and in UTF-16; the last one stands first only. */
const CHARACTERS = ['x', 'ü', '\u20ac', '\u{1f600}', '\u0001', '"', '\ud800'];

const SHAPES = [
  text => text,
  text => ({ text, more: [1, 2.5, null] }),
  text => [text.slice(0, text.length / 2), { rest: text.slice(text.length / 2) }],
  text => ({
    [text.slice(0, 2000)]: Array.from({ length: 40 }, (_, n) => text.slice(n * 2000, n * 2000 + 2000)),
  }),
  text => Array.from({ length: 100 }, (_, n) => text.slice(n * 1000, n * 1000 + 1000)),
];

/** How many characters make a message that is just not too large. */
function mostThatFit(of) {
  let [low, high] = [0, LIMIT];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (size(of(middle)) <= LIMIT) low = middle;
    else high = middle;
  }
  return low;
}

/** About as large as allowed: below it, above it, and what is exactly as large or one larger where that can be. */
function* messages() {
  for (const shape of SHAPES) {
    for (const [first, then] of CHARACTERS.flatMap(it => [
      [it, it],
      [it, 'x'],
    ])) {
      const of = count => shape(first + then.repeat(Math.max(0, count)));
      const low = mostThatFit(of);
      const high = low + 1;
      for (const count of [low >> 3, low >> 1, low - 1, low, high, high + 1, 2 * high]) yield of(count);
    }
  }
}

let [sent, refused] = [0, 0];

function send(message, handle) {
  const fits = size(message) <= LIMIT;
  try {
    process.send(message, handle);
    sent++;
    if (!fits) console.log(`${size(message)} bytes were sent`);
  } catch (error) {
    refused++;
    if (error.code !== 'ERR_RUST_CLUSTER_MESSAGE_TOO_LARGE') throw error;
    if (fits) console.log(`${size(message)} bytes were refused: ${error.message}`);
  }
}

/** Each of them after a small one and after large ones; and with a handle, whose envelope is not counted. */
function sendAll(server) {
  for (const message of messages()) {
    process.send('small');
    send(message);
    for (let n = 0; n < 10; n++) process.send(FILLER);
    send(message);
  }
  const text = 'x'.repeat(mostThatFit(count => 'x'.repeat(count)));
  for (const message of [text, `${text}x`]) send(message, server);
  process.send(`done as measured: ${sent} sent, ${refused} refused`);
}

/** Says what is not as it was sent, and at the end what the worker says. */
function receiveAll(worker) {
  const expected = [...messages()].filter(message => size(message) <= LIMIT);
  let got = 0;
  let withHandle = 0;
  worker.on('error', error => console.log(error.message));
  worker.on('message', (message, handle) => {
    if (handle) {
      handle.close();
      withHandle = size(message);
    } else if (typeof message === 'string' && message.startsWith('done ')) {
      const all = got === 2 * expected.length && withHandle === LIMIT;
      console.log(all ? message.slice(5) : `${got} of ${2 * expected.length}, ${withHandle} with a handle`);
      worker.send('leave');
    } else if (message !== 'small' && message !== FILLER) {
      if (!isDeepStrictEqual(message, expected[got++ >> 1])) console.log(`message ${got} is another`);
    }
  });
}

if (cluster.isPrimary) {
  cluster.setupPrimary({ maxMessageSize: LIMIT, serialization: SERIALIZATION });
  for (const worker of [cluster.fork(), cluster.fork()]) receiveAll(worker);
} else {
  const server = net.createServer().listen({ port: 0, host: '127.0.0.1', exclusive: true }, () => {
    sendAll(server);
    server.close();
    process.on('message', () => process.disconnect());
  });
}
