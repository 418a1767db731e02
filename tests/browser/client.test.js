'use strict';
// The example client against a gateway that errs, goes silent or sends away, and a wire that breaks:
// what docs/protocol.md says to do then is done.
const assert = require('node:assert/strict');
const { test } = require('node:test');
const { eventually } = require('./person.js');
const { enter } = require('./stage.js');
const { Wire } = require('./wire.js');

const RETRY_AFTER_MS = 2500;           // above the wait that the page would choose by itself

const textsOf = (frames) => frames.map(({ send }) => send.text);

test('watermarks that moved while the page was away are right when it is back', async () => {
  const wire = new Wire();
  const reads = new Map();             // id → conv, of those that bob's page waits for
  const known = new Set();             // conv, of those that the gateway has confirmed
  const bobsWire = new Wire({
    up: (frame) => {
      if (frame.read) reads.set(frame.id, frame.read.conv);
      return frame;
    },
    down: (frame) => {
      if (frame.ok && reads.has(frame.id)) known.add(reads.get(frame.id));
      return frame;
    },
  });
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob', { wire: bobsWire })];
  await bob.isConnected();
  await alice.createGroup('Harbour', 'bob');
  await alice.send('to the group');
  await alice.startChat('bob');
  await alice.send('to bob');
  await bob.seesUnread('alice', 1);
  await bob.seesUnread('Harbour', 1);
  await alice.seesStates([['to bob', 'delivered']]);
  wire.cut();
  await alice.isConnected('waiting');
  await bob.open('alice');
  await bob.seesUnread('alice', 0);
  await bob.open('Harbour');
  await bob.seesUnread('Harbour', 0);
  await eventually(() => known.size, 2, 'conversations that bob has read');
  await alice.seesStates([['to bob', 'delivered']]);
  wire.mend();
  await alice.page.getByRole('button', { name: 'Try now' }).click();
  await alice.seesStates([['to bob', 'read']]);
  await alice.open('Harbour');
  await alice.seesStates([['to the group', 'read']]);
});

test('a message is the receipt of its sender, and read on the other devices of theirs', async () => {
  const wire = new Wire({ down: (frame) => (frame.receipt ? null : frame) });
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
  const laptop = await enter('bob', { wire: new Wire({ down: wire.down }) });
  await laptop.isConnected();
  await alice.startChat('bob');
  await alice.send('ping');
  await laptop.seesUnread('alice', 1);
  await bob.open('alice');
  await bob.send('pong');
  await alice.seesStates([['ping', 'read'], ['pong', '']]);
  await laptop.seesUnread('alice', 0);
});

test('what failed is sent first, with its id, and then what failed behind it', async () => {
  const sends = [];
  const wire = new Wire({
    up: (frame, connection) => {
      if (!frame.send || sends.push(frame) === 1 || sends.length > 3) return frame;
      if (sends.length < 3) return null;
      connection.refuse(sends[0], { code: 'unknown', fault: 'server' });
      connection.refuse(sends[1], { code: 'after_failed', fault: 'client' });
      connection.refuse(sends[2], { code: 'after_failed', fault: 'client' });
      return null;
    },
    down: (frame) => (frame.ack && frame.id === sends[0].id ? null : frame),
  });
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('one', 'two', 'three');
  await alice.seesStates([['one', 'delivered'], ['two', 'delivered'], ['three', 'delivered']]);
  await bob.open('alice');
  await bob.sees(['one', 'two', 'three']);
  assert.deepEqual(textsOf(sends), ['one', 'two', 'three', 'one', 'two', 'three']);
  const ids = sends.map(({ send }) => send.client_msg_id);
  assert.deepEqual(ids.slice(0, 3), ids.slice(3), 'a retry keeps its id');
});

