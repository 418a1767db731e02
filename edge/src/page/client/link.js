/*
 * One WebSocket from opening to its end: frames, answers by id, requests in flight, liveness.
 * A Connection makes links. A link ends once, with `onEnd(link, code, reason)`; after that it calls
 * nobody, and whoever waits for an answer gets the error `lost`.
 */
'use strict';

const SUBPROTOCOL = 'throng.v1.json';
const WELCOME_MS_MAX = 10_000;       // from opening the socket to `welcome`
const PONG_MS_MAX = 5000;            // silence after a ping that means: the connection is dead

class Link {
  constructor(url, { onOpen, onPush, onRoom, onEnd }) {
    Object.assign(this, { onPush, onRoom, onEnd, inFlightMax: 1, lastId: 0 });
    this.waiting = new Map();  // id → {resolve, reject}
    this.queued = [];          // requests beyond those in flight
    this.refusal = null;       // the error that announced the end
    this.heardAt = this.openedAt = performance.now();
    this.socket = new WebSocket(url, [SUBPROTOCOL]);
    this.socket.onopen = () => onOpen(this);
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => this.end(code, reason);
    this.deadline = setTimeout(() => this.end(1006, 'no answer'), WELCOME_MS_MAX);
  }

  get ageMs() { return performance.now() - this.openedAt; }

  /** Sends a request; resolves with the answering frame, rejects with a ThrongError. */
  call(op, fields) {
    return new Promise((resolve, reject) => {
      this.queued.push({ op, fields, resolve, reject });
      this.pump();
    });
  }

  /** True while a request would go out at once. */
  get hasRoom() { return !this.queued.length && this.waiting.size < this.inFlightMax; }

  pump() {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    while (this.queued.length && this.waiting.size < this.inFlightMax) {
      const { op, fields, ...promise } = this.queued.shift();
      const id = ++this.lastId;
      this.waiting.set(id, promise);
      this.socket.send(JSON.stringify({ id, [op]: fields }));
    }
  }

  receive(frame) {
    this.heardAt = performance.now();
    if (frame.error?.fatal) this.refusal = new ThrongError(frame.error);
    const request = this.waiting.get(frame.id);
    if (!request) return this.onPush(this, frame);
    this.waiting.delete(frame.id);
    if (frame.error) request.reject(new ThrongError(frame.error));
    else request.resolve(frame);
    this.pump();
    queueMicrotask(this.onRoom);
  }

  /** After `welcome`: more requests in flight, and an eye on the gateway. */
  start({ limits, heartbeat_ms }) {
    clearTimeout(this.deadline);
    this.inFlightMax = limits?.requests_in_flight_max || 8;
    this.heartbeatMs = heartbeat_ms || 25_000;
    this.watch();
  }

  /** Pings whenever nothing has been heard for a heartbeat. Our own life needs no ping. */
  watch() {
    const silentMs = performance.now() - this.heardAt;
    const isSilent = silentMs >= this.heartbeatMs;
    if (isSilent) this.probe();
    const waitMs = isSilent ? this.heartbeatMs : this.heartbeatMs - silentMs;
    this.watching = setTimeout(() => this.watch(), waitMs);
  }

  /** Pings, and ends the link if nothing at all is heard within PONG_MS_MAX. */
  probe() {
    const askedAt = performance.now();
    this.call('ping', {}).catch(() => {});
    setTimeout(() => {
      if (this.heardAt < askedAt) this.end(1006, 'the gateway went silent');
    }, PONG_MS_MAX);
  }

  end(code, reason) {
    const { socket, onEnd } = this;
    if (!onEnd) return;
    clearTimeout(this.deadline);
    clearTimeout(this.watching);
    this.onPush = this.onRoom = () => {};
    this.onEnd = socket.onclose = socket.onmessage = socket.onopen = null;
    socket.close();
    onEnd(this, code, reason);
    const lost = new ThrongError({ code: 'lost', message: 'The connection was lost.' });
    for (const { reject } of [...this.waiting.values(), ...this.queued]) reject(lost);
    this.waiting.clear();
    this.queued = [];
  }
}
