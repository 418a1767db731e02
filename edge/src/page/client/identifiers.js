/* Identifiers that a client makes, as in “Identifiers” of docs/protocol.md. */
'use strict';

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const uuidText = (bytes) =>
  hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

/** A UUIDv7 (RFC 9562 section 5.7) of the given Unix time in milliseconds. */
function uuidV7(timeMs) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setUint32(0, Math.floor(timeMs / 0x10000));
  new DataView(bytes.buffer).setUint16(4, timeMs % 0x10000);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return uuidText(bytes);
}

const uuidTimeMs = (id) => parseInt(id.replace('-', '').slice(0, 12), 16);

/** The direct conversation of two users: a UUIDv8 that both sides compute alike. */
async function directConversation(one, other) {
  const parts = [new TextEncoder().encode('throng-dm-v1')];
  for (const user of [one, other].sort()) {
    const bytes = new TextEncoder().encode(user);
    parts.push(Uint8Array.of(bytes.length >> 8, bytes.length & 0xff), bytes);
  }
  const input = await new Blob(parts).arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', input)).slice(0, 16);
  digest[6] = 0x80 | (digest[6] & 0x0f);
  digest[8] = 0x80 | (digest[8] & 0x3f);
  return uuidText(digest);
}
