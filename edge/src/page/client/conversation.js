/*
 * One conversation as this device knows it. It holds a contiguous window of the log: every event of
 * [low, cursor], and nothing else. Live events and `sync` grow it upwards, `history` downwards; an
 * event that is not the cursor's next waits in `ahead` until the hole below it is filled. It asks
 * nobody: CatchUp sees that it is `behind` and pulls.
 */
'use strict';

const WINDOW_EVENTS_MAX = 400;       // kept of a conversation that is not on screen
const AHEAD_EVENTS_MAX = 256;        // events kept while the hole below them is filled

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
    this.hasOldMembers = true;                // they, or the marks, may have changed since
  }

  get behind() { return !this.closed && this.head > this.cursor; }

  // ---------------------------------------------------------------- the window

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
      this.note(event);
    }
    return joined;
  }

  /** What an event that has just joined says beyond itself. */
  note({ seq, sender, message, created, member, meta }) {
    const isMine = sender === this.me;
    if (message && isMine) this.noteOwnMarks(seq, seq);
    else if (message) this.mark(sender, seq, seq);
    if (!isMine) this.delivered = Math.max(this.delivered, seq);
    if (seq > this.counted && seq > this.read && message) this.unreadBefore += 1;
    this.counted = Math.max(this.counted, seq);
    if (created) this.noteCreated(created);
    if (meta) this.name = meta.name ?? '';
    if (member) this.hasOldMembers = true;
    if (member?.users?.includes(this.me)) this.closed = !!member.left;
  }

  noteCreated({ kind, name = '', members = [] }) {
    const peer = members.find(({ user }) => user !== this.me)?.user ?? this.me;
    Object.assign(this, { kind, name, peer: kind === 'direct' ? peer : '' });
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
    const joined = [this.drain(), ...(page.events ?? []).map((event) => this.accept(event))].flat();
    const isAll = !joined.length && !page.has_more;
    if (isAll) this.head = Math.max(page.head, this.cursor, ...this.ahead.keys());
    return joined;
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

  /** Bounds the memory of a conversation that is not on screen. */
  trim() {
    const surplus = this.events.length - WINDOW_EVENTS_MAX;
    if (surplus <= 0) return;
    this.unreadBefore = this.unread;
    this.events.splice(0, surplus);
    this.low += surplus;
  }

  // ---------------------------------------------------------------- heads

  /** News up to `head`; also of a group that we had left, so we may be in it again. */
  noteHead(head) {
    if (head > this.cursor) this.closed = false;
    this.head = Math.max(this.head, head);
  }

  /**
   * The head as a page of the log says it. Below the `cursor` asked with it is another log's:
   * returns true, and all is forgotten.
   */
  confirmHead(head, cursor) {
    const isOtherLog = head < cursor;
    if (isOtherLog) this.forget(head);
    this.noteHead(head);
    return isOtherLog;
  }

  forget(head) {
    const { conv, me, kind, name, peer, closed, draft } = this;
    Object.assign(this, new Conversation(conv, me), { kind, name, peer, closed, draft, head });
  }

  /** One item of the list of conversations. */
  noteItem(item) {
    const { kind, name = '', peer = '', head = 0, unread = 0, read = 0, last_event } = item;
    if (peer) this.mark(peer, item.peer_delivered ?? 0, item.peer_read ?? 0);
    Object.assign(this, { kind, name, peer, closed: false, draft: false });
    if (last_event?.seq > (this.latest?.seq ?? 0)) this.latest = last_event;
    this.noteHead(head);
    this.noteOwnMarks(0, read);
    if (head < this.counted) return;
    this.counted = head;
    this.unreadBefore = unread;
  }

  // ---------------------------------------------------------------- watermarks

  /** Unread messages: counted in the window if it reaches down to the read watermark. */
  get unread() {
    if (this.read >= this.head) return 0;
    if (this.low > this.read + 1 || this.cursor < this.counted) return this.unreadBefore;
    const isNews = ({ seq, message, sender }) => seq > this.read && message && sender !== this.me;
    return this.events.filter(isNews).length;
  }

  readUpTo(seq) {
    if (seq <= this.read) return false;
    this.read = seq;
    if (seq >= this.counted) this.unreadBefore = 0;
    return true;
  }

  /** Our own watermarks as the gateway knows them, by whichever of our devices. */
  noteOwnMarks(delivered, read) {
    this.readSent = Math.max(this.readSent, read);
    this.deliveredSent = Math.max(this.deliveredSent, delivered, read);
    this.readUpTo(read);
  }

  mark(user, delivered, read) {
    const old = this.marks.get(user) ?? { delivered: 0, read: 0 };
    old.read = Math.max(old.read, read);
    old.delivered = Math.max(old.delivered, delivered, read);
    this.marks.set(user, old);
  }

  // ---------------------------------------------------------------- what a reload keeps

  /** Messages are not kept: they are pulled again when they are looked at. */
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
