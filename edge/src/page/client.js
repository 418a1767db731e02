/*
 * A client of the gateway, and the example for authors of others: no dependencies, nothing of any
 * user interface, written against docs/protocol.md. Read it in this order: Conversation (the
 * contiguous window), Link (one WebSocket), ThrongClient (everything that outlives a connection).
 */
'use strict';

// ------------------------------------------------------------------------ limits of this client
const SUBPROTOCOL = 'throng.v1.json';
const BACKOFF_MS_MIN = 1000;         // the wait after the second failure in a row (none after
const BACKOFF_MS_MAX = 30_000;       // the first), doubled up to this, and a random part of it more
const STEADY_MS = 10_000;            // a connection that lived so long resets the backoff
const WELCOME_MS_MAX = 10_000;       // from opening the socket to `welcome`
const PONG_MS_MAX = 10_000;          // silence after a ping that means: the connection is dead
const MARK_INTERVAL_MS = 500;        // `delivered` and `read` are coalesced to one per interval
const HOLE_WAIT_MS = 60;             // an event may overtake another; do not ask at once
const CURSOR_AGE_BEATS = 20;         // every so many heartbeats the cursor is renewed
const GAP_EVENTS_MAX = 200;          // further behind than this, start anew near the head …
const FIRST_EVENTS = 50;             // … with this many events
const WINDOW_EVENTS_MAX = 400;       // kept of a conversation that is not on screen
const AHEAD_EVENTS_MAX = 256;        // events kept while the hole below them is filled
const SENDS_IN_FLIGHT_MAX = 8;       // per conversation

// ------------------------------------------------------------------------ identifiers
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const uuidText = (bytes) =>
  hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** A UUIDv7 (RFC 9562 section 5.7) of the given Unix time in milliseconds. */
function uuidV7(timeMs) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setUint32(0, Math.floor(timeMs / 0x10000));
  new DataView(bytes.buffer).setUint16(4, timeMs % 0x10000);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return uuidText(bytes);
}

const uuidTimeMs = (id) => parseInt(id.replace('-', '').slice(0, 12), 16);

