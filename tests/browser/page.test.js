'use strict';
// The development page in Chromium over the built gateway: what a newcomer sees must be true, and
// nothing may be lost, doubled or out of order when the gateway dies.
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { eventually } = require('./person.js');
const { enter, gateway, numbered, picture } = require('./stage.js');
const { Wire } = require('./wire.js');

const HISTORY_MESSAGES = 120;

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
  await gateway().kill();
  await alice.isConnected('waiting');
  await alice.send('meanwhile 1', 'meanwhile 2');
  await bob.send('from bob');
  await alice.page.getByText('2 messages will be sent then').waitFor();
  await picture(alice, 'offline');
  assert.deepEqual((await alice.states()).map(([, state]) => state), ['read', 'queued', 'queued']);
  await gateway().restart();
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
    await gateway().kill();
    await alice.send(...texts.slice(10));
    await gateway().restart();
  }
  await bob.sees(all);
  await alice.seesStates(all.map((text) => [text, 'read']));
});

test('unsent messages and the conversations outlive a reload of the page', async () => {
  const wire = new Wire();
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('first');
  await bob.open('alice');
  await alice.seesStates([['first', 'read']]);
  wire.cut();
  await alice.page.reload();
  await alice.open('bob');
  await alice.send('written offline');
  await alice.page.reload();
  await alice.open('bob');
  await alice.seesStates([['written offline', 'queued']]);
  wire.mend();
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
