//! The receiving side: bytes in, messages out.
//!
//! Two ways through [`Decoder::next`]. A data frame that is a whole message and lies whole in the
//! input, with nothing held from before, is unmasked and lent where it lies: no copy, no
//! allocation, no state touched. Everything else goes through `advance`, which keeps what must
//! outlive the input in one boxed [`Held`]: part of a header, the frame whose payload is under
//! way, the message so far, and a control frame that was cut. The box goes with the call after the
//! event that empties it.

use std::ops::Range;

use super::frame::{self, Expected, HEADER_BYTES_MAX};
use super::held::{Frame, Held, Kept, Message};
use super::{Close, MaskKey, Opcode, ProtocolError, mask, text};

/// Which end of the connection the decoder works for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes masked frames only.
    Server,
    /// Takes unmasked frames only.
    Client,
}

/// A slice of received bytes and how much of it has been decoded.
#[derive(Debug)]
pub struct Input<'i> {
    bytes: &'i mut [u8],
    at: usize,
}

impl<'i> Input<'i> {
    /// Starts at the beginning of `bytes`, which are unmasked in place as they are decoded.
    #[inline]
    pub fn new(bytes: &'i mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes that are not decoded yet.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline]
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    /// The range of the next bytes, at most `bytes_max`, which are thereby decoded.
    fn take(&mut self, bytes_max: usize) -> Range<usize> {
        let start = self.at;
        self.at += bytes_max.min(self.remaining());
        start..self.at
    }
}

/// One message or control frame. The payload lives until the next call of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// At most 125 bytes; to be answered by a pong with the same payload.
    Ping(&'a [u8]),
    /// At most 125 bytes.
    Pong(&'a [u8]),
    /// The peer closes: answer it (unless this end had sent a close frame before), then close.
    /// The last event of a connection.
    Close(Close<'a>),
}

/// The receiving side of one connection: 16 bytes while nothing is half received.
#[derive(Debug)]
pub struct Decoder {
    held: Option<Box<Held>>,
    message_bytes_max: u32,
    mask_bit: u8,
    /// A close frame or an error was handed out.
    ended: bool,
}

// Paid for every connection, idle or not.
const _: () = assert!(size_of::<Decoder>() == 16);

/// An event before it is lent.
enum Ready {
    /// Unmasked in the input.
    InPlace(Opcode, Range<usize>),
    /// In [`Held`].
    Kept(Kept),
}

impl Decoder {
    /// A decoder at the start of the stream, the HTTP head taken off. A message of
    /// `message_bytes_max` bytes passes; a longer one is refused from its declared length, before
    /// any of it is kept, and so is the fragment that takes a message above it.
    pub fn new(role: Role, message_bytes_max: u32) -> Self {
        let mask_bit = match role {
            Role::Server => frame::MASKED,
            Role::Client => 0,
        };
        Self { held: None, message_bytes_max, mask_bit, ended: false }
    }

    /// The next event, or `None` when the input is used up. After a close event or an error all
    /// input is swallowed and the answer is always `None`.
    #[inline]
    pub fn next<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        match self.whole_message(input.rest()) {
            Some((opcode, payload, key)) => {
                let start = input.at;
                input.at += payload.end;
                let payload = &mut input.bytes[start..][payload];
                if self.mask_bit != 0 {
                    mask::apply(payload, key);
                }
                self.lend_in_place(opcode, payload).map(Some)
            }
            None if self.held.is_none() && input.remaining() == 0 => Ok(None),
            None => self.next_of_rest(input),
        }
    }

    /// Once `next` has answered `None`: whether part of a frame or of a fragmented message is held,
    /// and memory with it.
    pub fn is_mid_message(&self) -> bool {
        self.held.is_some()
    }

    /// Memory that is held for what came of a message, once `next` has answered `None`.
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| size_of::<Held>() + held.message.capacity())
    }

    /// Lets longer messages pass from here on, the one under way included.
    pub fn raise_limit(&mut self, message_bytes_max: u32) {
        self.message_bytes_max = self.message_bytes_max.max(message_bytes_max);
    }

    /// Recognises the common case: an unfragmented message of up to 64 KiB, whole in `rest`. Checks
    /// only what makes it so; any fault is left to the other way.
    #[inline]
    fn whole_message(&self, rest: &[u8]) -> Option<(Opcode, Range<usize>, MaskKey)> {
        if self.held.is_some() || self.ended {
            return None;
        }
        let [first, second, ..] = *rest else { return None };
        let opcode = match first ^ frame::FIN {
            1 => Opcode::Text,
            2 => Opcode::Binary,
            _ => return None,
        };
        let (length_end, payload_bytes) = match second ^ self.mask_bit {
            short @ 0..frame::LENGTH_16 => (2, usize::from(short)),
            frame::LENGTH_16 => match u16::from_be_bytes(*rest.get(2..)?.first_chunk()?) {
                length @ 126.. => (4, usize::from(length)),
                _ => return None,
            },
            _ => return None,
        };
        let (start, key) = match self.mask_bit {
            0 => (length_end, [0; 4]),
            _ => (length_end + 4, *rest.get(length_end..)?.first_chunk()?),
        };
        let end = start + payload_bytes;
        let fits = end <= rest.len() && payload_bytes <= self.message_bytes_max as usize;
        fits.then_some((opcode, start..end, key))
    }