/** The direct conversation of two users: a UUIDv8 that both sides compute alike. */
async function directConversation(one, other) {
  const parts = [new TextEncoder().encode('throng-dm-v1')];
  for (const user of [one, other].sort()) {
    const bytes = new TextEncoder().encode(user);
    parts.push(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
  }
  const input = await new Blob(parts).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', input)).slice(0, 16);
  digest[6] = 0x80 | (digest[6] & 0x0f);
  digest[8] = 0x80 | (digest[8] & 0x3f);
  return uuidText(digest);
}

/** The wait after so many failures in a row: none, then 1 s, 2 s, 4 s … and a random part more. */
function backoff(failures) {
  const base = failures && Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (failures - 1));
  return base * (1 + Math.random());
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * One conversation as this device knows it. It holds a contiguous window of the log: every event
 * of [low, cursor], and nothing else. Live events and `sync` grow it upwards, `history` downwards;
 * an event that is not the cursor's next waits in `ahead` until the hole below it is filled.
 */
class Conversation {
  constructor(conv, me) {
    Object.assign(this, { conv, me, kind: '', name: '', peer: '', closed: false, draft: false });
    this.head = 0;            // the highest seq heard of
    this.cursor = 0;          // the highest seq held with all below it
    this.low = 1;             // the lowest seq held; cursor + 1 while the window is empty
    this.minSeq = 1;          // the first seq that this member may see
    this.events = [];         // events[i].seq === low + i
    this.ahead = new Map();   // seq → event, above a hole
    this.latest = null;       // the newest event heard of, for a preview
    this.counted = 0;         // unreadBefore covers the events up to this seq
    this.unreadBefore = 0;
    this.read = this.readSent = 0;            // our watermarks: wanted, and confirmed
    this.delivered = this.deliveredSent = 0;
    this.marks = new Map();   // other users' watermarks: user → {delivered, read}
    this.members = null;      // [{user, role}] once asked for
    this.hasOldMembers = true;
  }

  get behind() { return !this.closed && this.head > this.cursor; }

  /** Unread messages: counted in the window if it reaches down to the read watermark. */
  get unread() {
    if (this.read >= this.head) return 0;
    if (this.low > this.read + 1 || this.cursor < this.counted) return this.unreadBefore;
    return this.events.filter((event) => event.seq > this.read && this.isNews(event)).length;
  }

  isNews(event) { return event.message && event.sender !== this.me; }

  /** Takes an event from anywhere; returns those that have now joined the window, in order. */
  accept(event) {
    this.noteHead(event.seq);
    if (!this.latest || event.seq >= this.latest.seq) this.latest = event;
    const wanted = event.seq > this.cursor;
    const next = event.seq === this.cursor + 1;
    if (wanted && (next || this.ahead.size < AHEAD_EVENTS_MAX)) this.ahead.set(event.seq, event);
    return this.drain();
  }

  drain() {
    const joined = [];
    for (let event; (event = this.ahead.get(this.cursor + 1)); joined.push(event)) {
      this.ahead.delete(event.seq);
      this.cursor = event.seq;
      this.events.push(event);
      this.count(event);
    }
    return joined;
  }

  count(event) {
    if (event.sender !== this.me) this.delivered = Math.max(this.delivered, event.seq);
    if (event.seq <= this.counted) return;
    this.counted = event.seq;
    if (event.seq > this.read && this.isNews(event)) this.unreadBefore += 1;
  }

  /** Empties the window and puts it just above `cursor`. */
  restart(cursor) {
    this.events = [];
    this.cursor = cursor;
    this.low = cursor + 1;
    for (const seq of this.ahead.keys()) if (seq <= cursor) this.ahead.delete(seq);
  }

  /** A page of `sync`. Returns the events that joined the window. */
  acceptPage(page) {
    this.minSeq = page.min_seq ?? 1;
    if (this.minSeq > this.cursor + 1) this.restart(this.minSeq - 1);
    const joined = (page.events ?? []).flatMap((event) => this.accept(event));
    const isAll = !joined.length && !page.has_more;
    if (isAll) this.head = Math.max(page.head, this.cursor, ...this.ahead.keys());
    return joined;
  }

  /** News up to `head`; also of a group that we had left, so we may be in it again. */
  noteHead(head) {
    if (head > this.cursor) this.closed = false;
    this.head = Math.max(this.head, head);
  }

  /** The head as a page of the log says it. Below the `cursor` asked with: it is another log. */
  confirmHead(head, cursor) {
    if (head < cursor) this.forget(head);
    this.noteHead(head);
  }

  forget(head) {
    const { conv, me, kind, name, peer, closed, draft } = this;
    Object.assign(this, new Conversation(conv, me), { kind, name, peer, closed, draft, head });
  }

  /** A page of `history`, asked for below `before`. */
  prepend(page, before) {
    this.minSeq = page.min_seq ?? 1;
    const events = (page.events ?? []).filter((event) => event.seq < before);
    const fits = events.length > 0 && before === this.low && events.at(-1).seq === before - 1;
    if (!fits) return;
    this.events = events.concat(this.events);
    this.low = events[0].seq;
  }

  get hasOlder() { return this.low > Math.max(1, this.minSeq); }

  readUpTo(seq) {
    if (seq <= this.read) return false;
    this.read = seq;
    if (seq >= this.counted) this.unreadBefore = 0;
    return true;
  }

  mark(user, delivered, read) {
    const old = this.marks.get(user) ?? { delivered: 0, read: 0 };
    old.read = Math.max(old.read, read);
    old.delivered = Math.max(old.delivered, delivered, read);
    this.marks.set(user, old);
  }

  /** Bounds the memory of a conversation that is not on screen. */
  trim() {
    const surplus = this.events.length - WINDOW_EVENTS_MAX;
    if (surplus <= 0) return;
    this.unreadBefore = this.unread;
    this.events.splice(0, surplus);
    this.low += surplus;
  }

  /** What a reload of the page keeps; messages are pulled again when they are looked at. */
  save() {
    const { conv, kind, name, peer, closed, draft, head, cursor, minSeq, latest } = this;
    const { counted, read, readSent, delivered, deliveredSent, unread } = this;
    return { conv, kind, name, peer, closed, draft, head, cursor, minSeq, latest, counted, read,
      readSent, delivered, deliveredSent, unreadBefore: unread, marks: [...this.marks] };
  }

  static load(saved, me) {
    const conversation = Object.assign(new Conversation(saved.conv, me), saved);
    conversation.marks = new Map(saved.marks);
    conversation.low = saved.cursor + 1;
    return conversation;
  }
}

/** An `error` frame. `lost` is ours: the connection ended before the answer came. */
class ThrongError extends Error {
  constructor({ code, message, fault, retry_after_ms, fatal }) {
    super(message || code);
    Object.assign(this, { code, fault, retryAfterMs: retry_after_ms ?? 0, fatal: !!fatal });
  }
}

/**
 * One WebSocket from opening to its end: frames, answers by id, requests in flight, liveness.
 * A link ends once, with `onEnd(code, reason)`; after that it calls nobody.
 */
class Link {
  constructor(url, { onOpen, onPush, onRoom, onEnd }) {
    Object.assign(this, { onPush, onRoom, onEnd, welcomed: false, inFlightMax: 1, lastId: 0 });
    this.waiting = new Map();  // id → {resolve, reject}
    this.queued = [];          // requests beyond those in flight
    this.heardAt = this.openedAt = Date.now();
    this.socket = new WebSocket(url, [SUBPROTOCOL]);
    this.socket.onopen = onOpen;
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => this.end(code, reason);
    this.deadline = setTimeout(() => this.end(1006, 'no answer'), WELCOME_MS_MAX);
  }

  /** Sends a request; resolves with the answering frame, rejects with a ThrongError. */
  call(op, fields) {
    return new Promise((resolve, reject) => {
      this.queued.push({ op, fields, resolve, reject });
      this.pump();
    });
  }

  /** True while a request would go out at once. */
  get hasRoom() { return !this.queued.length && this.waiting.size < this.inFlightMax; }

  pump() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    while (this.queued.length && this.waiting.size < this.inFlightMax) {
      const { op, fields, ...promise } = this.queued.shift();
      const id = ++this.lastId;
      this.waiting.set(id, promise);
      this.socket.send(JSON.stringify({ id, [op]: fields }));
    }
  }

  receive(frame) {
    this.heardAt = Date.now();
    const request = this.waiting.get(frame.id);
    if (!request) return this.onPush(frame);
    this.waiting.delete(frame.id);
    if (frame.error) request.reject(new ThrongError(frame.error));
    else request.resolve(frame);
    this.pump();
    queueMicrotask(this.onRoom);
  }

  /** After `welcome`: more requests in flight, and heartbeats with `beat()` in between. */
  start(welcome, beat) {
    clearTimeout(this.deadline);
    this.welcomed = true;
    this.inFlightMax = welcome.limits?.requests_in_flight_max || 8;
    this.heartbeat = setInterval(() => { this.probe(); beat(); }, welcome.heartbeat_ms || 25_000);
  }

  /** Pings, and ends the link if nothing at all is heard within PONG_MS_MAX. */
  probe() {
    const askedAt = Date.now();
    this.call('ping', {}).catch(() => {});
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => {
      if (this.heardAt < askedAt) this.end(1006, 'the gateway went silent');
    }, PONG_MS_MAX);
  }

  end(code, reason) {
    const { socket, onEnd } = this;
    if (!onEnd) return;
    clearTimeout(this.deadline);
    clearInterval(this.heartbeat);
    this.onPush = () => {};
    this.onEnd = socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    onEnd(code, reason);
    const lost = new ThrongError({ code: 'lost', message: 'The connection was lost.' });
    for (const { reject } of [...this.waiting.values(), ...this.queued]) reject(lost);
    this.waiting.clear();
    this.queued = [];
  }
}

