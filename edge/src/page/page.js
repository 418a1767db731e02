/* The user interface of the development page: it draws what a ThrongClient has. */
'use strict';

const $ = (selector, root = document) => root.querySelector(selector);
const NAME = /^[A-Za-z0-9._@+-]{1,64}$/;
const NAMES_HINT = 'User names have 1 to 64 letters, digits or . _ @ + -';
const NEAR_BOTTOM_PX = 80;
const GROUPED_MS = 5 * 60_000;       // messages of one sender this close are drawn as one group

function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function icon(name, className = '') {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', className);
  svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'use'));
  svg.firstChild.setAttribute('href', `#i-${name}`);
  return svg;
}

const hue = (name) => [...name].reduce((sum, c) => (sum * 31 + c.codePointAt(0)) % 360, 7);

function paintAvatar(avatar, name) {
  avatar.textContent = [...name].slice(0, 2).join('');
  avatar.style.setProperty('--hue', hue(name));
}

function avatarOf(name, size = '') {
  const avatar = element('span', `avatar ${size}`);
  avatar.setAttribute('aria-hidden', 'true');
  paintAvatar(avatar, name);
  return avatar;
}

const timeOf = (ms) => new Date(ms).toLocaleTimeString([], { hour: 'numeric', minute: '2-digit' });
const dayOf = (ms) =>
  new Date(ms).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' });
const isToday = (ms) => new Date(ms).toDateString() === new Date().toDateString();
const plural = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

