//! An implementation by others understands what we send, and we what it sends.

use std::io::{self, Cursor, Read, Write};

use crate::recorder::{KEY, MESSAGE_BYTES_MAX, Seen, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use throng_wire::ws::{CloseCode, Opcode, Role, encode};
use tungstenite::protocol::frame::coding::CloseCode as TheirCode;
use tungstenite::protocol::{CloseFrame, Role as TheirRole, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// A socket whose peer has sent all it will, and that keeps what is written.
struct Recorded {
    received: Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.received.read(buffer)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: TheirRole, received: Vec<u8>) -> WebSocket<Recorded> {
    let socket = Recorded { received: Cursor::new(received), written: Vec::new() };
    WebSocket::from_raw_socket(socket, role, Some(WebSocketConfig::default()))
}

fn message() -> impl Strategy<Value = Seen> {
    prop_oneof![
        "\\PC{0,200}".prop_map(Seen::Text),
        vec(any::<u8>(), 0..70_000).prop_map(Seen::Binary),
        vec(any::<u8>(), 0..=125).prop_map(Seen::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Seen::Pong),
    ]
}

fn their_message(seen: &Seen) -> Message {
    match seen.clone() {
        Seen::Text(text) => Message::text(text),
        Seen::Binary(bytes) => Message::binary(bytes),
        Seen::Ping(bytes) => Message::Ping(bytes.into()),
        Seen::Pong(bytes) => Message::Pong(bytes.into()),
        Seen::Close(..) | Seen::Fault(_) => unreachable!("not generated"),
    }
}

fn our_frame(out: &mut Vec<u8>, seen: &Seen, mask: Option<[u8; 4]>) {
    let (opcode, payload) = match seen {
        Seen::Text(text) => (Opcode::Text, text.as_bytes()),
        Seen::Binary(bytes) => (Opcode::Binary, &bytes[..]),
        Seen::Ping(bytes) => (Opcode::Ping, &bytes[..]),
        Seen::Pong(bytes) => (Opcode::Pong, &bytes[..]),
        Seen::Close(..) | Seen::Fault(_) => unreachable!("not generated"),
    };
    encode::frame(out, opcode, payload, mask);
}

const ROLES: [(Role, TheirRole, Option<[u8; 4]>); 2] =
    [(Role::Server, TheirRole::Client, None), (Role::Client, TheirRole::Server, Some(KEY))];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn we_read_what_they_send(messages in vec(message(), 1..6), part in 1..5000_usize) {
        for (role, their_role, _) in ROLES {
            let mut socket = theirs(their_role, Vec::new());
            for message in &messages {
                socket.send(their_message(message)).unwrap();
            }
            let code = TheirCode::Away;
            socket.close(Some(CloseFrame { code, reason: "bye".into() })).unwrap();
            let _closing = socket.flush();
            let mut expected = messages.clone();
            expected.push(Seen::Close(Some(1001), "bye".into()));
            let written = &socket.get_ref().written;
            prop_assert_eq!(decode(role, MESSAGE_BYTES_MAX, written.chunks(part)), expected);
        }
    }

    #[test]
    fn they_read_what_we_send(messages in vec(message(), 1..6)) {
        for (_, their_role, mask) in ROLES {
            let mut stream = Vec::new();
            messages.iter().for_each(|message| our_frame(&mut stream, message, mask));
            encode::close(&mut stream, CloseCode::GOING_AWAY, "bye", mask);
            let mut socket = theirs(their_role, stream);
            for message in &messages {
                prop_assert_eq!(socket.read().unwrap(), their_message(message));
            }
            let close = CloseFrame { code: TheirCode::Away, reason: "bye".into() };
            prop_assert_eq!(socket.read().unwrap(), Message::Close(Some(close)));
        }
    }
}
