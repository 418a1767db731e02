'use strict';
// A user at the page, who sees and does only what a user can: names, texts, ticks, buttons.
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const WAIT_MS_MAX = 15_000;

function launch() {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
}

/** Waits until `look()` returns what `expected` is; the last look is in the failure. */
async function eventually(look, expected, what) {
  const deadline = Date.now() + WAIT_MS_MAX;
  for (;;) {
    const seen = await look();
    if (JSON.stringify(seen) === JSON.stringify(expected)) return;
    if (Date.now() > deadline) assert.deepEqual(seen, expected, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

class Person {
  /** Opens a tab of `context` as `name`; `prepare(page)` runs before the page is loaded. */
  static async enter(context, url, name, prepare = async () => {}) {
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS_MAX);
    const person = Object.assign(new Person(), { page, name, faults: [] });
    page.on('pageerror', (error) => person.faults.push(String(error)));
    page.on('console', (line) => {
      const isRefused = /WebSocket connection to .* failed/.test(line.text());
      if (line.type() === 'error' && !isRefused) person.faults.push(line.text());
    });
    await prepare(page);
    await page.goto(url);
    await page.getByLabel('Your name').fill(name);
    await page.keyboard.press('Enter');
    return person;
  }

  // ------------------------------------------------------------ what the user does

  async startChat(peer) {
    await this.page.getByRole('button', { name: 'New chat' }).click();
    await this.page.getByLabel('With whom?').fill(peer);
    await this.page.keyboard.press('Enter');
    await this.titleIs(peer);
  }

  async createGroup(name, members) {
    await this.page.getByRole('button', { name: 'New group' }).click();
    await this.page.getByLabel('Name', { exact: true }).fill(name);
    await this.page.getByLabel('Members', { exact: true }).fill(members);
    await this.page.getByRole('button', { name: 'Create' }).click();
    await this.titleIs(name);
  }

  async open(title) {
    await this.item(title).click();
    await this.titleIs(title);
  }

  async close() { await this.page.keyboard.press('Escape'); }

  async send(...texts) {
    for (const text of texts) {
      await this.page.getByRole('textbox', { name: 'Message', exact: true }).fill(text);
      await this.page.keyboard.press('Enter');
    }
  }

  async openInfo() {
    await this.page.getByRole('button', { name: 'Group members and settings' }).click();
  }

  // ------------------------------------------------------------ what the user sees

  item(title) {
    const name = this.page.locator('.name').getByText(title, { exact: true });
    return this.page.locator('#list button').filter({ has: name });
  }

  titleIs(title) { return this.page.locator('#title b').getByText(title, { exact: true }).waitFor(); }

  texts() { return this.page.locator('.message .text').allTextContents(); }

  notes() { return this.page.locator('#messages .note').allTextContents(); }

  /** [[text, state]] of the messages on screen; the state of others' messages is empty. */
  states() {
    return this.page.locator('.message').evaluateAll((rows) =>
      rows.map((row) => [row.querySelector('.text').textContent, row.dataset.state]));
  }

  connection() { return this.page.locator('#state').getAttribute('data-state'); }

  async unread(title) {
    const badge = this.item(title).locator('.badge');
    return (await badge.isVisible()) ? badge.textContent() : '0';
  }

  sees(texts, what = '') {
    return eventually(() => this.texts(), texts, `${this.name} sees the messages ${what}`);
  }

  seesStates(states) { return eventually(() => this.states(), states, `${this.name}'s ticks`); }

  seesUnread(title, count) {
    return eventually(() => this.unread(title), `${count}`, `${this.name}'s unread count of ${title}`);
  }

  isConnected(state = 'online') {
    return eventually(() => this.connection(), state, `${this.name}'s connection`);
  }
}

module.exports = { Person, eventually, launch };
