/*
 * What the user has said or changed and the gateway has not acknowledged, across connections and
 * reloads. Everything is stored with its client_msg_id before it is sent, and sent in order, with
 * the same id however often, until there is an `ack` or a final error.
 *
 *   queued ──dispatch──▶ sending ──ack──▶ gone
 *     ▲                    │ └──final error──▶ failed: the user sends it again, as a new message
 *     └──error to retry, or the connection is lost
 *
 * After an error to retry, the conversation's queue settles: it waits for the answers to all that
 * is under way, which fail too (`after_failed`), and until the gateway may be asked again; then all
 * go again from the first on. An entry leaves only with its answer, also when our own event has
 * come by another way (isKnown): the gateway holds up the conversation until what failed is back.
 */
'use strict';

const SENDS_IN_FLIGHT_MAX = 8;       // per conversation
const FAULTS_MAX = 3;                // of the server, with one entry, until it is given up
const CLOCK_AHEAD_MS_MAX = 120_000;  // an id's time is at most so far ahead of its event's

class Outbox {
  constructor(client) {
    this.client = client;
    this.settling = new Map();   // queue → until when it waits, at the earliest
    this.entries = client.store.get('outbox') ?? [];
    this.requeue();
  }

  get connection() { return this.client.connection; }

  save() {
    this.client.store.set('outbox', this.entries);
    this.client.emit('change');
  }

  /** Messages of a conversation that are not in the log as far as we know. */
  pending(conv) {
    return this.entries.filter((one) => one.conv === conv && one.op === 'send' && !one.isKnown);
  }

  /** Puts an op into the outbox. Resolves once it is done, with undefined if it was refused. */
  submit(op, conv, fields) {
    const id = uuidV7(this.client.now());
    const entry = { id, queue: conv || id, conv, op, fields, state: 'queued', failures: 0, faults: 0 };
    this.entries.push(entry);
    this.save();
    return new Promise((done) => {
      Object.defineProperty(entry, 'done', { value: done });  // not stored
      this.pump();
    });
  }

  // ---------------------------------------------------------------- sending

  /** The connection is lost: what was under way has no outcome, and goes again. */
  requeue() {
    for (const entry of this.entries) if (entry.state === 'sending') entry.state = 'queued';
  }

  /** A new connection: its order begins anew. */
  restart() {
    this.requeue();
    this.settling.clear();
    for (const entry of this.entries) entry.failures = 0;
    this.pump();
  }

  pump() {
    for (const entry of [...this.entries]) {
      if (!this.connection.link?.hasRoom) return;
      const { queue, state } = entry;
      if (state === 'queued' && this.mayGo(queue)) this.dispatch(entry);
    }
  }

  underWay(queue) {
    return this.entries.filter((one) => one.queue === queue && one.state === 'sending');
  }

  mayGo(queue) {
    return !this.settling.has(queue) && this.underWay(queue).length < SENDS_IN_FLIGHT_MAX;
  }

  dispatch(entry) {
    const { link } = this.connection;
    entry.state = 'sending';
    this.save();
    link.call(entry.op, { ...entry.fields, client_msg_id: entry.id })
      .then(({ ack }) => this.onAnswer(entry, ack), (error) => this.onError(entry, error, link))
      .then(() => link === this.connection.link && this.release(entry.queue));
  }

  /** An `ok` instead of an `ack`: it was so already, there is no event. */
  onAnswer(entry, ack) {
    this.remove(entry, ack ?? { conv: entry.conv });
    if (ack) this.client.onAck(entry, ack);
  }

  remove(entry, result) {
    this.entries = this.entries.filter((one) => one !== entry);
    entry.done?.(result);
    this.save();
  }

  /** Our own event came by another way than its ack. */
  confirm({ sender, client_msg_id: id }) {
    const entry = sender === this.client.user && this.entries.find((one) => one.id === id);
    if (!entry) return;
    if (entry.state === 'failed') return this.remove(entry);
    entry.isKnown = true;
    this.save();
  }

