/*
 * How far everybody has received and read. Ours are told at most once per MARK_INTERVAL_MS and
 * conversation; those of others come by receipts, by their own messages, and, as a missed receipt
 * does not come again, by `members`, asked for again where they are shown after every `welcome`.
 */
'use strict';

const MARK_INTERVAL_MS = 500;

class Watermarks {
  constructor(client) {
    this.client = client;
    this.sentAt = 0;
  }

  call(op, fields) { return this.client.connection.call(op, fields); }

  /** Receipts may have been missed. */
  expire() {
    for (const conversation of this.client.conversations.values()) {
      conversation.hasOldMembers = true;
    }
    this.client.changed();
  }

  onReceipt({ conv, user, delivered = 0, read = 0 }) {
    const conversation = this.client.conversations.get(conv);
    if (!conversation) return;
    if (user === this.client.user) conversation.noteOwnMarks(delivered, read);
    else conversation.mark(user, delivered, read);
    this.client.changed(conv);
  }

  /** The members of a conversation, with their watermarks. */
  async loadMembers(conversation) {
    const { conv } = conversation;
    conversation.hasOldMembers = false;
    try {
      conversation.members = await this.membersOf(conv);
    } catch (error) {
      conversation.hasOldMembers = !!error.mayRetry;
      throw error;
    }
    for (const { user, delivered = 0, read = 0 } of conversation.members) {
      if (user === this.client.user) conversation.noteOwnMarks(delivered, read);
      else conversation.mark(user, delivered, read);
    }
    this.client.changed(conv);
  }

  async membersOf(conv) {
    const all = [];
    for (let after = ''; after !== undefined; ) {
      const { members } = await this.call('members', { conv, after, limit: 200 });
      all.push(...(members.items ?? []));
      after = members.next || undefined;
    }
    return all;
  }

  // ---------------------------------------------------------------- our own

  schedule() {
    const wait = this.sentAt + MARK_INTERVAL_MS - Date.now();
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.sentAt = Date.now();
      this.send();
    }, Math.max(0, wait));
  }

  /** Sends the newest watermarks; `read` implies `delivered`. */
  send() {
    if (!this.client.connection.isOnline) return;
    for (const conversation of this.client.conversations.values()) {
      const { closed, read, readSent, delivered, deliveredSent } = conversation;
      if (closed) continue;
      if (read > readSent) this.sendOne(conversation, 'read', read);
      else if (delivered > Math.max(deliveredSent, readSent)) {
        this.sendOne(conversation, 'delivered', delivered);
      }
    }
  }

  /** What fails is sent again later, what is lost by the next connection. */
  async sendOne(conversation, op, seq) {
    const sent = `${op}Sent`;
    const old = conversation[sent];
    conversation[sent] = seq;
    try {
      await this.call(op, { conv: conversation.conv, seq });
    } catch (error) {
      if (!error.mayRetry) return;
      if (conversation[sent] === seq) conversation[sent] = old;
      await sleep(Math.max(error.retryAfterMs, backoff(1)));
      this.schedule();
    }
  }
}