/** Refusals after which the same send may succeed; any other is final. */
const RETRYABLE = new Set(['unknown', 'after_failed', 'rate_limited', 'overloaded', 'unavailable',
  'internal', 'lost']);

/**
 * A device of a user: its conversations, its outbox, its way back after every loss.
 *
 * What is done at `welcome`:
 *
 *   log_id      sync      then
 *   the same    resumed   `changes` name all conversations with news (further pages by `changes`)
 *   the same    resync    read the list of conversations; windows stay, `sync` fills what is above
 *   another     any       forget all windows and watermarks, read the list
 *
 * A page of `sync` or `history` with a head below our cursor means the same as another log_id, for
 * that conversation; heads in lists may be a little old. The `cursor` is stored only together with
 * the heads that came with it; "head above cursor" is then all that has to be remembered for a pull
 * to be made up for.
 *
 * The outbox keeps what was not acknowledged, across connections and reloads, and sends it in
 * order with the same client_msg_id, so that the gateway recognises what it already has.
 *
 * Events: `state`, `change` (detail: conv or undefined), `news` (detail: event), `notice` (words).
 */
class ThrongClient extends EventTarget {
  constructor({ url, user, device, agent, store }) {
    super();
    Object.assign(this, { url, user, device, agent, store });
    this.conversations = new Map();
    this.logId = this.cursor = '';
    this.state = 'connecting';   // connecting, online, waiting (until retryAt) or stopped (why)
    this.failures = this.beats = this.clockSkewMs = this.marksAt = 0;
    this.limits = {};
    this.settling = new Map();   // outbox queues that wait → until when, at the earliest
    this.outbox = store.get('outbox') ?? [];
    for (const entry of this.outbox) if (entry.state === 'sending') entry.state = 'queued';
    this.restore(store.get('state'));
  }

