//! What the generator's tests share: servers that do what a script says, simulated and real.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod real;
pub mod simulated;

use throng_wire::ws::accept::accept_value;

/// The answer to an upgrade request, if the request is whole: the head's length and the answer.
pub fn accept(request: &[u8]) -> Option<(usize, String)> {
    let text = std::str::from_utf8(request).ok()?;
    let end = text.find("\r\n\r\n")? + 4;
    let key = text.split("Sec-WebSocket-Key: ").nth(1)?.split("\r\n").next()?;
    let accept = accept_value(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some((end, answer))
}
