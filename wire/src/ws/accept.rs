//! The key exchange of the opening handshake (RFC 6455 section 4.2.2): a proof that the other
//! end speaks WebSocket, not a secret.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, as base64 text.
pub fn accept_value(key: &str) -> String {
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    STANDARD.encode(digest)
}

/// `Sec-WebSocket-Key` from 16 random bytes of the client.
pub fn client_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether a `Sec-WebSocket-Key` is base64 of 16 bytes (RFC 6455 section 4.1).
pub fn is_client_key(key: &str) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}