test('what failed comes again although its event is known: the gateway waits for it', async () => {
  const sends = [];
  const wire = new Wire({
    up: (frame) => {
      if (frame.send) sends.push(frame);
      return frame;
    },
    down: (frame, connection) => {
      if (frame.id !== sends[0]?.id || !frame.ack) return frame;
      const { text, client_msg_id } = sends[0].send;
      const { conv, seq, time_ms } = frame.ack;
      connection.tell({ event: { conv, seq: 1, time_ms, sender: 'alice', device: 'x',
        created: { kind: 'direct', members: [{ user: 'alice' }, { user: 'bob' }] } } });
      connection.tell({ event: { conv, seq, time_ms, sender: 'alice', device: 'x', client_msg_id,
        message: { kind: 'text', text } } });
      connection.refuse(frame, { code: 'unknown', fault: 'server' });
      return null;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.startChat('bob');
  await alice.send('once');
  await eventually(() => textsOf(sends), ['once', 'once'], 'what is sent');
  assert.equal(sends[0].send.client_msg_id, sends[1].send.client_msg_id);
  await alice.seesStates([['once', 'sent']]);
});

test('an id too old to be judged is looked for in the log before a new one is made', async () => {
  const sends = [];
  const expired = { code: 'expired_id', fault: 'client' };
  const wire = new Wire({
    up: (frame, connection) => {
      if (!frame.send) return frame;
      sends.push(frame);
      if (sends.length !== 2) return frame;
      connection.refuse(frame, expired);
      return null;
    },
    down: (frame, connection) => {
      if (!frame.ack || frame.id !== sends[0].id) return frame;
      connection.refuse(frame, expired);
      return null;
    },
  });
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('is there');
  await bob.seesUnread('alice', 1);
  await alice.seesStates([['is there', 'delivered']]);
  await alice.send('is not');
  await bob.seesUnread('alice', 2);
  await alice.seesStates([['is there', 'delivered'], ['is not', 'delivered']]);
  assert.deepEqual(textsOf(sends), ['is there', 'is not', 'is not']);
  assert.notEqual(sends[1].send.client_msg_id, sends[2].send.client_msg_id);
});

test('a final refusal is shown and holds up nothing; sent again, it is a new message', async () => {
  const ids = [];
  const wire = new Wire({
    up: (frame, connection) => {
      if (frame.send?.text !== 'refused') return frame;
      ids.push(frame.send.client_msg_id);
      if (ids.length > 1) return frame;
      connection.refuse(frame, { code: 'id_reused', fault: 'client', message: 'used before' });
      return null;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.startChat('bob');
  await alice.send('refused', 'behind it');
  await alice.seesStates([['behind it', 'sent'], ['refused', 'failed']]);
  await alice.page.getByText('Not sent: used before').first().waitFor();
  await alice.page.getByRole('button', { name: 'Send again' }).click();
  await alice.seesStates([['behind it', 'sent'], ['refused', 'sent']]);
  assert.equal(new Set(ids).size, 2);
});

test('a fault of the server that stays is told, and others go on over a new connection', async () => {
  let tries = 0;
  const wire = new Wire({
    up: (frame, connection) => {
      if (!frame.send || wire.connections.length > 1) return frame;
      const isPoison = frame.send.text === 'poison';
      tries += isPoison;
      connection.refuse(frame, isPoison ? { code: 'internal', fault: 'server' }
        : { code: 'after_failed', fault: 'client' });
      return null;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.startChat('bob');
  await alice.send('poison', 'behind it');
  await alice.seesStates([['behind it', 'sent'], ['poison', 'failed']]);
  assert.equal(tries, 3);
  await alice.isConnected();
});

test('an overloaded gateway is not asked again before it says so', async () => {
  const moments = { hello: [], send: [] };
  const overloaded = { code: 'overloaded', fault: 'server', retry_after_ms: RETRY_AFTER_MS };
  const wire = new Wire({
    up: (frame, connection) => {
      const op = Object.keys(moments).find((name) => frame[name]);
      if (!op || moments[op].push(Date.now()) > 1) return frame;
      connection.refuse(frame, overloaded);
      return null;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.isConnected();
  await alice.startChat('bob');
  await alice.send('patience');
  await alice.seesStates([['patience', 'sent']]);
  for (const [first, second] of Object.values(moments)) {
    assert.ok(second - first >= RETRY_AFTER_MS - 20, `asked again after ${second - first} ms`);
  }
});

test('told to reconnect, the page changes over to a new connection and loses nothing', async () => {
  const wire = new Wire();
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
  await alice.startChat('bob');
  await alice.send('before');
  await bob.open('alice');
  await alice.seesStates([['before', 'read']]);
  await alice.page.evaluate(() => {
    const { client } = window.throng;
    window.states = new Set();
    client.addEventListener('state', () => window.states.add(client.connection.state));
  });
  wire.last.tell({ reconnect: { after_ms: 300, reason: 'drain' } });
  await alice.send('while it moves');
  await eventually(() => [wire.connections.length, wire.open.length], [2, 1], 'connections');
  await alice.send('after');
  await bob.sees(['before', 'while it moves', 'after']);
  await alice.seesStates([['before', 'read'], ['while it moves', 'read'], ['after', 'read']]);
  const states = await alice.page.evaluate(() => [...window.states]);
  assert.ok(!states.includes('waiting'), `the new connection is there at once: ${states}`);
});

test('a gateway that goes silent is left for a new connection', async () => {
  let isSilent = false;
  const wire = new Wire({
    down: (frame, connection) => {
      if (frame.welcome) frame.welcome.heartbeat_ms = 500;
      return isSilent && connection === wire.connections[0] ? null : frame;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.isConnected();
  isSilent = true;
  await eventually(() => wire.connections.length, 2, 'connections');
  await alice.isConnected();
});

test('close codes from 4400 on end the attempts until the user wants another', async () => {
  const wire = new Wire();
  const alice = await enter('alice', { wire });
  await alice.isConnected();
  wire.last.close(4003);
  await eventually(() => wire.connections.length, 2, 'connections after 4003');
  await alice.isConnected();
  wire.last.close(4403);
  await alice.isConnected('stopped');
  await alice.page.getByText('Another tab is connected as this device').waitFor();
  assert.equal(wire.connections.length, 2);
  await alice.page.getByRole('button', { name: 'Try now' }).click();
  await alice.isConnected();
});

test('an ack that is lost with its connection does not double the message', async () => {
  let cuts = 0;
  const wire = new Wire({
    down: (frame, connection) => {
      if (cuts > 0 || !frame.ack) return frame;
      cuts += 1;
      connection.close(4003);
      return null;
    },
  });
  const [alice, bob] = [await enter('alice', { wire }), await enter('bob')];
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
    const { client: { catchUp }, open: conv, conversation } = window.throng;
    const { cursor } = conversation;
    const head = cursor - 1;
    catchUp.noteHeads([{ conv, head }]);
    catchUp.noteItem({ conv, kind: 'direct', peer: 'bob', head });
    const afterLists = conversation.cursor;
    catchUp.onPage({ conv, head, min_seq: 1 }, cursor);
    const afterPage = conversation.cursor;
    catchUp.scheduleFill();
    return { cursor, afterLists, afterPage };
  });
  assert.deepEqual(cursors, { cursor: 3, afterLists: 3, afterPage: 0 });
  await alice.sees(['one', 'two']);
});

test('another log than before: cursors are forgotten, and all is read again', async () => {
  const asked = [];
  const wire = new Wire({
    up: (frame) => {
      if (wire.connections.length > 1) asked.push(frame);
      return frame;
    },
    down: (frame) => {
      if (frame.welcome && wire.connections.length > 1) frame.welcome.log_id = 'another';
      return frame;
    },
  });
  const alice = await enter('alice', { wire });
  await alice.startChat('bob');
  await alice.send('one', 'two');
  await alice.seesStates([['one', 'sent'], ['two', 'sent']]);
  wire.last.close(4000);
  await eventually(() => asked.some(({ conversations }) => conversations), true, 'the list is read');
  const isFromZero = ({ sync }) => sync && !sync.convs[0].after;
  await eventually(() => asked.some(isFromZero), true, 'the log is read from its beginning');
  await alice.sees(['one', 'two']);
});
