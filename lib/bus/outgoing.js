'use strict';

// What this machine says to the others: what is posted in one turn of the loop goes together, and what waits for a broker
// that is away, or slow, is bounded. Whatever is not sent has a number, so that the others see that it is missing.

const errors = require('../errors');
const { Writer, isTraced, message } = require('./envelope');
const { subjectOf } = require('./subject');

/** Bytes of messages that go together at most; one of them may be larger. */
const TOGETHER = 128 * 1024;

/** Bytes that wait for the broker, as many as wait for a member. */
const MOST_WAITING = 16 * 1024 * 1024;

/** What an envelope that waits takes besides its bytes. */
const OVERHEAD = 512;

/** Of how many channels we know the number of the next message. */
const MOST_STREAMS = 16_384;

class Outgoing {
  #relations;
  #writer;
  /** What is told in this turn, by channel. */
  #batches = new Map();
  /** How far each channel is; the one that was used last is the last. */
  #streams = new Map();
  /** Of the streams that begin now: those that we have forgotten were in an earlier one. */
  #epoch = 0;
  /** Channels whose last messages were lost, of which the others do not know yet. */
  #owing = new Set();
  /** Envelopes for when there is a connection. */
  #queue = [];
  /** Bytes of those, and of what the broker has not confirmed. */
  #waiting = 0;
  #sent = 0;

  /** @param {object} relations `transport`, `prefix`, `session`, `machine`, `reports` */
  constructor(relations) {
    this.#relations = relations;
    this.#writer = new Writer(relations.session, relations.machine);
  }

  figures() {
    return { sent: this.#sent, waiting: this.#waiting };
  }

  /** Somebody has posted this. */
  add(from, topic, data) {
    let batch = this.#batches.get(topic);
    if (!batch) {
      if (this.#batches.size === 0) process.nextTick(() => this.flush());
      batch = { messages: [], bytes: 0, traced: false };
      this.#batches.set(topic, batch);
    }
    const bytes = message(from, data);
    const traced = isTraced(data);
    if (traced !== batch.traced || batch.bytes + bytes.length > this.#together())
      this.#flushOne(topic, batch);
    batch.traced = traced;
    batch.messages.push(bytes);
    batch.bytes += bytes.length;
  }

  #together() {
    const { limit = Infinity } = this.#relations.transport;
    return Math.min(TOGETHER, limit - this.#writer.size(0));
  }

  flush() {
    for (const [topic, batch] of this.#batches) this.#flushOne(topic, batch);
    this.#batches.clear();
  }

  #flushOne(topic, batch) {
    const { messages, traced } = batch;
    if (messages.length === 0) return;
    batch.messages = [];
    batch.bytes = 0;
    this.#say(topic, messages, traced);
  }

  /** So many were posted that we were not told. */
  missed(topic, count) {
    const batch = this.#batches.get(topic);
    if (batch) this.#flushOne(topic, batch);
    this.#drop(topic, this.#streamOf(topic), count);
  }

  /** More was posted than we were told: nobody knows what. */
  astray() {
    this.flush();
    for (const [topic, stream] of this.#streams) {
      stream.unknownLoss = true;
      this.#owing.add(topic);
    }
    this.#relations.reports.report(errors.bridgeFull(MOST_WAITING), 0);
    this.#pay();
  }

  connected() {
    const { transport } = this.#relations;
    const queue = this.#queue;
    let told = 0;
    while (told < queue.length && transport.connected) {
      const { subject, bytes, count, topic } = queue[told++];
      this.#waiting -= bytes.length + OVERHEAD;
      this.#publish(topic, subject, bytes, count);
    }
    this.#queue = queue.slice(told);
    this.#pay();
  }

  /** Tells the others what is missing, where nothing else does. */
  #pay() {
    const { transport } = this.#relations;
    if (this.#queue.length > 0 || this.#waiting > MOST_WAITING / 2) return;
    for (const topic of this.#owing) {
      if (!transport.connected) return;
      this.#owing.delete(topic);
      this.#say(topic, []);
    }
  }

  #streamOf(topic) {
    const stream = this.#streams.get(topic) ?? { epoch: this.#epoch, number: 0, unknownLoss: false };
    this.#streams.delete(topic);
    this.#streams.set(topic, stream);
    if (this.#streams.size > MOST_STREAMS) this.#forget(this.#streams.keys().next().value);
    return stream;
  }

  #forget(topic) {
    this.#streams.delete(topic);
    this.#owing.delete(topic);
    this.#epoch = (this.#epoch + 1) >>> 0;
  }

  #say(topic, messages, traced = false) {
    const { transport, prefix, reports } = this.#relations;
    const stream = this.#streamOf(topic);
    const { epoch, number, unknownLoss } = stream;
    const count = messages.length;
    const bytes = this.#writer.envelope({ epoch, number, count, unknownLoss, traced }, messages);
    if (bytes.length > transport.limit) {
      reports.report(errors.bridgeTooLarge(bytes.length, transport.limit), count);
      return this.#owe(topic, stream, count);
    }
    if (this.#waiting + bytes.length > MOST_WAITING + TOGETHER) return this.#drop(topic, stream, count);
    stream.number += count;
    stream.unknownLoss = false;
    this.#owing.delete(topic);
    const subject = subjectOf(prefix, topic);
    if (transport.connected && this.#queue.length === 0) {
      this.#publish(topic, subject, bytes, count);
    } else {
      this.#queue.push({ topic, subject, bytes, count });
      this.#waiting += bytes.length + OVERHEAD;
    }
  }

  #drop(topic, stream, count) {
    this.#relations.reports.report(errors.bridgeFull(MOST_WAITING), count);
    this.#owe(topic, stream, count);
  }

  #owe(topic, stream, count) {
    stream.number += count;
    this.#owing.add(topic);
    process.nextTick(() => this.#pay());
  }

  #publish(topic, subject, bytes, count) {
    let told;
    try {
      told = this.#relations.transport.publish(subject, bytes);
    } catch (error) {
      return this.#failed(topic, error, count);
    }
    this.#sent += count;
    if (typeof told?.then !== 'function') return;
    this.#waiting += bytes.length + OVERHEAD;
    const settled = () => {
      this.#waiting -= bytes.length + OVERHEAD;
      if (this.#owing.size > 0) this.#pay();
    };
    told.then(settled, error => {
      this.#sent -= count;
      this.#failed(topic, error, count);
      settled();
    });
  }

  /** Whether the others have it nobody knows: its number tells them. */
  #failed(topic, error, count) {
    this.#relations.reports.failed('The broker did not take messages', error, count);
    if (count === 0 || !this.#streams.has(topic)) return;
    this.#owing.add(topic);
    process.nextTick(() => this.#pay());
  }
}

module.exports = { Outgoing };
