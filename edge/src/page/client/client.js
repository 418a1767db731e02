/*
 * A device of a user, and the example for authors of other clients: no dependencies, nothing of any
 * user interface, written against docs/protocol.md. Read it in this order:
 *
 *   identifiers.js, errors.js   what ids look like; which errors may be asked again, and when
 *   link.js                     one WebSocket: frames, answers, liveness
 *   connection.js               hello, reconnecting, close codes
 *   conversation.js             the contiguous window of one log, and its watermarks
 *   catch-up.js                 resume, lists, holes
 *   watermarks.js               `delivered` and `read`, ours and those of others
 *   outbox.js                   sending safely
 *   client.js                   this: the parts put together, and what a reload keeps
 *
 * Events: `state`, `change` (detail: conv or undefined), `news` (detail: event), `notice` (words).
 */
'use strict';

const SAVE_WAIT_MS = 500;
const FRAME_BYTES_BESIDE_TEXT = 1024;  // of a send: ids, names and punctuation

class ThrongClient extends EventTarget {
  constructor({ url, user, device, agent, store }) {
    super();
    Object.assign(this, { user, device, agent, store });
    this.conversations = new Map();
    this.clockSkewMs = 0;
    this.limits = { text_bytes_max: 16_384, frame_bytes_max: 65_536 };  // until `welcome` has them
    this.connection = new Connection(url, {
      hello: () => ({ user, device, agent, cursor: this.catchUp.cursor }),
      onWelcome: (welcome) => this.onWelcome(welcome),
      onPush: (frame) => this.onPush(frame),
      onRoom: () => this.outbox.pump(),
      onState: () => this.onState(),
    });
    this.catchUp = new CatchUp(this);
    this.watermarks = new Watermarks(this);
    this.outbox = new Outbox(this);
    this.restore(store.get('state'));
  }

  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  conversation(conv) {
    let found = this.conversations.get(conv);
    if (!found) this.conversations.set(conv, (found = new Conversation(conv, this.user)));
    return found;
  }

  complain(error) {
    if (error.code !== 'lost') this.emit('notice', error.message);
  }

  // ---------------------------------------------------------------- what the gateway says

  connect() { this.connection.connect(); }

  onState() {
    if (!this.connection.isOnline) this.outbox.requeue();
    this.emit('state');
  }

  onWelcome(welcome) {
    this.clockSkewMs = welcome.time_ms - Date.now();
    Object.assign(this.limits, welcome.limits);
    this.catchUp.onWelcome(welcome);
    this.watermarks.expire();
    this.outbox.restart();
    this.watermarks.schedule();
  }

  /** Frames without an `id`; what we do not know is from a later version. */
  onPush({ event, receipt, changes, error }) {
    if (event) this.catchUp.onEvent(event);
    else if (receipt) this.watermarks.onReceipt(receipt);
    else if (changes) this.catchUp.onChanges(changes);
    else if (error) this.complain(new ThrongError(error));
  }

  /** The ack of a message is its event; that of another op says that there is one. */
  onAck({ op, id, fields }, { conv, seq, time_ms }) {
    if (op === 'send') {
      const { user: sender, device } = this;
      const message = { kind: 'text', text: fields.text };
      this.catchUp.onEvent({ conv, seq, time_ms, sender, device, client_msg_id: id, message });
    } else {
      this.conversation(conv).noteHead(seq);
      this.catchUp.scheduleFill(0);
    }
    this.changed(conv);
  }

  /** Events that have just joined a window, in order. */
  joined(conversation, events) {
    for (const event of events) {
      this.outbox.confirm(event);
      if (event.message && event.sender !== this.user) this.emit('news', event);
    }
    if (!events.length) return;
    conversation.draft = false;
    this.watermarks.schedule();
    this.changed(conversation.conv);
  }

  /** The gateway's time, which the time of an id must not be ahead of. */
  now() { return Date.now() + this.clockSkewMs; }

  async readClock() {
    const { pong } = await this.connection.call('ping', {});
    this.clockSkewMs = pong.time_ms - Date.now();
  }

  // ---------------------------------------------------------------- what the user does

  /** Opens the direct conversation with a user; it comes into being with the first message. */
  async openDirect(peer) {
    const conv = await directConversation(this.user, peer);
    const conversation = this.conversation(conv);
    if (!conversation.kind) Object.assign(conversation, { kind: 'direct', peer, draft: true });
    this.changed(conv);
    return conv;
  }

  /** Whether the gateway takes so long a text, as it is and as JSON. */
  fits(text) {
    const bytes = (string) => new TextEncoder().encode(string).length;
    const { text_bytes_max, frame_bytes_max } = this.limits;
    const frameBytes = bytes(JSON.stringify(text)) + FRAME_BYTES_BESIDE_TEXT;
    return bytes(text) <= text_bytes_max && frameBytes <= frame_bytes_max;
  }

  sendText(conv, text) {
    const { kind, peer } = this.conversations.get(conv);
    this.outbox.submit('send', conv, kind === 'direct' ? { to: peer, text } : { conv, text });
  }

  /** A change of a group: add_members, remove_members, set_role, rename or leave. */
  change(op, conv, fields) { return this.outbox.submit(op, conv, { conv, ...fields }); }

  createGroup(name, members) { return this.outbox.submit('create_group', '', { name, members }); }

  /** The conversation is on the user's screen. */
  markRead(conv) {
    const conversation = this.conversations.get(conv);
    if (!conversation?.readUpTo(conversation.cursor)) return;
    this.watermarks.schedule();
    this.changed(conv);
  }

  // ---------------------------------------------------------------- what a reload keeps

  changed(conv) {
    this.emit('change', conv);
    this.saveTimer ??= setTimeout(() => this.save(), SAVE_WAIT_MS);
  }

  save() {
    clearTimeout(this.saveTimer);
    this.saveTimer = undefined;
    const { logId, cursor } = this.catchUp;
    const isKept = ({ conv, draft }) => !draft || this.outbox.pending(conv).length;
    const kept = [...this.conversations.values()].filter(isKept);
    this.store.set('state', { logId, cursor, conversations: kept.map((one) => one.save()) });
  }

  restore(saved) {
    if (!saved) return;
    Object.assign(this.catchUp, { logId: saved.logId, cursor: saved.cursor });
    for (const one of saved.conversations) {
      this.conversations.set(one.conv, Conversation.load(one, this.user));
    }
  }
}

/** JSON in the tab's own storage: what cannot be stored is fetched again next time. */
class TabStore {
  constructor(prefix) { this.prefix = prefix; }

  get(key) {
    try {
      return JSON.parse(sessionStorage.getItem(`${this.prefix}.${key}`));
    } catch {
      return null;
    }
  }

  set(key, value) {
    try {
      sessionStorage.setItem(`${this.prefix}.${key}`, JSON.stringify(value));
    } catch {
      sessionStorage.removeItem(`${this.prefix}.${key}`);
    }
  }
}
