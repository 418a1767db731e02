/*
 * What was missed, learned from the log: after `welcome`, after a hole, after `changes`.
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
 */
'use strict';

const HOLE_WAIT_MS = 60;             // an event may overtake another; do not ask at once
const CURSOR_RENEWED_MS = 8 * 60_000;  // so that it is never too old to resume from
const GAP_EVENTS_MAX = 200;          // further behind than this, start anew near the head …
const FIRST_EVENTS = 50;             // … with this many events
const SYNC_CONVS_MAX = 50;           // of one request, unless the gateway allows less

class CatchUp {
  constructor(client) {
    this.client = client;
    this.logId = this.cursor = '';
    this.filling = null;         // the link over which holes are being filled
    setInterval(() => this.cursor && this.insist(() => this.readChanges()), CURSOR_RENEWED_MS);
  }

  get conversations() { return this.client.conversations; }

  call(op, fields) { return this.client.connection.call(op, fields); }

  onWelcome(welcome) {
    if (this.logId && this.logId !== welcome.log_id) this.forgetLog();
    this.logId = welcome.log_id;
    this.insist(() => this.resume(welcome));
  }

  forgetLog() {
    for (const conversation of this.conversations.values()) conversation.forget(0);
    this.cursor = '';
  }

  async resume({ sync, cursor, changes, more }) {
    if (!this.cursor || sync !== 'resumed') return this.readList(cursor);
    this.noteHeads(changes);
    this.cursor = cursor;
    if (more) await this.readChanges();
    this.scheduleFill(0);
  }

  /** Does `task` again until it succeeds, is refused for good, or its connection is gone. */
  async insist(task) {
    const { link } = this.client.connection;
    for (let failures = 1; link && link === this.client.connection.link; failures += 1) {
      try {
        return await task();
      } catch (error) {
        if (!(error instanceof ThrongError)) throw error;
        if (!error.mayRetry) return this.client.complain(error);
        if (error.code !== 'lost') await sleep(Math.max(error.retryAfterMs, backoff(failures)));
      }
    }
  }

  // ---------------------------------------------------------------- heads

  noteHeads(changes = []) {
    for (const { conv, head = 0 } of changes) this.client.conversation(conv).noteHead(head);
  }

  /** Pushed after a gap that the gateway itself noticed; receipts may have been lost in it, too. */
  onChanges({ items, more, sync, cursor }) {
    this.noteHeads(items);
    this.client.watermarks.expire();
    if (sync === 'resync') this.insist(() => this.readList(cursor));
    else if (more) this.insist(() => this.readChanges());
    this.scheduleFill(0);
  }

  async readChanges() {
    for (let more = true; more && this.cursor; ) {
      const { changes } = await this.call('changes', { cursor: this.cursor, limit: 200 });
      if (changes.sync === 'resync') return this.readList(changes.cursor);
      this.noteHeads(changes.items);
      this.cursor = changes.cursor;
      more = changes.more;
    }
    this.scheduleFill(0);
  }

  /** Reads the whole list of conversations. A `cursor` given is valid once it has been read. */
  async readList(cursor) {
    if (cursor) this.cursor = '';
    const known = [...this.conversations.values()].filter(({ draft, closed }) => !draft && !closed);
    const listed = new Set();
    for (let after = ''; after !== undefined; ) {
      const { conversations } = await this.call('conversations', { after, limit: 100 });
      for (const item of conversations.items ?? []) {
        listed.add(item.conv);
        this.noteItem(item);
      }
      after = conversations.next || undefined;
    }
    await this.pullAll(known.filter(({ conv }) => !listed.has(conv)));
    if (cursor) this.cursor = cursor;
    this.client.changed();
    this.scheduleFill(0);
  }

  noteItem(item) {
    const { conv, head = 0, read = 0, unread = 0 } = item;
    const isNew = !this.conversations.has(conv);
    const conversation = this.client.conversation(conv);
    if (isNew) conversation.restart(unread ? Math.max(read, head - FIRST_EVENTS, 0) : head);
    conversation.noteItem(item);
  }

  // ---------------------------------------------------------------- events

  /** An event from a push, or an `ack` with what was sent. */
  onEvent(event) {
    const conversation = this.client.conversation(event.conv);
    this.client.joined(conversation, conversation.accept(event));
    if (conversation.behind) this.scheduleFill();
  }

  scheduleFill(ms = HOLE_WAIT_MS) {
    this.fillTimer ??= setTimeout(() => {
      this.fillTimer = undefined;
      this.fill();
    }, ms);
  }

  /** Pulls whatever lies between a cursor and its head, the newest conversations first. */
  async fill() {
    const { link } = this.client.connection;
    if (this.filling === link) return;
    this.filling = link;
    await this.insist(async () => {
      for (let batch; (batch = this.behind()).length; ) await this.pull(batch);
    });
    if (this.filling === link) this.filling = null;
  }

  get batchMax() { return Math.min(this.client.limits.sync_convs_max || Infinity, SYNC_CONVS_MAX); }

  behind() {
    const time = ({ latest }) => latest?.time_ms ?? Infinity;
    const all = [...this.conversations.values()].filter(({ behind }) => behind);
    return all.sort((a, b) => time(b) - time(a)).slice(0, this.batchMax);
  }

  /** Asks the log for those that the list does not have: they may be too new for it. */
  async pullAll(conversations) {
    for (let at = 0; at < conversations.length; at += this.batchMax) {
      await this.pullPage(conversations.slice(at, at + this.batchMax));
    }
  }

  async pull(batch) {
    const far = batch.filter(({ head, cursor }) => head - cursor > GAP_EVENTS_MAX);
    for (const conversation of far) conversation.restart(conversation.head - FIRST_EVENTS);
    const cursors = new Map(batch.map(({ conv, cursor }) => [conv, cursor]));
    const isOtherLog = await this.pullPage(batch);
    const isUnknown = batch.some(({ kind, closed }) => !kind && !closed);
    if (isUnknown || isOtherLog || far.length) await this.readList();
    const isStuck = batch.every(({ conv, cursor }) => cursor === cursors.get(conv));
    if (isStuck && this.behind().length) await sleep(1000);
  }

  /** One `sync`. True if a page is of another log than ours. */
  async pullPage(batch) {
    const cursors = new Map(batch.map(({ conv, cursor }) => [conv, cursor]));
    const convs = batch.map(({ conv, cursor }) => ({ conv, after: cursor }));
    const { sync } = await this.call('sync', { convs, limit: 100 });
    const others = (sync.convs ?? []).filter((page) => this.onPage(page, cursors.get(page.conv)));
    return others.length > 0;
  }

  /** A page that is nothing but `conv`: we are not a member, or not any more. */
  onPage(page, cursor) {
    const conversation = this.client.conversation(page.conv);
    let isOtherLog = false;
    if (page.head) {
      isOtherLog = conversation.confirmHead(page.head, cursor);
      this.client.joined(conversation, conversation.acceptPage(page));
    } else if (!page.has_more) conversation.closed = true;
    this.client.changed(page.conv);
    return isOtherLog;
  }

  /** Loads the page of events below the window. Returns false if it could not be had. */
  async loadOlder(conversation) {
    const { conv, low: before, cursor } = conversation;
    if (!conversation.hasOlder || conversation.draft) return false;
    const { history } = await this.call('history', { conv, before, limit: FIRST_EVENTS });
    if (conversation.confirmHead(history.head ?? 0, cursor)) this.insist(() => this.readList());
    conversation.prepend(history, before);
    if (conversation.behind) this.scheduleFill();
    this.client.changed(conv);
    return conversation.low < before;
  }
}
