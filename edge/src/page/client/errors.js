/* What can fail, whether the same may be asked again, and how long to wait before. */
'use strict';

const BACKOFF_MS_MIN = 1000;
const BACKOFF_MS_MAX = 30_000;

/** Codes after which the same may succeed; `lost` is ours: no answer before the connection ended. */
const RETRYABLE = new Set(['unknown', 'after_failed', 'rate_limited', 'overloaded', 'unavailable',
  'internal', 'lost']);

/** An `error` frame. */
class ThrongError extends Error {
  constructor({ code, message, fault, retry_after_ms }) {
    super(message || code);
    Object.assign(this, { code, fault, retryAfterMs: retry_after_ms ?? 0 });
  }

  /** A code that we do not know is final if the fault is ours, and like `internal` otherwise. */
  get mayRetry() { return RETRYABLE.has(this.code) || this.fault === 'server'; }

  get isFaultOfServer() {
    return this.mayRetry && (this.code === 'internal' || !RETRYABLE.has(this.code));
  }
}

/** Milliseconds to wait after so many failures: 0, then 1 s, 2 s … 30 s and a random part more. */
function backoff(failures) {
  const base = failures > 0 ? Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** (failures - 1)) : 0;
  return base * (1 + Math.random());
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
