'use strict';
// What every test has: one browser, a gateway of its own, people who enter, and pictures of them.
const assert = require('node:assert/strict');
const { mkdtempSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { after, afterEach, before, beforeEach } = require('node:test');
const { Gateway } = require('./gateway.js');
const { Person, launch } = require('./person.js');

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

/** A new tab in which `name` has signed in; `wire` is between it and the gateway. */
async function enter(name, { wire, beside, ...options } = {}) {
  const context = beside?.page.context() ?? await browser.newContext(options);
  const prepare = async (page) => wire?.attach(page);
  const person = await Person.enter(context, gateway.url, name, prepare);
  people.push(person);
  return person;
}

const picture = ({ page }, name) => page.screenshot({ path: join(pictures, `${name}.png`) });
const numbered = (count, word) => Array.from({ length: count }, (_, i) => `${word} ${i + 1}`);

module.exports = { enter, gateway: () => gateway, numbered, picture };
