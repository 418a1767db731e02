//! How a client becomes established: nothing to say, a first message, or Throng's `hello`.

use throng_wire::v1::{Body, ClientFrame, Hello, Op, Ping, ServerFrame};
use throng_wire::ws::Opcode;
use throng_wire::{Json, Protobuf};

use crate::generator::{Beat, ClientId};

/// The subprotocols of Throng's protocol.
pub const SUBPROTOCOL_JSON: &str = "throng.v1.json";
/// See [`SUBPROTOCOL_JSON`].
pub const SUBPROTOCOL_PROTO: &str = "throng.v1.proto";

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Nothing: it is established with its WebSocket.
    None,
    /// A message; the first message that comes is the answer.
    Message(Opcode, Vec<u8>),
    /// `hello` in development mode, as user `prefix` and the client's number.
    Throng {
        /// Of the users' names.
        prefix: String,
        /// Protobuf instead of JSON.
        is_proto: bool,
    },
}

/// What a message from the server is to a client that waits to be established.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is established.
    Welcome,
    /// The server refused.
    Refused,
    /// Something else, which it need not understand.
    Other,
    /// Not what this protocol may have.
    Wrong,
}

impl Greeting {
    /// Writes the first message, if there is one.
    pub fn write(&self, client: ClientId, out: &mut Vec<u8>) -> Option<Opcode> {
        match self {
            Self::None => None,
            Self::Message(opcode, payload) => {
                out.extend_from_slice(payload);
                Some(*opcode)
            }
            Self::Throng { prefix, is_proto } => {
                let user = format!("{prefix}{}", client.0);
                let hello =
                    Hello { user: user.into(), device: "bench".into(), ..Default::default() };
                let frame = ClientFrame { id: Some(1), op: Some(Op::Hello(hello)) };
                Some(write_frame(&frame, *is_proto, out))
            }
        }
    }

    /// Judges a message that came before the client was established.
    #[must_use]
    pub fn judge(&self, opcode: Opcode, payload: &[u8]) -> Answer {
        let Self::Throng { is_proto, .. } = self else { return Answer::Welcome };
        let frame = match (is_proto, opcode) {
            (true, Opcode::Binary) => ServerFrame::decode(payload),
            (false, Opcode::Text) => ServerFrame::from_json(payload),
            _ => return Answer::Wrong,
        };
        match frame.map(|frame| frame.body) {
            Ok(Some(Body::Welcome(_))) => Answer::Welcome,
            Ok(Some(Body::Error(_))) => Answer::Refused,
            Ok(_) => Answer::Other,
            Err(_) => Answer::Wrong,
        }
    }

    /// Throng's `ping` without an id, which is not answered: the cheapest heartbeat. Of another
    /// protocol a WebSocket ping.
    #[must_use]
    pub fn cheapest_beat(&self) -> Beat {
        let Self::Throng { is_proto, .. } = self else { return Beat::Ping };
        let mut out = Vec::new();
        let frame = ClientFrame { id: None, op: Some(Op::Ping(Ping::default())) };
        let opcode = write_frame(&frame, *is_proto, &mut out);
        Beat::Message(opcode, out)
    }
}

/// Appends a frame of a client in either encoding.
fn write_frame(frame: &ClientFrame<'_>, is_proto: bool, out: &mut Vec<u8>) -> Opcode {
    if is_proto {
        frame.encode(out);
        Opcode::Binary
    } else {
        frame.write_json(out);
        Opcode::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throng(is_proto: bool) -> Greeting {
        Greeting::Throng { prefix: "user-".to_owned(), is_proto }
    }

    #[test]
    fn a_hello_names_the_client() {
        let mut out = Vec::new();
        assert_eq!(throng(false).write(ClientId(7), &mut out), Some(Opcode::Text));
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(r#""user":"user-7""#) && text.contains(r#""device":"bench""#),
            "{text}"
        );
        let mut out = Vec::new();
        assert_eq!(throng(true).write(ClientId(7), &mut out), Some(Opcode::Binary));
        assert!(ClientFrame::decode(&out).is_ok());
    }

    #[test]
    fn a_welcome_an_error_and_a_push_are_told_apart() {
        let judge = |text: &str| throng(false).judge(Opcode::Text, text.as_bytes());
        assert_eq!(judge(r#"{"id":1,"welcome":{"user":"a"}}"#), Answer::Welcome);
        assert_eq!(judge(r#"{"id":1,"error":{"code":"overloaded"}}"#), Answer::Refused);
        assert_eq!(judge(r#"{"receipt":{}}"#), Answer::Other);
        assert_eq!(judge("welcome"), Answer::Wrong);
        assert_eq!(throng(false).judge(Opcode::Binary, b""), Answer::Wrong);
    }

    #[test]
    fn any_answer_will_do_where_the_protocol_is_not_known() {
        let greeting = Greeting::Message(Opcode::Text, b"hi".to_vec());
        assert_eq!(greeting.judge(Opcode::Binary, b"?"), Answer::Welcome);
    }

    #[test]
    fn the_cheapest_beat_has_no_id() {
        assert_eq!(
            throng(false).cheapest_beat(),
            Beat::Message(Opcode::Text, br#"{"ping":{}}"#.to_vec())
        );
        assert_eq!(Greeting::None.cheapest_beat(), Beat::Ping);
    }
}
