'use strict';
// Draws the picture of the README: a group chat in a window, and the same chat on a phone.
const { readFileSync, writeFileSync } = require('node:fs');
const { Gateway } = require('./gateway.js');
const { Person, launch } = require('./person.js');

const PICTURE_BYTES_MAX = 200_000;
const WINDOW = { width: 1000, height: 660 };
const PHONE = { width: 360, height: 660 };

async function draw(browser, gateway) {
  const enter = async (name, options) =>
    Person.enter(await browser.newContext(options), gateway.url, name);
  const mara = await enter('mara', { viewport: WINDOW, colorScheme: 'light' });
  const jonas = await enter('jonas', { viewport: PHONE, colorScheme: 'dark' });
  const priya = await enter('priya', { viewport: WINDOW });
  await jonas.startChat('mara');
  await jonas.send('Can you bring the map?');
  await jonas.close();
  await mara.startChat('priya');
  await mara.send('Did the parcel arrive?');
  await priya.open('mara');
  await mara.createGroup('Sunday hike', 'jonas priya');
  await Promise.all([jonas.open('Sunday hike'), priya.open('Sunday hike')]);
  await talk({ mara, jonas, priya });
  return compose(browser, await mara.page.screenshot(), await jonas.page.screenshot());
}

async function talk({ mara, jonas, priya }) {
  const lines = [[mara, 'Train at 8:12 from platform 4. Who is in?'], [priya, 'Me!'],
    [priya, 'I have coffee for three.'], [jonas, 'In. Is it still the lake trail?'],
    [mara, 'Yes, 14 km, back by five.'], [mara, 'Take something warm, it is windy up there.']];
  const said = [];
  for (const [person, text] of lines) {
    await person.send(text);
    said.push(text);
    await Promise.all([mara, jonas, priya].map((one) => one.sees(said)));
  }
  const isRead = (person) => person.page.locator('.message').last().getByText('read by 2');
  await isRead(mara).waitFor();
}

/** Both pictures side by side. */
async function compose(browser, ...pictures) {
  const page = await browser.newPage({ viewport: { width: 1440, height: 740 } });
  const images = pictures.map((png) => `<img src="data:image/png;base64,${png.toString('base64')}">`);
  await page.setContent(`<style>
    body { margin: 0; height: 100vh; display: flex; gap: 24px; align-items: center;
      justify-content: center; background: #d9dedb; }
    img { border-radius: 14px; box-shadow: 0 8px 30px rgb(0 0 0 / .18); }
  </style>${images.join('')}`);
  return page.screenshot();
}

async function main(path) {
  const gateway = await Gateway.start();
  const browser = await launch();
  try {
    const png = await draw(browser, gateway);
    if (png.length > PICTURE_BYTES_MAX) throw new Error(`the picture has ${png.length} bytes`);
    writeFileSync(path, png);
    console.log(`${path}: ${readFileSync(path).length} bytes`);
  } finally {
    await browser.close();
    await gateway.stop();
  }
}

main(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
