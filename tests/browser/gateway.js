'use strict';
// The built gateway as a child process: started on a free port, killed, started again on the same
// port and data. Whatever happens to this process, the gateway does not outlive it.
const { spawn } = require('node:child_process');
const { mkdtempSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { createInterface } = require('node:readline');

const READY_MS_MAX = 20_000;
const running = new Set();
const directories = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

class Gateway {
  static async start() {
    const gateway = new Gateway();
    gateway.data = mkdtempSync(join(tmpdir(), 'throng-page-'));
    directories.add(gateway.data);
    gateway.port = 0;
    await gateway.restart();
    return gateway;
  }

  get url() { return `http://127.0.0.1:${this.port}/`; }

  /** Starts the process on the same data, and on the same port from the second time on. */
  async restart() {
    const flags = ['--listen', `127.0.0.1:${this.port}`, '--admin', '127.0.0.1:0',
      '--data', join(this.data, 'store')];
    this.log = '';
    this.child = spawn(process.env.THRONG_EDGE_BIN, flags, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.exited.then(() => running.delete(this.child));
    this.child.stderr.on('data', (text) => { this.log = (this.log + text).slice(-4000); });
    const ready = await this.readyLine();
    this.port = Number(/ws=ws:\/\/[^:]+:(\d+)\//.exec(ready)[1]);
  }

  readyLine() {
    const fail = (why) => new Error(`the gateway ${why}; its log ends:\n${this.log}`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(fail('did not get ready')), READY_MS_MAX);
      this.exited.then((code) => reject(fail(`ended with ${code}`)));
      createInterface({ input: this.child.stdout }).on('line', (line) => {
        if (!line.startsWith('ready ')) return;
        clearTimeout(timer);
        resolve(line);
      });
    });
  }

  /** kill -9, and wait until the process is gone. */
  async kill() {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  async stop() {
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }
}

module.exports = { Gateway };
