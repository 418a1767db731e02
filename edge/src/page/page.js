/* The user interface of the development page: it draws what a ThrongClient has. */
'use strict';

const NAME = /^[A-Za-z0-9._@+-]{1,64}$/;
const NAMES_HINT = 'User names have 1 to 64 letters, digits or . _ @ + -';
const NEAR_BOTTOM_PX = 80;
const GROUPED_MS = 5 * 60_000;       // messages of one sender this close are drawn as one group

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
    $('#my-device').textContent = client.device;
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
    addEventListener('online', () => client.connection.wake());
    addEventListener('pagehide', () => client.save());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      client.connection.wake();
      this.renderSoon();
    });
  }

  bindFrame() {
    $('#state button').onclick = () => this.client.connect();
    $('#back').onclick = () => this.show(null);
    $('#sign-out').onclick = () => {
      if (this.client.outbox.entries.length && !confirm('Give up what is not sent yet?')) return;
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
    if (!text) return;
    if (!this.client.fits(text)) {
      const { text_bytes_max: bytesMax } = this.client.limits;
      return this.notice(`The message is too long: it may have ${plural(bytesMax, 'byte')}.`);
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
    if (!this.client.connection.isOnline) this.notice('The group is created once connected.');
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
    if (this.isLoading || !client.connection.isOnline || !this.conversation?.hasOlder) return;
    this.isLoading = true;
    const more = await client.catchUp.loadOlder(this.conversation).catch((error) => client.complain(error));
    this.isLoading = false;
    this.render();
    if (more || this.open !== open) this.onScroll();
  }

  async loadMembers(conversation) {
    const { client } = this;
    const { draft, closed, hasOldMembers } = conversation;
    if (!hasOldMembers || draft || closed || !client.connection.isOnline) return;
    const { watermarks } = client;
    await watermarks.loadMembers(conversation).catch((error) => client.complain(error));
  }

  // ---------------------------------------------------------------- what has happened

  onState() {
    const { connection, outbox } = this.client;
    const { state, why, retryAt } = connection;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    const waiting = outbox.entries.filter((entry) => entry.state !== 'failed').length;
    const words = { online: 'Connected', connecting: 'Connecting …', stopped: why,
      waiting: `Not connected. Next try in ${seconds} s.` }[state];
    const held = ` ${plural(waiting, 'message')} will be sent then.`;
    $('#state').dataset.state = state;
    $('#state span').textContent = waiting && state !== 'online' ? words + held : words;
    $('#state button').hidden = state === 'online' || state === 'connecting';
    clearTimeout(this.ticking);
    if (state === 'waiting') this.ticking = setTimeout(() => this.onState(), 1000);
    if (connection.isOnline) this.loadOlder();
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
    const waiting = this.client.outbox.pending(conv).at(-1);
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

  olderWords({ conv, hasOlder, draft, low, events }) {
    if (draft) return this.client.outbox.pending(conv).length ? '' : 'Write the first message.';
    if (this.isLoading) return 'Loading earlier messages …';
    if (hasOlder) return this.client.connection.isOnline ? '' : 'Earlier messages: once connected.';
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
    const pending = this.client.outbox.pending(conversation.conv);
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
    again.onclick = () => this.client.outbox.resend(entry);
    discard.onclick = () => this.client.outbox.discard(entry);
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
