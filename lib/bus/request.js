'use strict';

// A request to those who answer on a channel: its answer, or all of them.

const errors = require('../errors');
const { fromBytes, reasonFrom, toBytes, toJson } = require('./clone');
const { settle, thisMember } = require('./member');
const { LONGEST_TEXT, PRIMARY, TO, say, sayJson, topicAsJson } = require('./protocol');

/**
 * @param {string} name of the channel
 * @param {any} data
 * @param {object} options
 * @param {'any' | 'all' | 'primary' | number} [options.to]
 * @param {AbortSignal} [options.signal]
 */
function request(name, data, { to = 'any', signal }) {
  signal?.throwIfAborted();
  const [kind, place] = target(to);
  const question = questionOf(name, kind, place, data);
  const member = thisMember();
  return new Promise((resolve, reject) => {
    const results = [];
    const finish = settle(resolve, reject, () => (kind === TO.all ? results : toValue(results[0])));
    const id = member.ask(question, notice => {
      if (notice.is === 'answered') {
        // Of all, nobody is none.
        if (kind !== TO.all || notice.how !== 'nobody') results.push(resultOf(notice, name));
        if (!notice.last) return false;
      }
      signal?.removeEventListener('abort', abort);
      return finish(notice);
    });
    const abort = () => {
      member.forget(id);
      member.mention(say.forget(id));
      reject(signal.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** @returns {(id: number) => Buffer | string} what asks for it */
function questionOf(name, kind, place, data) {
  const [topic, json] = [topicAsJson(name), toJson(data)];
  if (topic && json?.length <= LONGEST_TEXT) return id => sayJson.ask(id, kind, place, topic, json);
  const bytes = toBytes(data, json);
  return id => say.ask(id, kind, place, name, bytes);
}

function target(to) {
  if (to === 'any') return [TO.any, 0];
  if (to === 'all') return [TO.all, 0];
  if (to === 'primary') return [TO.place, PRIMARY];
  if (Number.isInteger(to) && to >= 0 && to < PRIMARY) return [TO.place, to];
  throw errors.badTarget(to);
}

function resultOf({ how, from, data, value }, name) {
  const told = () => (data ? fromBytes(data) : value);
  try {
    if (how === 'fulfilled') return { from, status: 'fulfilled', value: told() };
    const reason = how === 'rejected' ? reasonFrom(told()) : errors.unanswered(how, name, from);
    return { from, status: 'rejected', reason };
  } catch (reason) {
    // Nobody of ours has written these bytes.
    return { from, status: 'rejected', reason };
  }
}

function toValue({ status, value, reason }) {
  if (status === 'rejected') throw reason;
  return value;
}

module.exports = { request };
