'use strict';
// The development page in Chromium over the built gateway: what a newcomer sees must be true, and
// nothing may be lost, doubled or out of order when the gateway dies.
const assert = require('node:assert/strict');
const { mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { after, afterEach, before, beforeEach, test } = require('node:test');
const { Gateway } = require('./gateway.js');
const { Person, eventually, launch } = require('./person.js');

const HISTORY_MESSAGES = 120;
const pictures = mkdtempSync(join(tmpdir(), 'throng-page-pictures-'));
let browser;
let gateway;
let people;

before(async () => { browser = await launch(); });
after(async () => {
  await browser.close();
  console.log(`pictures: ${pictures}`);
});

beforeEach(async () => {
  people = [];
  gateway = await Gateway.start();
});

afterEach(async ({ name }) => {
  const faults = people.flatMap((person) => person.faults.map((fault) => `${person.name}: ${fault}`));
  await Promise.all(people.map(({ page }) => page.context().close()));
  await gateway.stop();
  assert.deepEqual(faults, [], `errors in the console of the page: ${name}`);
});

async function enter(name, { prepare, beside, ...options } = {}) {
  const context = beside?.page.context() ?? await browser.newContext(options);
  const person = await Person.enter(context, gateway.url, name, prepare);
  people.push(person);
  return person;
}

const picture = ({ page }, name) => page.screenshot({ path: join(pictures, `${name}.png`) });
const numbered = (count, word) => Array.from({ length: count }, (_, i) => `${word} ${i + 1}`);

test('a direct chat goes both ways, with ticks up to read and unread counts', async () => {
  const [alice, bob] = [await enter('alice'), await enter('bob')];
  await bob.isConnected();
  await alice.startChat('bob');
  await alice.send('Hello Bob', '<b>How</b> are you?');
  await bob.seesUnread('alice', 2);
  await alice.seesStates([['Hello Bob', 'delivered'], ['<b>How</b> are you?', 'delivered']]);
  await bob.open('alice');
  await bob.sees(['Hello Bob', '<b>How</b> are you?']);
  await bob.seesUnread('alice', 0);
  await alice.seesStates([['Hello Bob', 'read'], ['<b>How</b> are you?', 'read']]);
  await bob.send('Fine');
  await alice.sees(['Hello Bob', '<b>How</b> are you?', 'Fine']);
  await bob.seesStates([['Hello Bob', ''], ['<b>How</b> are you?', ''], ['Fine', 'read']]);
  await picture(alice, 'direct');
});

test('a message to somebody who is away is sent, then delivered, then read', async () => {
  const alice = await enter('alice');
  await alice.startChat('bob');
  await alice.send('Are you there?');
  await alice.seesStates([['Are you there?', 'sent']]);
  const bob = await enter('bob');
  await bob.seesUnread('alice', 1);
  await alice.seesStates([['Are you there?', 'delivered']]);
  await bob.open('alice');
  await bob.sees(['Are you there?']);
  await alice.seesStates([['Are you there?', 'read']]);
});

test('two tabs of one user are two devices that show the same', async () => {
  const [bob, phone] = [await enter('bob'), await enter('alice')];
  const laptop = await enter('alice', { beside: phone });
  await laptop.isConnected();
  await phone.startChat('bob');
  await phone.send('from the phone');
  await laptop.open('bob');
  await laptop.sees(['from the phone']);
  await laptop.send('from the laptop');
  await phone.sees(['from the phone', 'from the laptop']);
  await laptop.close();
  await phone.close();
  await bob.open('alice');
  await bob.send('to both');
  await phone.seesUnread('bob', 1);
  await laptop.seesUnread('bob', 1);
  await laptop.open('bob');
  await laptop.sees(['from the phone', 'from the laptop', 'to both']);
  await phone.seesUnread('bob', 0);
});

test('a group of three: messages, read by how many, name, roles, members come and go', async () => {
  const [alice, bob, carol] = [await enter('alice'), await enter('bob'), await enter('carol')];
  await Promise.all([bob.isConnected(), carol.isConnected()]);
  await alice.createGroup('Harbour', 'bob');
  await bob.open('Harbour');
  await alice.openInfo();
  await alice.page.getByLabel('User names to add').fill('carol');
  await alice.page.keyboard.press('Enter');
  await carol.open('Harbour');
  await alice.page.getByLabel('Role of bob').selectOption('admin');
  await alice.page.getByLabel('Group name').fill('Old harbour');
  await alice.page.keyboard.press('Enter');
  await alice.page.getByRole('button', { name: 'Done' }).click();
  await bob.titleIs('Old harbour');
  await alice.send('Welcome, Carol');
  await carol.sees(['Welcome, Carol']);
  await bob.sees(['Welcome, Carol']);
  await alice.seesStates([['Welcome, Carol', 'read']]);
  await alice.page.getByText('read by 2').waitFor();
  await picture(alice, 'group');
  await bob.openInfo();
  await bob.page.getByRole('button', { name: 'Remove carol' }).click();
  await carol.page.getByText('You are no longer a member').waitFor();
  await bob.page.getByRole('button', { name: 'Done' }).click();
  await alice.send('Without Carol');
  await bob.sees(['Welcome, Carol', 'Without Carol']);
  await bob.openInfo();
  await bob.page.getByLabel('User names to add').fill('carol');
  await bob.page.keyboard.press('Enter');
  await eventually(() => carol.notes(), ['bob made carol a member'], 'carol is back');
  assert.deepEqual(await carol.texts(), [], 'what was said without her is not hers to see');
  await bob.page.getByRole('button', { name: 'Leave the group' }).click();
  await eventually(() => alice.notes(), ['alice created the group', 'alice made carol a member',
    'alice made bob an admin', 'alice named the group “Old harbour”', 'bob removed carol',
    'bob made carol a member', 'bob left'], 'the notes of the group');
});

test('history comes while scrolling up, in order, and the view does not jump', async () => {
  const alice = await enter('alice');
  const all = numbered(HISTORY_MESSAGES, 'message');
  await alice.startChat('bob');
  await alice.send(...all);
  await alice.seesStates(all.map((text) => [text, 'sent']));
  const bob = await enter('bob');
  await bob.seesUnread('alice', '99+');
  await bob.open('alice');
  await eventually(async () => (await bob.texts()).at(-1), all.at(-1), 'the newest message');
  const loaded = (await bob.texts()).length;
  assert.ok(loaded < HISTORY_MESSAGES, `${loaded} messages are loaded before any scrolling`);
  await bob.page.locator('#scroll').evaluate((scroll) => { scroll.scrollTop = 150; });
  const row = bob.page.getByText(all.at(-loaded + 3), { exact: true });
  const top = (await row.boundingBox()).y;
  await eventually(async () => (await bob.texts()).length > loaded, true, 'more is loaded');
  assert.ok(Math.abs((await row.boundingBox()).y - top) < 2, 'what is read stays where it is');
  await eventually(async () => {
    await bob.page.locator('#scroll').evaluate((scroll) => { scroll.scrollTop = 0; });
    return bob.page.locator('#older').textContent();
  }, 'The beginning of this conversation', 'the beginning');
  await bob.sees(all);
});

test('kill -9 of the gateway: what is sent meanwhile goes out later, once and in order', async () => {
  const [alice, bob] = [await enter('alice'), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('before');
  await bob.open('alice');
  await alice.seesStates([['before', 'read']]);
  await gateway.kill();
  await alice.isConnected('waiting');
  await alice.send('meanwhile 1', 'meanwhile 2');
  await bob.send('from bob');
  await alice.page.getByText('2 messages will be sent then').waitFor();
  await picture(alice, 'offline');
  assert.deepEqual((await alice.states()).map(([, state]) => state), ['read', 'queued', 'queued']);
  await gateway.restart();
  await Promise.all([alice.isConnected(), bob.isConnected()]);
  await alice.send('after');
  await eventually(async () => (await bob.texts()).toSorted(),
    ['after', 'before', 'from bob', 'meanwhile 1', 'meanwhile 2'], 'all of them, once');
  const order = await bob.texts();
  await alice.sees(order, 'in the order that bob sees');
  assert.deepEqual(order.filter((text) => text !== 'from bob'),
    ['before', 'meanwhile 1', 'meanwhile 2', 'after']);
  await eventually(async () => (await alice.states()).filter(([, state]) => state === 'read').length,
    4, 'all that alice sent is read');
});

test('kill -9 again and again under a stream of messages: none lost, doubled or moved', async () => {
  const [alice, bob] = [await enter('alice'), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('start');
  await bob.open('alice');
  const all = ['start'];
  for (let round = 1; round <= 3; round++) {
    const texts = numbered(15, `round ${round} message`);
    all.push(...texts);
    await alice.send(...texts.slice(0, 10));
    await gateway.kill();
    await alice.send(...texts.slice(10));
    await gateway.restart();
  }
  await bob.sees(all);
  await alice.seesStates(all.map((text) => [text, 'read']));
});

test('an ack that is lost with its connection does not double the message', async () => {
  let cuts = 0;
  const cutAtAck = (page) => page.routeWebSocket('**/v1/ws', (socket) => {
    const server = socket.connectToServer();
    let isCut = false;
    // What the page had under way when the connection was cut is lost with it.
    socket.onMessage((text) => { if (!isCut) server.send(text); });
    server.onMessage((text) => {
      if (cuts > 0 || !JSON.parse(text).ack) return socket.send(text);
      cuts += 1;
      isCut = true;
      socket.close({ code: 4003 });
      return server.close();
    });
  });
  const [alice, bob] = [await enter('alice', { prepare: cutAtAck }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('only once', 'and then this');
  await bob.seesUnread('alice', 2);
  await alice.isConnected();
  await bob.open('alice');
  await bob.sees(['only once', 'and then this']);
  await alice.seesStates([['only once', 'read'], ['and then this', 'read']]);
  assert.equal(cuts, 1);
});

test('a list with an old head changes nothing; a page of a log with one begins it anew', async () => {
  const alice = await enter('alice');
  await alice.startChat('bob');
  await alice.send('one', 'two');
  await alice.seesStates([['one', 'sent'], ['two', 'sent']]);
  const cursors = await alice.page.evaluate(() => {
    const { client, open: conv, conversation } = window.throng;
    const { cursor } = conversation;
    const head = cursor - 1;
    client.noteHeads([{ conv, head }], new Map([[conv, cursor]]));
    client.noteItem({ conv, kind: 'direct', peer: 'bob', head }, cursor);
    const afterLists = conversation.cursor;
    client.onPage({ conv, head, min_seq: 1 }, cursor);
    const afterPage = conversation.cursor;
    client.scheduleFill();
    return { cursor, afterLists, afterPage };
  });
  assert.deepEqual(cursors, { cursor: 3, afterLists: 3, afterPage: 0 });
  await alice.sees(['one', 'two']);
});

test('unsent messages and the conversations outlive a reload of the page', async () => {
  let isCut = false;
  const cut = (page) => page.routeWebSocket('**/v1/ws', (socket) => {
    if (isCut) return socket.close({ code: 4000 });
    return socket.connectToServer();
  });
  const [alice, bob] = [await enter('alice', { prepare: cut }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('first');
  await bob.open('alice');
  await alice.seesStates([['first', 'read']]);
  isCut = true;
  await alice.page.reload();
  await alice.open('bob');
  await alice.send('written offline');
  await alice.page.reload();
  await alice.open('bob');
  await alice.seesStates([['written offline', 'queued']]);
  isCut = false;
  await alice.page.getByRole('button', { name: 'Try now' }).click();
  await alice.seesStates([['first', 'read'], ['written offline', 'read']]);
  await bob.sees(['first', 'written offline']);
});

test('the page fits a phone, light and dark', async () => {
  const phone = { viewport: { width: 390, height: 780 }, colorScheme: 'dark', isMobile: true };
  const [alice, bob] = [await enter('alice', phone), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('On the phone', `a long word: ${'x'.repeat(200)}`);
  await bob.open('alice');
  await bob.send('Looks fine here');
  await eventually(async () => (await alice.texts()).length, 3, 'three messages');
  await picture(alice, 'phone-chat');
  const width = () => alice.page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), phone.viewport.width, 'nothing is wider than the screen');
  await alice.page.getByRole('button', { name: 'Back to the conversations' }).click();
  await alice.item('bob').waitFor();
  assert.equal(await width(), phone.viewport.width, 'nothing is wider than the screen');
  await picture(alice, 'phone-list');
});
