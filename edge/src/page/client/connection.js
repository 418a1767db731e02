/*
 * The way to the gateway across all losses: hello, backoff with jitter, close codes, `reconnect`.
 *
 *   connecting ──welcome──▶ online ──loss──▶ waiting (until retryAt) ──▶ connecting …
 *   a refusal for good, or a close code that says so, leads to `stopped` (why); connect() leaves it
 *
 * Told to `reconnect`, the old link serves until the new one is welcome. What was not answered on
 * the old one then counts as lost, as after any other loss: asking again is safe.
 */
'use strict';

const STEADY_MS = 10_000;            // a connection that lived so long resets the backoff

/** Close codes after which connecting again would only end in the same way. */
const isFinal = (code) => (code >= 4400 && code <= 4499) || [1002, 1003, 1007, 1009].includes(code);

const CLOSE_WORDS = {
  4400: 'The gateway did not understand this page. Reload it.',
  4401: 'The gateway does not know you. Sign in again.',
  4403: 'Another tab is connected as this device. “Try now” takes over.',
  4408: 'The connection was too slow to begin.',
  4429: 'Too many errors. Reload the page.',
};

class Connection {
  /** `hello()` gives the fields of the next hello; the others are told what has happened. */
  constructor(url, { hello, onWelcome, onPush, onRoom, onState }) {
    Object.assign(this, { url, hello, onWelcome, onPush, onRoom, onState });
    this.state = 'connecting';
    this.why = '';
    this.link = null;          // in use, from `welcome` on
    this.next = null;          // on its way to `welcome`
    this.failures = this.retryAt = 0;
  }

  get isOnline() { return this.state === 'online'; }

  /** A request over the link in use. */
  async call(op, fields) {
    if (!this.link) throw new ThrongError({ code: 'lost', message: 'Not connected.' });
    return this.link.call(op, fields);
  }

  connect() {
    clearTimeout(this.retryTimer);
    const given = this.next;
    this.next = null;
    given?.end(1000, 'connecting anew');
    if (!this.link) this.setState('connecting');
    this.next = new Link(this.url, {
      onOpen: (link) => this.greet(link),
      onPush: (link, frame) => this.receive(link, frame),
      onRoom: () => this.onRoom(),
      onEnd: (link, code, reason) => this.ended(link, code, reason),
    });
  }

  setState(state, why = '') {
    this.state = state;
    this.why = why;
    this.onState();
  }

  greet(link) {
    link.call('hello', this.hello()).then(
      ({ welcome }) => this.use(link, welcome),
      (error) => this.refused(link, error),
    );
  }

  use(link, welcome) {
    const old = this.link;
    this.link = link;
    this.next = null;
    link.start(welcome);
    old?.end(1000, 'connected anew');
    this.state = 'online';
    this.onWelcome(welcome);
    this.setState('online');
  }

  refused(link, error) {
    if (error.code === 'lost') return;
    link.refusal = error;
    link.end(error.mayRetry ? 4003 : 4400, error.message);
  }

  ended(link, code, reason) {
    if (link === this.link) this.link = null;
    else if (link === this.next) this.next = null;
    else return;
    if (this.link) return;
    if (this.next) return this.setState('connecting');
    const { refusal } = link;
    const words = refusal?.message ?? CLOSE_WORDS[code] ?? `${reason} (${code})`;
    if (isFinal(code)) return this.setState('stopped', words);
    if (link.heartbeatMs && link.ageMs > STEADY_MS) this.failures = 0;
    this.connectIn(Math.max(refusal?.retryAfterMs ?? 0, backoff(this.failures++)));
  }

  connectIn(ms) {
    clearTimeout(this.retryTimer);
    this.retryAt = Date.now() + ms;
    this.retryTimer = setTimeout(() => this.connect(), ms);
    this.setState('waiting');
  }

  receive(link, frame) {
    if (frame.reconnect) this.leaveWithin(link, frame.reconnect.after_ms ?? 0);
    else this.onPush(frame);
  }

  /** Leaves for another link at a moment of our own, so that not all clients come at once. */
  leaveWithin(link, ms) {
    setTimeout(() => link === this.link && !this.next && this.connect(), Math.random() * ms);
  }

  /** The network may have changed, or the page was asleep: find out at once. */
  wake() {
    if (this.state === 'waiting') this.connect();
    else if (this.link) this.link.probe();
  }
}
