/* What the page is drawn with: elements by name and key, and words for what a log says. */
'use strict';

const $ = (selector, root = document) => root.querySelector(selector);

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

/** Degrees on the color wheel. FNV-1a spreads names that are alike. */
function hue(name) {
  const mix = (hash, byte) => Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return new TextEncoder().encode(name).reduce(mix, 0x811c9dc5) % 360;
}

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
