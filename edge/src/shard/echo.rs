//! Echo mode: every message goes back as its own kind. Nothing is allocated per message: frames
//! are decoded in the driver's receive buffer and appended to a pooled buffer, and everything that
//! one turn brought for a connection leaves in one send.

use throng_ring::{ConnId, Io};
use throng_wire::ws::{self, Close, Decoder, Event, Input, ProtocolError};

use super::Core;
use crate::metrics::CloseReason;

/// Why a batch of frames ended.
enum End {
    /// The input is used up.
    Input,
    /// The peer's close frame was answered.
    Closed,
    Failed(ProtocolError),
}

impl Core {
    pub(super) fn echo_received<I: Io>(&mut self, io: &mut I, id: ConnId, data: &mut [u8]) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        let mut decoder = std::mem::replace(&mut conn.decoder, super::no_decoder());
        let mut frames = 0;
        let end = self
            .outputs
            .write(io, id, conn, |out| echo(&mut decoder, &mut Input::new(data), out, &mut frames));
        conn.decoder = decoder;
        self.counters.received_frames += frames;
        match end {
            End::Input => self.hold_back(io, id),
            End::Closed => self.close(io, id, CloseReason::ClientClose),
            End::Failed(error) => self.fail_websocket(io, id, error),
        }
    }
}

fn echo(decoder: &mut Decoder, input: &mut Input<'_>, out: &mut Vec<u8>, frames: &mut u64) -> End {
    loop {
        match decoder.next(input) {
            Ok(Some(Event::Text(text))) => {
                *frames += 1;
                ws::encode::frame(out, ws::Opcode::Text, text.as_bytes(), None);
            }
            Ok(Some(Event::Binary(bytes))) => {
                *frames += 1;
                ws::encode::frame(out, ws::Opcode::Binary, bytes, None);
            }
            Ok(Some(Event::Ping(payload))) => ws::encode::pong(out, payload, None),
            Ok(Some(Event::Pong(_))) => {}
            Ok(Some(Event::Close(close))) => {
                close_reply(out, close);
                return End::Closed;
            }
            Ok(None) => return End::Input,
            Err(error) => return End::Failed(error),
        }
    }
}

fn close_reply(out: &mut Vec<u8>, close: Close<'_>) {
    ws::encode::close_reply(out, close, None);
}
