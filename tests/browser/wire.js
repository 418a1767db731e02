'use strict';
// The wire between a page and the gateway, for a test to cut, listen to and tamper with.

class Wire {
  /**
   * `up(frame, connection)` and `down(frame, connection)` see every frame of the page and of the
   * gateway. What they return is passed on instead; nothing, if that is null.
   */
  constructor({ up = (frame) => frame, down = (frame) => frame } = {}) {
    Object.assign(this, { up, down, isCut: false, connections: [] });
  }

  async attach(page) {
    await page.routeWebSocket('**/v1/ws', (socket) => {
      if (this.isCut) return void socket.close({ code: 4000 });
      this.connections.push(new WireConnection(this, socket));
    });
  }

  get last() { return this.connections.at(-1); }

  get open() { return this.connections.filter(({ isOpen }) => isOpen); }

  /** Ends every connection, and refuses new ones until `mend()`. */
  cut() {
    this.isCut = true;
    for (const connection of this.open) connection.close(4000);
  }

  mend() { this.isCut = false; }
}

class WireConnection {
  constructor(wire, socket) {
    Object.assign(this, { socket, isOpen: true, openedAt: Date.now() });
    this.server = socket.connectToServer();
    socket.onMessage((text) => this.pass(text, wire.up, this.server));
    this.server.onMessage((text) => this.pass(text, wire.down, socket));
    socket.onClose(() => this.ended(() => this.server.close()));
    this.server.onClose((code, reason) => this.ended(() => socket.close({ code, reason })));
  }

  pass(text, tamper, to) {
    const frame = this.isOpen ? tamper(JSON.parse(text), this) : null;
    if (frame && this.isOpen) to.send(JSON.stringify(frame));
  }

  /** A frame that the page gets, and the gateway did not send. */
  tell(frame) { this.socket.send(JSON.stringify(frame)); }

  /** Answers a request of the page in the gateway's place. */
  refuse({ id }, error) { this.tell({ id, error: { message: error.code, ...error } }); }

  close(code) { this.ended(() => { this.socket.close({ code }); this.server.close(); }); }

  ended(propagate) {
    if (!this.isOpen) return;
    this.isOpen = false;
    propagate();
  }
}

module.exports = { Wire };