  emit(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  // ---------------------------------------------------------------- connection

  connect() {
    clearTimeout(this.retryTimer);
    this.link?.end(1000, 'connecting anew');
    clearTimeout(this.retryTimer);
    this.setState('connecting');
    const link = new Link(this.url, {
      onOpen: () => this.hello(link),
      onPush: (frame) => this.onPush(frame),
      onRoom: () => link === this.link && this.pumpOutbox(),
      onEnd: (code, reason) => this.onEnd(link, code, reason),
    });
    this.link = link;
  }

  setState(state, why = '') {
    this.state = state;
    this.why = why;
    this.emit('state');
  }

  async hello(link) {
    const { user, device, cursor, agent } = this;
    try {
      const { welcome } = await link.call('hello', { user, device, cursor, agent });
      this.onWelcome(link, welcome);
    } catch (error) {
      if (error.code !== 'lost') this.onRefused(link, error);
    }
  }

  onRefused(link, error) {
    if (error.fault === 'client' && !error.retryAfterMs) return this.stop(link, error.message);
    link.end(4003, error.message);
    this.connectIn(Math.max(error.retryAfterMs, this.retryAt - Date.now()));
  }

  stop(link, why) {
    link.end(1000, why);
    clearTimeout(this.retryTimer);
    this.setState('stopped', why);
  }

  onWelcome(link, welcome) {
    link.start(welcome, () => this.onHeartbeat());
    this.clockSkewMs = welcome.time_ms - Date.now();
    this.limits = welcome.limits ?? {};
    if (this.logId && this.logId !== welcome.log_id) this.forgetLog();
    this.logId = welcome.log_id;
    // Receipts that were pushed meanwhile are not pushed again: `members` has the watermarks.
    for (const conversation of this.conversations.values()) conversation.hasOldMembers = true;
    this.setState('online');
    this.catchUp(welcome);
    this.settling.clear();
    this.pumpOutbox();
    this.scheduleMarks();
  }

  onEnd(link, code, reason) {
    if (link !== this.link) return;
    this.link = null;
    if (isFinal(code)) return this.setState('stopped', CLOSE_WORDS[code] ?? `${reason} (${code})`);
    if (link.welcomed && Date.now() - link.openedAt > STEADY_MS) this.failures = 0;
    this.connectIn(backoff(this.failures++));
  }

  connectIn(ms) {
    clearTimeout(this.retryTimer);
    this.retryAt = Date.now() + ms;
    this.retryTimer = setTimeout(() => this.connect(), ms);
    this.setState('waiting');
  }

  /** The gateway is about to close: leave it at a moment of our own, and come back. */
  onReconnect({ after_ms = 0 }) {
    const { link } = this;
    setTimeout(() => link === this.link && this.connect(), Math.random() * after_ms);
  }

  /** The network may have changed, or the page was asleep: find out at once. */
  wake() {
    if (this.state === 'waiting') this.connect();
    else if (this.state === 'online') this.link.probe();
  }

  onHeartbeat() {
    this.beats += 1;
    if (this.beats % CURSOR_AGE_BEATS === 0 && this.cursor) this.readChanges().catch(() => {});
  }

  async call(op, fields) {
    if (this.state !== 'online') throw new ThrongError({ code: 'lost', message: 'Not connected.' });
    return this.link.call(op, fields);
  }

  // ---------------------------------------------------------------- catching up

  cursors() {
    return new Map([...this.conversations.values()].map(({ conv, cursor }) => [conv, cursor]));
  }

  forgetLog() {
    for (const conversation of this.conversations.values()) conversation.forget(0);
    this.cursor = '';
  }

  async catchUp(welcome) {
    const { link } = this;
    try {
      const isResumed = this.cursor && welcome.sync === 'resumed';
      if (isResumed) this.noteHeads(welcome.changes);
      this.cursor = isResumed ? welcome.cursor : '';
      if (!isResumed) await this.readList(welcome.cursor);
      else if (welcome.more) await this.readChanges();
    } catch (error) {
      if (error.code !== 'lost') await sleep(Math.max(error.retryAfterMs, 2000));
      return link === this.link ? this.catchUp(welcome) : undefined;
    }
    this.scheduleFill(0);
  }

  noteHeads(changes = []) {
    for (const { conv, head } of changes) this.conversation(conv).noteHead(head);
  }

  async readChanges() {
    for (let more = true; more; ) {
      const { changes } = await this.call('changes', { cursor: this.cursor, limit: 200 });
      if (changes.sync === 'resync') return this.readList(changes.cursor);
      this.noteHeads(changes.items);
      this.cursor = changes.cursor;
      more = changes.more;
    }
    this.scheduleFill(0);
  }

  /** Reads the whole list of conversations; `cursor` is valid once it has been read. */
  async readList(cursor = this.cursor) {
    if (cursor !== this.cursor) this.cursor = '';
    const cursors = this.cursors();
    const listed = new Set();
    for (let after = ''; after !== undefined; ) {
      const { conversations } = await this.call('conversations', { after, limit: 100 });
      for (const item of conversations.items ?? []) {
        listed.add(item.conv);
        this.noteItem(item, cursors.get(item.conv));
      }
      after = conversations.next || undefined;
    }
    this.noteAbsent(listed, cursors);
    this.cursor = cursor;
    this.changed();
    this.scheduleFill(0);
  }

  /** One item of the list. `cursor` is ours of the moment before the list was asked for. */
  noteItem(item, cursor) {
    const { kind, name = '', peer = '', head = 0, unread = 0, read = 0, last_event } = item;
    const conversation = this.conversation(item.conv);
    if (peer) conversation.mark(peer, item.peer_delivered ?? 0, item.peer_read ?? 0);
    Object.assign(conversation, { kind, name, peer, closed: false, draft: false });
    if (last_event?.seq > (conversation.latest?.seq ?? 0)) conversation.latest = last_event;
    const isNew = cursor === undefined && !conversation.events.length;
    if (isNew) conversation.restart(unread ? Math.max(read, head - FIRST_EVENTS, 0) : head);
    conversation.noteHead(head);
    conversation.readSent = Math.max(conversation.readSent, read);
    conversation.readUpTo(read);
    if (head < conversation.counted) return;
    conversation.counted = head;
    conversation.unreadBefore = unread;
  }

  noteAbsent(listed, cursors) {
    for (const [conv, conversation] of this.conversations) {
      if (cursors.has(conv) && !listed.has(conv) && !conversation.draft) conversation.closed = true;
    }
  }

  conversation(conv) {
    let found = this.conversations.get(conv);
    if (!found) this.conversations.set(conv, (found = new Conversation(conv, this.user)));
    return found;
  }

  scheduleFill(ms = HOLE_WAIT_MS) {
    this.fillTimer ??= setTimeout(() => {
      this.fillTimer = undefined;
      this.fill();
    }, ms);
  }

  /** Pulls whatever lies between a cursor and its head, the newest conversations first. */
  async fill() {
    if (this.filling) return;
    this.filling = true;
    try {
      for (let batch; (batch = this.behind()).length; ) await this.pull(batch);
    } catch (error) {
      if (error.code !== 'lost') this.scheduleFill(Math.max(error.retryAfterMs, 1000));
    }
    this.filling = false;
  }

  behind() {
    const time = ({ latest }) => latest?.time_ms ?? Infinity;
    const all = [...this.conversations.values()].filter(({ behind }) => behind);
    return all.sort((a, b) => time(b) - time(a)).slice(0, this.limits.sync_convs_max || 50);
  }

  async pull(batch) {
    for (const one of batch) {
      if (one.head - one.cursor > GAP_EVENTS_MAX) this.skipAhead(one);
    }
    const cursors = this.cursors();
    const convs = batch.map(({ conv, cursor }) => ({ conv, after: cursor }));
    const { sync } = await this.call('sync', { convs, limit: 100 });
    for (const page of sync.convs ?? []) this.onPage(page, cursors.get(page.conv));
    if (batch.some(({ kind, closed }) => !kind && !closed)) await this.readList();
    const isStuck = batch.every(({ conv, cursor }) => cursor === cursors.get(conv));
    if (isStuck && this.behind().length) await sleep(1000);
  }

  skipAhead(conversation) {
    conversation.restart(conversation.head - FIRST_EVENTS);
    this.readList().catch(() => {});
  }

  /** A page that is nothing but `conv`: we are not a member, or not any more. */
  onPage(page, cursor) {
    const conversation = this.conversation(page.conv);
    if (page.head) conversation.confirmHead(page.head, cursor);
    else if (!page.has_more) conversation.closed = true;
    if (page.head) this.absorb(conversation, conversation.acceptPage(page));
    else this.changed(page.conv);
  }

  // ---------------------------------------------------------------- pushed frames

  onPush(frame) {
    if (frame.event) this.onEvent(frame.event);
    else if (frame.receipt) this.onReceipt(frame.receipt);
    else if (frame.changes) this.onChanges(frame.changes);
    else if (frame.reconnect) this.onReconnect(frame.reconnect);
    else if (frame.error) this.complain(new ThrongError(frame.error));
  }

  onEvent(event) {
    const conversation = this.conversation(event.conv);
    this.absorb(conversation, conversation.accept(event));
    if (conversation.behind) this.scheduleFill();
  }

  /** Pushed after a gap that the gateway itself noticed. */
  onChanges({ items, more, sync }) {
    this.noteHeads(items);
    if (sync === 'resync') this.readList().catch(() => {});
    else if (more) this.readChanges().catch(() => {});
    this.scheduleFill(0);
  }

  onReceipt({ conv, user, delivered = 0, read = 0 }) {
    const conversation = this.conversations.get(conv);
    if (!conversation) return;
    if (user !== this.user) conversation.mark(user, delivered, read);
    else {
      conversation.readSent = Math.max(conversation.readSent, read);
      conversation.deliveredSent = Math.max(conversation.deliveredSent, delivered);
      conversation.readUpTo(read);
    }
    this.changed(conv);
  }

  /** Events that have just joined a window, in order. */
  absorb(conversation, events) {
    for (const event of events) {
      this.confirm(event);
      this.noteMeta(conversation, event);
      if (event.message && event.sender !== this.user) this.emit('news', event);
    }
    if (!events.length) return;
    conversation.draft = false;
    this.scheduleMarks();
    this.changed(conversation.conv);
  }

  noteMeta(conversation, { created, member, meta }) {
    if (created) {
      const { kind, name = '', members = [] } = created;
      const peer = members.find(({ user }) => user !== this.user)?.user ?? this.user;
      Object.assign(conversation, { kind, name, peer: kind === 'direct' ? peer : '' });
    }
    if (meta) conversation.name = meta.name ?? '';
    if (!member) return;
    conversation.hasOldMembers = true;
    if (member.users?.includes(this.user)) conversation.closed = !!member.left;
  }

  // ---------------------------------------------------------------- watermarks

  /** The conversation is on the user's screen. */
  markRead(conv) {
    const conversation = this.conversations.get(conv);
    if (!conversation || !conversation.readUpTo(conversation.cursor)) return;
    this.scheduleMarks();
    this.changed(conv);
  }

  scheduleMarks() {
    const wait = this.marksAt + MARK_INTERVAL_MS - Date.now();
    this.marksTimer ??= setTimeout(() => {
      this.marksTimer = undefined;
      this.marksAt = Date.now();
      this.sendMarks();
    }, Math.max(0, wait));
  }

  /** Sends the newest watermarks; `read` implies `delivered`. What fails is sent again later. */
  sendMarks() {
    if (this.state !== 'online') return;
    for (const one of this.conversations.values()) {
      if (one.closed) continue;
      const { conv, read, delivered } = one;
      if (read > one.readSent) this.sendMark(one, 'read', { conv, seq: read });
      else if (delivered > one.deliveredSent && delivered > one.readSent) {
        this.sendMark(one, 'delivered', { conv, seq: delivered });
      }
    }
  }

  async sendMark(conversation, op, mark) {
    const sent = `${op}Sent`;
    const old = conversation[sent];
    conversation[sent] = mark.seq;
    try {
      await this.call(op, mark);
    } catch (error) {
      if (conversation[sent] === mark.seq) conversation[sent] = old;
      if (error.code === 'lost' || !RETRYABLE.has(error.code)) return;
      await sleep(Math.max(error.retryAfterMs, 2000));
      this.scheduleMarks();
    }
  }

  // ---------------------------------------------------------------- sending

  now() { return Date.now() + this.clockSkewMs; }

  /** Opens the direct conversation with a user; it comes into being with the first message. */
  async openDirect(peer) {
    const conv = await directConversation(this.user, peer);
    const conversation = this.conversation(conv);
    if (!conversation.kind) Object.assign(conversation, { kind: 'direct', peer, draft: true });
    this.changed(conv);
    return conv;
  }

  sendText(conv, text) {
    const { kind, peer } = this.conversations.get(conv);
    this.submit('send', conv, kind === 'direct' ? { to: peer, text } : { conv, text });
  }

  /** A change of a group: add_members, remove_members, set_role, rename or leave. */
  change(op, conv, fields) { return this.submit(op, conv, { conv, ...fields }); }

  createGroup(name, members) { return this.submit('create_group', '', { name, members }); }

  /** Puts an op into the outbox. Resolves once it is done, with undefined if it was refused. */
  submit(op, conv, fields) {
    const id = uuidV7(this.now());
    const entry = { id, queue: conv || id, conv, op, fields, tries: 0, state: 'queued' };
    this.outbox.push(entry);
    this.saveOutbox();
    return new Promise((done) => {
      Object.defineProperty(entry, 'done', { value: done });  // not stored
      this.pumpOutbox();
    });
  }

  pending(conv) {
    return this.outbox.filter((entry) => entry.conv === conv && entry.op === 'send');
  }

  pumpOutbox() {
    for (const entry of this.outbox) {
      if (this.state !== 'online' || !this.link.hasRoom) return;
      const { queue, state } = entry;
      if (state === 'queued' && this.mayGo(queue)) this.dispatch(entry);
    }
  }

  mayGo(queue) {
    const underWay = this.outbox.filter((one) => one.queue === queue && one.state === 'sending');
    return !this.settling.has(queue) && underWay.length < SENDS_IN_FLIGHT_MAX;
  }

  async dispatch(entry) {
    const { link } = this;
    entry.state = 'sending';
    entry.tries += 1;
    this.saveOutbox();
    try {
      const fields = { ...entry.fields, client_msg_id: entry.id };
      const { ack } = await link.call(entry.op, fields);
      if (ack) this.onAck(entry, ack);
      else this.remove(entry, { conv: entry.conv });  // `ok`: it was so already, there is no event
    } catch (error) {
      await this.onSendError(entry, error);
    }
    if (link === this.link) this.release(entry.queue);
  }

  onAck(entry, ack) {
    const { conv, seq, time_ms } = ack;
    const conversation = this.conversation(conv);
    this.remove(entry, ack);
    if (entry.op === 'send') {
      const message = { kind: 'text', text: entry.fields.text };
      const { user: sender, device } = this;
      this.onEvent({ conv, seq, time_ms, sender, device, client_msg_id: entry.id, message });
    } else {
      conversation.head = Math.max(conversation.head, seq);
      this.scheduleFill(0);
    }
    this.changed(conv);
  }

  /** Our own event came by another way than its ack: it need not be sent any more. */
  confirm({ sender, client_msg_id: id, conv, seq, time_ms }) {
    const entry = sender === this.user && this.outbox.find((one) => one.id === id);
    if (entry) this.remove(entry, { conv, seq, time_ms });
  }

  remove(entry, result) {
    this.outbox = this.outbox.filter((one) => one !== entry);
    entry.done?.(result);
    this.saveOutbox();
  }

  /** After one send failed, those under way behind it fail too; then all go again, in order. */
  async onSendError(entry, error) {
    const { code } = error;
    if (!this.outbox.includes(entry)) return;
    entry.state = 'queued';
    if (code === 'lost') return;
    const wait = code === 'after_failed' ? 0 : backoff(entry.tries);
    this.settle(entry.queue, Math.max(error.retryAfterMs, wait));
    if (code === 'clock') await this.newIdByClock(entry);
    else if (code === 'sync_first' || code === 'expired_id') await this.newIdAfterSync(entry);
    else if (!RETRYABLE.has(code) && error.fault !== 'server') this.refuse(entry, error);
  }

  settle(queue, waitMs) {
    this.settling.set(queue, Math.max(this.settling.get(queue) ?? 0, Date.now() + waitMs));
  }

  /** Lets a queue go on once nothing of it is under way and its wait is over. */
  release(queue) {
    const isUnderWay = (one) => one.queue === queue && one.state === 'sending';
    if (this.settling.has(queue) && !this.outbox.some(isUnderWay)) {
      const wait = this.settling.get(queue) - Date.now();
      if (wait > 0) return void setTimeout(() => this.release(queue), wait);
      this.settling.delete(queue);
    }
    this.pumpOutbox();
  }

  async newIdByClock(entry) {
    const { pong } = await this.call('ping', {}).catch(() => ({}));
    if (pong) this.clockSkewMs = pong.time_ms - Date.now();
    entry.id = uuidV7(this.now());
  }

  /** The gateway cannot tell whether it has this send: look in the log, else use a new id. */
  async newIdAfterSync(entry) {
    const conversation = this.conversation(entry.conv);
    await this.pull([conversation]).catch(() => {});
    entry.id = uuidV7(this.now());
  }

  refuse(entry, error) {
    entry.state = 'failed';
    entry.error = error.message;
    if (entry.op !== 'send') {
      this.remove(entry);
      this.complain(error);
    }
    this.saveOutbox();
    this.changed(entry.conv);
  }

  /** The user wants a refused message to be sent again: a new message, after all others. */
  resend(entry) {
    this.outbox = this.outbox.filter((one) => one !== entry);
    this.submit(entry.op, entry.conv, entry.fields);
  }

  discard(entry) {
    this.remove(entry);
    this.changed(entry.conv);
  }

  // ---------------------------------------------------------------- reading

  /** Loads the page of events below the window. Returns false if it could not be had. */
  async loadOlder(conv) {
    const conversation = this.conversations.get(conv);
    const { low: before, cursor } = conversation;
    if (!conversation.hasOlder || conversation.draft) return false;
    const { history } = await this.call('history', { conv, before, limit: FIRST_EVENTS });
    conversation.confirmHead(history.head, cursor);
    conversation.prepend(history, before);
    if (conversation.behind) this.scheduleFill();
    this.changed(conv);
    return conversation.low < before;
  }

  async loadMembers(conv) {
    const conversation = this.conversation(conv);
    const members = [];
    conversation.hasOldMembers = false;
    for (let after = ''; after !== undefined; ) {
      const { members: page } = await this.call('members', { conv, after, limit: 200 });
      members.push(...(page.items ?? []));
      after = page.next || undefined;
    }
    conversation.members = members;
    for (const { user, delivered = 0, read = 0 } of members) {
      if (user !== this.user) conversation.mark(user, delivered, read);
    }
    this.changed(conv);
  }

  // ---------------------------------------------------------------- what a reload keeps

  changed(conv) {
    this.emit('change', conv);
    this.saveTimer ??= setTimeout(() => this.save(), 500);
  }

  save() {
    clearTimeout(this.saveTimer);
    this.saveTimer = undefined;
    const isKept = ({ conv, draft }) => !draft || this.pending(conv).length;
    const conversations = [...this.conversations.values()].filter(isKept);
    this.store.set('state', { logId: this.logId, cursor: this.cursor,
      conversations: conversations.map((one) => one.save()) });
  }

  saveOutbox() {
    this.store.set('outbox', this.outbox);
    this.emit('change');
  }

  restore(saved) {
    if (!saved) return;
    this.logId = saved.logId;
    this.cursor = saved.cursor;
    for (const one of saved.conversations) {
      this.conversations.set(one.conv, Conversation.load(one, this.user));
    }
  }

  complain(error) {
    if (error.code !== 'lost') this.emit('notice', error.message);
  }
}

/** Close codes after which connecting again would only end in the same way. */
const isFinal = (code) => (code >= 4400 && code <= 4499) || [1002, 1003, 1007, 1009].includes(code);

const CLOSE_WORDS = {
  4400: 'The gateway did not understand this page. Reload it.',
  4401: 'The gateway does not know you. Sign in again.',
  4403: 'Another tab is connected as this device. “Try now” takes over.',
  4408: 'The connection was too slow to begin.',
  4429: 'Too many errors. Reload the page.',
};

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