    #[cold]
    #[inline(never)]
    fn next_of_rest<'a>(
        &'a mut self,
        input: &'a mut Input<'_>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        self.release();
        if self.ended {
            input.at = input.bytes.len();
            return Ok(None);
        }
        match self.advance(input) {
            Ok(None) => Ok(None),
            Ok(Some(Ready::InPlace(opcode, range))) => {
                self.lend_in_place(opcode, &input.bytes[range]).map(Some)
            }
            Ok(Some(Ready::Kept(kept))) => self.lend_kept(kept).map(Some),
            Err(error) => {
                self.ended = true;
                self.held = None;
                Err(error)
            }
        }
    }

    /// Frees what the previous event had lent.
    fn release(&mut self) {
        let Some(held) = &mut self.held else { return };
        match held.lent.take() {
            Some(Kept::Message) => held.message = Message::None,
            Some(Kept::Control(_)) => held.control.length = 0,
            None => {}
        }
        if self.ended || held.is_empty() {
            self.held = None;
        }
    }

    /// Decodes until an event is ready or the input is used up.
    fn advance(&mut self, input: &mut Input<'_>) -> Result<Option<Ready>, ProtocolError> {
        loop {
            let frame = match self.held.as_mut().and_then(|held| held.frame.take()) {
                Some(frame) => frame,
                None => match self.read_header(input)? {
                    Some(frame) if self.is_in_place(&frame, input) => {
                        let range = input.take(frame.remaining);
                        mask::apply(&mut input.bytes[range.clone()], frame.key);
                        return Ok(Some(Ready::InPlace(frame.opcode, range)));
                    }
                    Some(frame) => {
                        self.held.get_or_insert_default().message.begin(frame.opcode);
                        frame
                    }
                    None => return Ok(None),
                },
            };
            if let Some(ready) = self.read_payload(frame, input)? {
                return Ok(Some(ready));
            }
            if input.remaining() == 0 {
                return Ok(None);
            }
        }
    }

    /// Whether a frame just begun is an event by itself and lies whole in the input.
    fn is_in_place(&self, frame: &Frame, input: &Input<'_>) -> bool {
        let is_event = frame.opcode.is_control() || frame.fin && !self.is_in_fragments();
        is_event && frame.remaining <= input.remaining()
    }

    fn is_in_fragments(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !matches!(held.message, Message::None))
    }

    /// The next header, put together from what is held and the input.
    fn read_header(&mut self, input: &mut Input<'_>) -> Result<Option<Frame>, ProtocolError> {
        let so_far = self.held.as_ref().map_or(0, |held| held.message.len());
        let expected = Expected {
            mask_bit: self.mask_bit,
            mid_message: self.is_in_fragments(),
            room_bytes: u64::from(self.message_bytes_max) - so_far as u64,
        };
        let already = self.held.as_ref().map_or(0, |held| held.header.length);
        let received = if already == 0 {
            frame::parse(input.rest(), &expected)?
        } else {
            let held = self.held.get_or_insert_default();
            held.header.fill_from(input.rest());
            frame::parse(held.header.as_slice(), &expected)?
        };
        let Some(received) = received else {
            let range = input.take(HEADER_BYTES_MAX);
            if already == 0 && !range.is_empty() {
                self.held.get_or_insert_default().header.fill_from(&input.bytes[range]);
            }
            return Ok(None);
        };
        input.take(received.header_bytes - already);
        if let Some(held) = &mut self.held {
            held.header.length = 0;
        }
        Ok(Some(Frame::from(received)))
    }

    /// Keeps what the input has of the frame's payload.
    fn read_payload(
        &mut self,
        mut frame: Frame,
        input: &mut Input<'_>,
    ) -> Result<Option<Ready>, ProtocolError> {
        let held = self.held.get_or_insert_default();
        let bytes_max = match frame.fin {
            true => held.message.len() + frame.remaining,
            false => self.message_bytes_max as usize,
        };
        let range = input.take(frame.remaining);
        let part = &mut input.bytes[range];
        mask::apply(part, frame.key);
        frame.key = mask::advance(frame.key, part.len());
        frame.remaining -= part.len();
        if frame.opcode.is_control() {
            held.control.fill_from(part);
        } else {
            held.message.push(part, bytes_max)?;
        }
        if frame.remaining > 0 {
            held.frame = Some(frame);
            return Ok(None);
        }
        Ok(match (frame.opcode.is_control(), frame.fin) {
            (true, _) => Some(Ready::Kept(Kept::Control(frame.opcode))),
            (false, true) => Some(Ready::Kept(Kept::Message)),
            (false, false) => None,
        })
    }

    #[inline]
    fn lend_in_place<'a>(
        &mut self,
        opcode: Opcode,
        payload: &'a [u8],
    ) -> Result<Event<'a>, ProtocolError> {
        let event = lend(opcode, payload);
        self.ended |= matches!(event, Err(_) | Ok(Event::Close(_)));
        event
    }

    fn lend_kept(&mut self, kept: Kept) -> Result<Event<'_>, ProtocolError> {
        let held = self.held.get_or_insert_default();
        held.lent = Some(kept);
        let event = match (kept, &held.message) {
            (Kept::Control(opcode), _) => lend(opcode, held.control.as_slice()),
            (Kept::Message, Message::Text(text)) => text.finish().map(Event::Text),
            (Kept::Message, Message::Binary(bytes)) => Ok(Event::Binary(bytes)),
            (Kept::Message, Message::None) => Ok(Event::Binary(&[])),
        };
        self.ended |= matches!(event, Err(_) | Ok(Event::Close(_)));
        event
    }
}

/// The event of a whole payload.
#[inline]
fn lend(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, ProtocolError> {
    Ok(match opcode {
        Opcode::Text => Event::Text(text::validate(payload)?),
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        Opcode::Close => Event::Close(Close::parse(payload)?),
        Opcode::Binary | Opcode::Continuation => Event::Binary(payload),
    })
}
