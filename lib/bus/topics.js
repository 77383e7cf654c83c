'use strict';

// What this process listens to and answers on, by the names of its open channels.

const errors = require('../errors');
const { fromBytes, reasonToBytes, toBytes } = require('./clone');
const { thisMember } = require('./member');
const { say } = require('./protocol');

/** The open channels of a name. */
class Topic {
  /** @type {Set<{ receive(from: number | 'primary', data: Uint8Array): void, miss(count: number): void }>} */
  channels = new Set();
  /** What each channel that answers does. The first is asked. */
  answers = new Map();

  constructor(name) {
    this.name = name;
  }

  /** To each but one, in a tick of its own: what a listener throws is nothing to the next. */
  deliver(from, bytes, except) {
    for (const channel of this.channels) {
      if (channel === except) continue;
      // Typed arrays are views of the bytes.
      const own = this.channels.size > 1 ? Uint8Array.prototype.slice.call(bytes) : bytes;
      process.nextTick(() => channel.receive(from, own));
    }
  }

  answer(channel, answer) {
    if (answer) {
      if (this.answers.size === 0) thisMember().tell(say.serve(this.name));
      this.answers.set(channel, answer);
    } else if (this.answers.delete(channel) && this.answers.size === 0) {
      thisMember().mention(say.retire(this.name));
    }
  }
}

/** @type {Map<string, Topic>} */
const topics = new Map();

/** What is being answered, by the hub's number of it: what tells that nobody waits for the answer any more. */
const answering = new Map();

function open(name, channel) {
  let topic = topics.get(name);
  if (!topic) {
    const member = thisMember();
    Object.assign(member.heard, heard);
    member.tell(say.subscribe(name));
    topic = new Topic(name);
    topics.set(name, topic);
  }
  topic.channels.add(channel);
  return topic;
}

function close(topic, channel) {
  topic.answer(channel, null);
  topic.channels.delete(channel);
  if (topic.channels.size > 0) return;
  topics.delete(topic.name);
  thisMember().mention(say.unsubscribe(topic.name));
}

const heard = {
  published: ({ from, topic, data }) => topics.get(topic)?.deliver(from, data),
  missed({ topic, count }) {
    for (const channel of topics.get(topic)?.channels ?? []) process.nextTick(() => channel.miss(count));
  },
  forgotten: ({ token }) => answering.get(token)?.abort(),
  asked,
};

async function asked({ token, from, topic, data }) {
  const [answer] = topics.get(topic)?.answers.values() ?? [];
  const nobodyWaits = new AbortController();
  answering.set(token, nobodyWaits);
  let bytes;
  let ok = false;
  try {
    // It was closed a moment ago.
    if (!answer) throw errors.unanswered('nobody', topic);
    bytes = toBytes(await answer(fromBytes(data), { from, signal: nobodyWaits.signal }));
    ok = true;
  } catch (reason) {
    bytes = reasonToBytes(reason);
  }
  answering.delete(token);
  if (!nobodyWaits.signal.aborted) thisMember().mention(say.answer(token, ok, bytes));
}

module.exports = { close, open };