/** Makes the children of `parent` those of `items`, reusing elements by key. */
function reconcile(parent, items, { key, create, update }) {
  const keys = new Set(items.map(key));
  const old = new Map();
  for (const child of [...parent.children]) {
    if (keys.has(child.dataset.key)) old.set(child.dataset.key, child);
    else child.remove();
  }
  let at = parent.firstElementChild;
  for (const item of items) {
    const child = old.get(key(item)) ?? create(item);
    child.dataset.key = key(item);
    update(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

const ROLE_WORDS = { owner: 'an owner', admin: 'an admin', member: 'a member' };

/** An event that is not a message, in words; empty if there is nothing to say. */
function eventWords({ sender, created, member, meta }) {
  if (created) return created.kind === 'group' ? `${sender} created the group` : '';
  if (meta) return `${sender} named the group “${meta.name ?? ''}”`;
  const users = member?.users ?? [];
  if (!users.length) return '';
  const names = users.join(', ');
  if (!member.left) return `${sender} made ${names} ${ROLE_WORDS[member.role] ?? member.role}`;
  return names === sender ? `${sender} left` : `${sender} removed ${names}`;
}

const messageText = ({ text, data }) => text ?? (data ? `(${data.length * 3 >> 2} bytes)` : '');
const titleOf = ({ kind, name, peer }) => (kind === 'group' ? name || 'Group' : peer) || '…';

/** How far a message of ours has come: {state, words}; read and delivered by all others. */
function progress(conversation, event) {
  const { kind, peer, members, marks, me } = conversation;
  const others = kind === 'direct' ? [peer] : (members ?? []).map(({ user }) => user);
  const asked = others.filter((user) => user !== me);
  const by = (mark) => asked.filter((user) => (marks.get(user)?.[mark] ?? 0) >= event.seq).length;
  const all = asked.length;
  const [read, delivered] = [by('read'), by('delivered')];
  const state = all && read === all ? 'read' : all && delivered === all ? 'delivered' : 'sent';
  if (kind === 'direct' || !read) return { state, words: state[0].toUpperCase() + state.slice(1) };
  return { state, words: `Read by ${read} of ${all}`, readBy: read };
}

const TICKS = { queued: 'wait', sending: 'wait', failed: 'failed', sent: 'sent',
  delivered: 'two', read: 'two' };

class Page {
  constructor(client) {
    this.client = client;
    this.open = null;            // conv on screen
    this.texts = new Map();      // conv → text not yet sent
    this.isLoading = false;
    this.newFrom = 0;            // first unread seq when the conversation was opened
    this.bindClient();
    this.bindFrame();
    this.bindComposer();
    this.bindDialogs();
    paintAvatar($('#my-avatar'), client.user);
    $('#my-name').textContent = client.user;
    $('#my-device').textContent = `device ${client.device}`;
    $('#app').hidden = false;
    client.connect();
  }

  get conversation() { return this.client.conversations.get(this.open); }

  bindClient() {
    const { client } = this;
    client.addEventListener('state', () => this.onState());
    client.addEventListener('change', () => this.renderSoon());
    client.addEventListener('notice', ({ detail }) => this.notice(detail));
    client.addEventListener('news', ({ detail }) => this.onNews(detail));
    addEventListener('online', () => client.wake());
    addEventListener('pagehide', () => client.save());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      client.wake();
      this.renderSoon();
    });
  }

  bindFrame() {
    $('#state button').onclick = () => this.client.connect();
    $('#back').onclick = () => this.show(null);
    $('#sign-out').onclick = () => {
      if (this.client.outbox.length && !confirm('Give up what is not sent yet?')) return;
      addEventListener('pagehide', () => sessionStorage.clear());
      location.reload();
    };
    $('#newer').onclick = () => this.toBottom();
    $('#scroll').onscroll = () => this.onScroll();
    addEventListener('keydown', ({ key }) => {
      if (key === 'Escape' && this.open && !$('dialog[open]')) this.show(null);
    });
  }

  bindComposer() {
    const box = $('#composer textarea');
    $('#composer').onsubmit = (event) => {
      event.preventDefault();
      this.send(box);
    };
    box.oninput = () => {
      box.style.height = 'auto';
      box.style.height = `${box.scrollHeight + 2}px`;
    };
    box.onkeydown = (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send(box);
    };
  }

  send(box) {
    const text = box.value.trim();
    const bytesMax = this.client.limits.text_bytes_max || Infinity;
    if (!text) return;
    if (new TextEncoder().encode(text).length > bytesMax) {
      return this.notice(`A message has at most ${plural(bytesMax, 'byte')}.`);
    }
    this.client.sendText(this.open, text);
    box.value = '';
    box.oninput();
    this.newFrom = 0;
    this.render();
    this.toBottom();
  }

  // ---------------------------------------------------------------- dialogs

  bindDialogs() {
    for (const button of document.querySelectorAll('dialog .cancel')) {
      button.onclick = () => button.closest('dialog').close();
    }
    this.bindDialog('#new-chat', '#chat-dialog', () => this.newChat());
    this.bindDialog('#new-group', '#group-dialog', () => this.newGroup());
    $('#info').onclick = () => this.showInfo();
    $('#rename').onsubmit = (event) => this.onInfo(event, 'rename', (name) => ({ name }));
    $('#add').onsubmit = (event) => this.onInfo(event, 'add_members', (text) => this.names(text));
    $('#leave').onclick = () => {
      this.client.change('leave', this.open, {});
      $('#info-dialog').close();
    };
  }

  bindDialog(button, dialog, done) {
    $(button).onclick = () => {
      $('form', $(dialog)).reset();
      $(dialog).showModal();
    };
    $('form', $(dialog)).onsubmit = (event) => {
      event.preventDefault();
      if (done() !== false) $(dialog).close();
    };
  }

  async newChat() { this.show(await this.client.openDirect($('#peer').value)); }

  newGroup() {
    const others = this.names($('#group-members').value);
    if (!others) return false;
    this.client.createGroup($('#group-name').value.trim(), others.members).then((ack) => {
      if (ack) this.show(ack.conv);
    });
    if (this.client.state !== 'online') this.notice('The group is created once connected.');
    return true;
  }

  /** {members} of a list of names, or undefined with a notice. */
  names(text) {
    const members = [...new Set(text.split(/[\s,;]+/).filter(Boolean))];
    if (members.every((name) => NAME.test(name))) return { members };
    return void this.notice(NAMES_HINT);
  }

  showInfo() {
    $('#rename input').value = this.conversation.name;
    $('#info-dialog').showModal();
    this.renderSoon();
  }

  onInfo(event, op, fieldsOf) {
    event.preventDefault();
    const input = $('input', event.target);
    const fields = fieldsOf(input.value.trim());
    if (fields) this.client.change(op, this.open, fields);
    if (fields && op !== 'rename') input.value = '';
  }

  renderPeople({ conv, members }) {
    const mine = members?.find(({ user }) => user === this.client.user)?.role;
    const mayManage = mine === 'owner' || mine === 'admin';
    $('#rename').hidden = $('#add').hidden = !mayManage;
    reconcile($('#people'), members ?? [], {
      key: ({ user, role }) => `${user} ${role} ${mayManage}`,
      create: (member) => this.personRow(conv, member, mayManage),
      update: () => {},
    });
  }

  personRow(conv, { user, role }, mayManage) {
    const row = element('li');
    row.append(avatarOf(user, 'small'), element('span', 'who cut', user));
    if (!mayManage || user === this.client.user) row.append(element('span', 'soft', role));
    else row.append(this.roleChoice(conv, user, role), this.removeButton(conv, user));
    return row;
  }

  roleChoice(conv, user, role) {
    const choice = element('select');
    choice.setAttribute('aria-label', `Role of ${user}`);
    choice.append(...['owner', 'admin', 'member'].map((name) => new Option(name, name)));
    choice.value = role;
    choice.onchange = async () => {
      const ack = await this.client.change('set_role', conv, { user, role: choice.value });
      if (!ack) choice.value = role;
    };
    return choice;
  }

  removeButton(conv, user) {
    const button = element('button', 'quiet danger', 'Remove');
    button.setAttribute('aria-label', `Remove ${user}`);
    button.onclick = () => this.client.change('remove_members', conv, { members: [user] });
    return button;
  }

  // ---------------------------------------------------------------- the open conversation

  show(conv) {
    const box = $('#composer textarea');
    if (this.open) {
      this.texts.set(this.open, box.value);
      this.conversation?.trim();
    }
    this.open = conv;
    this.newFrom = this.conversation?.unread ? this.conversation.read + 1 : 0;
    box.value = this.texts.get(conv) ?? '';
    $('#messages').replaceChildren();
    $('#app').classList.toggle('open', !!conv);
    this.render();
    if (!conv) return;
    box.oninput();
    box.focus();
    this.toBottom();
    this.loadOlder();
  }

  get isAtBottom() {
    const { scrollHeight, scrollTop, clientHeight } = $('#scroll');
    return scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
  }

  toBottom() {
    $('#scroll').scrollTop = $('#scroll').scrollHeight;
    this.onScroll();
  }

  onScroll() {
    if (this.isAtBottom) {
      $('#newer').hidden = true;
      this.markRead();
    }
    if ($('#scroll').scrollTop < 300) this.loadOlder();
  }

  markRead() {
    if (this.open && !document.hidden) this.client.markRead(this.open);
  }

  async loadOlder() {
    const { client, open } = this;
    if (this.isLoading || client.state !== 'online' || !this.conversation?.hasOlder) return;
    this.isLoading = true;
    const more = await client.loadOlder(open).catch((error) => client.complain(error));
    this.isLoading = false;
    this.render();
    if (more || this.open !== open) this.onScroll();
  }

  async loadMembers({ conv, draft, closed, hasOldMembers }) {
    if (!hasOldMembers || draft || closed || this.client.state !== 'online') return;
    await this.client.loadMembers(conv).catch((error) => this.client.complain(error));
  }

  // ---------------------------------------------------------------- what has happened

  onState() {
    const { state, why, retryAt, outbox } = this.client;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    const waiting = outbox.filter((entry) => entry.state !== 'failed').length;
    const words = { online: 'Connected', connecting: 'Connecting …', stopped: why,
      waiting: `Not connected. Next try in ${seconds} s.` }[state];
    const held = ` ${plural(waiting, 'message')} will be sent then.`;
    $('#state').dataset.state = state;
    $('#state span').textContent = waiting && state !== 'online' ? words + held : words;
    $('#state button').hidden = state === 'online' || state === 'connecting';
    clearTimeout(this.ticking);
    if (state === 'waiting') this.ticking = setTimeout(() => this.onState(), 1000);
    if (state === 'online') this.loadOlder();
    this.renderSoon();
  }

  onNews(event) {
    if (event.conv !== this.open) return;
    $('#announcer').textContent = `${event.sender}: ${messageText(event.message)}`;
    if (!this.isAtBottom) $('#newer').hidden = false;
  }

  notice(words) {
    $('#notice').textContent = words;
    $('#notice').hidden = false;
    clearTimeout(this.noticeTimer);
    this.noticeTimer = setTimeout(() => { $('#notice').hidden = true; }, 6000);
  }

  // ---------------------------------------------------------------- drawing

  renderSoon() {
    this.renderTimer ??= setTimeout(() => this.render(), 16);
  }

  render() {
    clearTimeout(this.renderTimer);
    this.renderTimer = undefined;
    this.renderList();
    const { conversation } = this;
    for (const part of ['#main header', '#scroll', '#composer']) $(part).hidden = !conversation;
    $('#none').hidden = !!conversation;
    $('#left').hidden = !conversation?.closed;
    if (!conversation) return;
    this.loadMembers(conversation);
    this.renderHeader(conversation);
    this.renderMessages(conversation);
    if ($('#info-dialog').open) this.renderPeople(conversation);
  }

  renderList() {
    const all = [...this.client.conversations.values()].filter(({ kind }) => kind);
    const time = ({ draft, latest }) => (draft ? Infinity : latest?.time_ms ?? 0);
    all.sort((a, b) => time(b) - time(a) || 0);
    reconcile($('#list'), all, {
      key: ({ conv }) => conv,
      create: ({ conv }) => this.listItem(conv),
      update: (item, conversation) => this.updateListItem(item, conversation),
    });
    $('#empty').hidden = all.length > 0;
    const unread = all.reduce((sum, one) => sum + one.unread, 0);
    document.title = unread ? `(${unread}) Throng` : 'Throng';
  }

  listItem(conv) {
    const item = element('li');
    const button = element('button');
    const lines = element('span', 'lines');
    const [upper, lower] = [element('span', 'line'), element('span', 'line')];
    upper.append(element('span', 'name cut'), element('time'));
    lower.append(element('span', 'preview cut'), element('span', 'badge'));
    lines.append(upper, lower);
    button.append(avatarOf(''), lines);
    button.onclick = () => this.show(conv);
    item.append(button);
    return item;
  }

  updateListItem(item, conversation) {
    const { conv, latest, unread } = conversation;
    const title = titleOf(conversation);
    paintAvatar($('.avatar', item), title);
    $('.name', item).textContent = title;
    $('time', item).textContent = latest ? this.shortTime(latest.time_ms) : '';
    $('.preview', item).textContent = this.preview(conversation);
    $('.badge', item).hidden = !unread;
    $('.badge', item).textContent = unread > 99 ? '99+' : unread;
    $('.badge', item).setAttribute('aria-label', `${unread} unread`);
    $('button', item).setAttribute('aria-current', conv === this.open);
    item.classList.toggle('unread', unread > 0);
  }

  shortTime(ms) {
    if (isToday(ms)) return timeOf(ms);
    return new Date(ms).toLocaleDateString([], { day: 'numeric', month: 'short' });
  }

  preview({ conv, kind, latest }) {
    const waiting = this.client.pending(conv).at(-1);
    if (waiting) return `You: ${waiting.fields.text}`;
    if (!latest?.message) return latest ? eventWords(latest) : 'No messages yet';
    const text = messageText(latest.message);
    if (latest.sender === this.client.user) return `You: ${text}`;
    return kind === 'group' ? `${latest.sender}: ${text}` : text;
  }

  renderHeader(conversation) {
    const { kind, members, peer, closed } = conversation;
    const title = titleOf(conversation);
    paintAvatar($('#avatar'), title);
    $('#title b').textContent = $('#info-heading').textContent = title;
    const names = members?.map(({ user }) => user).join(', ');
    const people = members && !closed ? `${plural(members.length, 'member')}: ${names}` : '';
    $('#title small').textContent = kind === 'direct' ? `Direct chat with ${peer}` : people;
    $('#info').hidden = kind !== 'group' || closed;
    $('#composer').hidden = closed;
  }

  renderMessages(conversation) {
    const scroll = $('#scroll');
    const wasAtBottom = this.isAtBottom;
    const anchor = [...$('#messages').children].find((row) => row.offsetTop >= scroll.scrollTop);
    const offset = anchor?.offsetTop;
    $('#messages').className = conversation.kind;
    $('#older').textContent = this.olderWords(conversation);
    reconcile($('#messages'), this.rows(conversation), {
      key: ({ key }) => key,
      create: ({ type, words }) => (type === 'message' ? this.bubble() : element('li', type, words)),
      update: (child, row) => row.type === 'message' && this.updateBubble(child, row),
    });
    if (wasAtBottom) scroll.scrollTop = scroll.scrollHeight;
    else if (anchor?.isConnected) scroll.scrollTop += anchor.offsetTop - offset;
    if (wasAtBottom) this.markRead();
  }

  olderWords({ hasOlder, draft, low, events }) {
    if (draft) return 'Write the first message.';
    if (this.isLoading) return 'Loading earlier messages …';
    if (hasOlder) return this.client.state === 'online' ? '' : 'Earlier messages: once connected.';
    return low === 1 || events.length ? 'The beginning of this conversation' : '';
  }

  /** What is drawn, from the oldest to the newest: days, notes, messages, and what is pending. */
  rows(conversation) {
    const rows = [];
    let last = {};
    for (const event of conversation.events) {
      const { seq, time_ms, sender } = event;
      const words = event.message ? '' : eventWords(event);
      if (!event.message && !words) continue;
      const isNewDay = !last.time_ms || dayOf(last.time_ms) !== dayOf(time_ms);
      if (isNewDay) rows.push({ type: 'day', key: `day ${seq}`, words: dayOf(time_ms) });
      if (seq === this.newFrom) rows.push({ type: 'new', key: 'new', words: 'New' });
      const isSame = !last.words && sender === last.sender && time_ms - last.time_ms < GROUPED_MS;
      const isFirst = isNewDay || !isSame;
      if (words) rows.push({ type: 'note', key: `${seq}`, words });
      else rows.push(this.messageRow(conversation, event, isFirst));
      last = { time_ms, sender, words };
    }
    const pending = this.client.pending(conversation.conv);
    return rows.concat(pending.map((entry) => this.pendingRow(entry)));
  }

  messageRow(conversation, event, isFirst) {
    const { seq, sender, time_ms, client_msg_id, message } = event;
    const isMine = sender === this.client.user;
    const { state, words, readBy } = isMine ? progress(conversation, event) : {};
    const key = isMine && client_msg_id ? client_msg_id : `${seq}`;
    const text = messageText(message);
    return { type: 'message', key, seq, isMine, isFirst, sender, text, state, words, readBy,
      time: timeOf(time_ms) };
  }

  pendingRow(entry) {
    const { id, state, error, fields } = entry;
    const words = state === 'failed' ? `Not sent: ${error}` : 'Waiting to be sent';
    return { type: 'message', key: id, isMine: true, isFirst: false, sender: this.client.user,
      text: fields.text, state, words, time: timeOf(uuidTimeMs(id)), entry };
  }

  bubble() {
    const bubble = element('li');
    const meta = element('span', 'meta');
    const ticks = icon('wait', 'ticks');
    ticks.setAttribute('role', 'img');
    meta.append(element('span', 'by'), element('time'), ticks);
    const [sender, text] = [element('span', 'sender'), element('span', 'text')];
    bubble.append(sender, text, meta, element('div', 'problem'));
    return bubble;
  }

  updateBubble(bubble, { seq, isMine, isFirst, sender, text, time, state, words, readBy, entry }) {
    bubble.className = `message${isMine ? ' mine' : ''}${isFirst ? ' first' : ''}`;
    bubble.style.setProperty('--hue', hue(sender));
    bubble.dataset.seq = seq ?? '';
    bubble.dataset.state = state ?? '';
    const ticks = $('.ticks', bubble);
    ticks.toggleAttribute('hidden', !isMine);
    ticks.setAttribute('aria-label', words ?? '');
    ticks.firstChild.setAttribute('href', `#i-${TICKS[state] ?? 'wait'}`);
    $('.meta', bubble).title = words ?? '';
    $('.by', bubble).textContent = readBy ? `read by ${readBy}` : '';
    $('.sender', bubble).textContent = sender;
    $('.text', bubble).textContent = text;
    $('time', bubble).textContent = time;
    this.updateProblem($('.problem', bubble), state === 'failed' ? entry : undefined);
  }

  updateProblem(problem, entry) {
    problem.hidden = !entry;
    if (!entry || problem.firstChild) return;
    const again = element('button', '', 'Send again');
    const discard = element('button', '', 'Discard');
    again.onclick = () => this.client.resend(entry);
    discard.onclick = () => this.client.discard(entry);
    problem.append(`Not sent: ${entry.error}`, again, discard);
  }
}

/** A tab is a device: its name and what it knows live in the tab's own storage. */
function start(user) {
  const tab = new TabStore('throng');
  const session = { user, device: `web-${hex(crypto.getRandomValues(new Uint8Array(4)))}` };
  if (tab.get('session')?.user !== user) tab.set('session', session);
  const { device } = tab.get('session') ?? session;
  const url = `${location.protocol.replace('http', 'ws')}//${location.host}/v1/ws`;
  const store = new TabStore(`throng.${user}.${device}`);
  const client = new ThrongClient({ url, user, device, agent: 'throng-page', store });
  window.throng = new Page(client);    // for the console
}

function signIn() {
  $('#welcome').hidden = false;
  $('#user').focus();
  $('#welcome form').onsubmit = (event) => {
    event.preventDefault();
    $('#welcome').hidden = true;
    start($('#user').value);
  };
}

const session = new TabStore('throng').get('session');
if (session) start(session.user);
else signIn();
