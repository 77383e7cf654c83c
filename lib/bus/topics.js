'use strict';

// What this process listens to and answers on, by the names of its open channels.

const errors = require('../errors');
const { fromBytes, reasonToBytes, toBytes, toJson, toTracedBytes, traceparentIn } = require('./clone');
const { GapEvent, MessageEvent } = require('./events');
const { here, thisMember } = require('./member');
const { LONGEST_TEXT, say, sayJson, topicAsJson } = require('./protocol');

/** The open channels of a name. */
class Topic {
  /** @type {Set<{ receive(event: Event): void }>} */
  channels = new Set();
  /** What each channel that answers does. The first is asked. */
  answers = new Map();
  /** Why the hub does not have this process listen, or answer, if it does not. */
  refusals = {};

  #json;

  constructor(name) {
    this.name = name;
    this.#json = topicAsJson(name);
  }

  /** Asks the hub for something that no promise waits for. */
  ask(what, command) {
    thisMember().ask(
      id => command(id, this.name),
      ({ is, why }) => {
        this.refusals[what] = is === 'refused' ? why : undefined;
        if (is === 'refused') process.emitWarning(errors.busRefused(why));
        return true;
      },
    );
  }

  /**
   * To all channels but the one that says it.
   * @param {string} [traceparent] the trace that it belongs to
   */
  post(value, by, traceparent) {
    const json = traceparent ? undefined : toJson(value);
    let copy;
    if (this.#json && json?.length <= LONGEST_TEXT) {
      thisMember().tell(sayJson.publish(this.#json, json));
      copy = () => JSON.parse(json);
    } else {
      const bytes = traceparent ? toTracedBytes(value, traceparent) : toBytes(value, json);
      thisMember().tell(say.publish(this.name, bytes));
      copy = () => fromBytes(bytes);
    }
    if (this.channels.size > 1) this.deliver(here(), copy, { except: by, traceparent });
  }

  /** A copy to each but one, in a tick of its own. */
  deliver(from, copy, { except, traceparent } = {}) {
    for (const channel of this.channels)
      if (channel !== except) process.nextTick(receive, channel, messageOf(from, copy, traceparent));
  }

  /** As `deliver`, of what has arrived. */
  bring(from, bytes) {
    this.deliver(from, () => fromBytes(bytes), { traceparent: traceparentIn(bytes) });
  }

  /** As `deliver`, of a value that nobody else has. */
  give(from, value) {
    if (this.channels.size > 1) {
      const json = JSON.stringify(value);
      this.deliver(from, () => JSON.parse(json));
    } else {
      for (const channel of this.channels)
        process.nextTick(receive, channel, new MessageEvent('message', from, value));
    }
  }

  /** @param {number} [count] of messages; undefined: nobody knows */
  missed(count) {
    for (const channel of this.channels) process.nextTick(receive, channel, new GapEvent(count));
  }

  answer(channel, answer) {
    if (answer) {
      if (this.answers.size === 0) this.ask('answer', say.serve);
      this.answers.set(channel, answer);
    } else if (this.answers.delete(channel) && this.answers.size === 0) {
      thisMember().mention(say.retire(this.name));
    }
  }
}

const receive = (channel, event) => channel.receive(event);

function messageOf(from, copy, traceparent) {
  try {
    return new MessageEvent('message', from, copy(), traceparent);
  } catch (error) {
    return new MessageEvent('messageerror', from, error, traceparent);
  }
}

/** @type {Map<string, Topic>} */
const topics = new Map();

/** What is being answered, by the hub's number of it: what tells that nobody waits for the answer any more. */
const answering = new Map();

function open(name, channel) {
  let topic = topics.get(name);
  if (!topic) {
    Object.assign(thisMember().heard, heard);
    topic = new Topic(name);
    topic.ask('listen', say.subscribe);
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
  posted: ({ from, topic, value }) => topics.get(topic)?.give(from, value),
  published({ from, topic, data }) {
    if (from === 'bridge') relayed(topics.get(topic), data);
    else topics.get(topic)?.bring(from, data);
  },
  // 0: nobody knows how many are lost between machines.
  missed: ({ topic, count }) => topics.get(topic)?.missed(count || undefined),
  forgotten: ({ token }) => answering.get(token)?.forget(),
  asked,
};

/** What a bridge brings: what was posted on another machine. */
function relayed(topic, data) {
  if (!topic) return;
  for (const { from, bytes } of require('./envelope').brought(data)) topic.bring(from, bytes);
}

/** What is being answered. Few ask for the signal, which costs more than all else. */
class Asked {
  /** Whether nobody waits for the answer any more. */
  forgotten = false;
  #controller;

  get signal() {
    this.#controller ??= new AbortController();
    if (this.forgotten) this.#controller.abort();
    return this.#controller.signal;
  }

  forget() {
    this.forgotten = true;
    this.#controller?.abort();
  }
}

function asked({ token, from, topic, data, value }) {
  const [answer] = topics.get(topic)?.answers.values() ?? [];
  const state = new Asked();
  answering.set(token, state);
  const about = {
    from,
    get signal() {
      return state.signal;
    },
  };
  const question = data ? attempt(() => fromBytes(data)) : () => value;
  process.nextTick(async () => {
    let said;
    try {
      // It was closed a moment ago.
      if (!answer) throw errors.unanswered('nobody', topic);
      said = answerOf(token, await answer(question(), about));
    } catch (reason) {
      said = say.answer(token, false, reasonToBytes(reason));
    }
    answering.delete(token);
    if (!state.forgotten) thisMember().mention(said);
  });
}

function answerOf(token, value) {
  const json = toJson(value);
  return json?.length <= LONGEST_TEXT
    ? sayJson.answer(token, json)
    : say.answer(token, true, toBytes(value, json));
}

/** What comes of it, for later: a value, or what was thrown. */
function attempt(act) {
  try {
    const value = act();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

module.exports = { close, open };