  // ---------------------------------------------------------------- errors

  async onError(entry, error, link) {
    const isLost = error.code === 'lost' || link !== this.connection.link;
    if (isLost) return;
    entry.failures += 1;
    if (error.isFaultOfServer) entry.faults += 1;
    if (entry.faults >= FAULTS_MAX) this.giveUp(entry, error);
    else if (error.mayRetry) this.goAgain(entry, error);
    else if (this.mayRenew(entry, error)) await this.renew(entry, error, link);
    else this.refuse(entry, error);
  }

  goAgain(entry, { code, retryAfterMs }) {
    const wait = backoff(entry.failures - (code === 'after_failed' ? 1 : 0));
    entry.state = 'queued';
    this.settle(entry.queue, Math.max(retryAfterMs, wait));
  }

  settle(queue, waitMs) {
    this.settling.set(queue, Math.max(this.settling.get(queue) ?? 0, Date.now() + waitMs));
  }

  /** Lets a queue go on once nothing of it is under way and its wait is over. */
  release(queue) {
    if (this.settling.has(queue) && !this.underWay(queue).length) {
      const wait = this.settling.get(queue) - Date.now();
      if (wait > 0) return void setTimeout(() => this.release(queue), wait);
      this.settling.delete(queue);
    }
    this.pump();
  }

  /** The gateway waits for what failed; only a new connection makes it forget that. */
  giveUp(entry, error) {
    this.refuse(entry, error);
    this.connection.connect();
  }

  /** Old ids are looked for in the log; that of a new group is in a log that we cannot name. */
  mayRenew({ conv }, { code }) {
    return code === 'clock' || (conv && (code === 'expired_id' || code === 'sync_first'));
  }

  /** A new id, unless the log already has the event of the old one. */
  async renew(entry, { code }, link) {
    let event;
    try {
      if (code === 'clock') await this.client.readClock();
      else event = await this.findInLog(entry);
    } catch (error) {
      if (link === this.connection.link) this.goAgain(entry, error);
      return;
    }
    if (link !== this.connection.link) return;
    if (event) {
      this.remove(entry, event);
      return this.client.catchUp.onEvent(event);   // it was not pushed to us, who sent it
    }
    entry.id = uuidV7(this.client.now());
    entry.state = 'queued';
    this.settle(entry.queue, backoff(entry.failures - 1));
    this.save();
  }

  /** The event of an entry, looked for downwards to where its id can have been new. */
  async findInLog({ conv, id }) {
    const oldestMs = uuidTimeMs(id) - CLOCK_AHEAD_MS_MAX;
    const isIt = ({ sender, client_msg_id }) => sender === this.client.user && client_msg_id === id;
    for (let before = 0; ; ) {
      const page = await this.historyBelow(conv, before);
      const events = page.events ?? [];
      const found = events.find(isIt);
      const isEnd = !events.length || !page.has_more || events[0].time_ms < oldestMs;
      if (found || isEnd) return found;
      before = events[0].seq;
    }
  }

  /** A page of history; an empty one of a conversation that is not there (yet). */
  async historyBelow(conv, before) {
    try {
      return (await this.connection.call('history', { conv, before, limit: 200 })).history;
    } catch (error) {
      if (error.code !== 'forbidden') throw error;
      return {};
    }
  }

  refuse(entry, error) {
    if (entry.isKnown) return this.remove(entry, { conv: entry.conv });
    entry.state = 'failed';
    entry.error = error.message;
    if (entry.op !== 'send') {
      this.remove(entry);
      this.client.complain(error);
    }
    this.save();
    this.client.changed(entry.conv);
  }

  // ---------------------------------------------------------------- what the user decides

  /** Sends a refused message again: a new message, after all others. */
  resend(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    this.submit(entry.op, entry.conv, entry.fields);
  }

  discard(entry) {
    this.remove(entry);
    this.client.changed(entry.conv);
  }
}
