//! What the two directions carry.

use super::messages::{
    Answer, Beacon, Bye, Credit, Evict, Hello, Hint, Register, Request, Unregister, Welcome,
};
use super::{Frame, HEADER_BYTES};
use crate::limits::LINK_FRAME_BYTES_MAX;
use crate::{DecodeError, Protobuf};

/// A frame that cannot be understood. The peer is at fault, and the link must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    /// No message of this direction has this kind.
    #[error("a link frame of unknown kind {0}")]
    Unknown(u8),
    /// The payload is not a message of its kind.
    #[error("link frame of kind {kind}: {error}")]
    Payload {
        /// The kind.
        kind: u8,
        /// What is wrong.
        error: DecodeError,
    },
}

/// A message that does not fit into a frame. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes does not fit into a link frame")]
pub struct FrameTooLarge(pub usize);

macro_rules! direction {
    ($(#[doc = $doc:literal])+ $name:ident { $($kind:literal $message:ident $type:ty;)+ }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name<'a> {
            $(#[doc = concat!("Kind ", $kind, ".")] $message($type),)+
        }

        impl<'a> $name<'a> {
            /// Decodes a frame; strings and bytes are borrowed from it.
            ///
            /// # Errors
            /// The peer is at fault, and the link must be closed.
            pub fn decode(frame: Frame<'a>) -> Result<Self, KindError> {
                let kind = frame.kind;
                match kind {
                    $($kind => Protobuf::decode(frame.payload).map(Self::$message),)+
                    _ => return Err(KindError::Unknown(kind)),
                }
                .map_err(|error| KindError::Payload { kind, error })
            }

            /// Appends the frame, header included.
            ///
            /// # Errors
            /// It is longer than [`LINK_FRAME_BYTES_MAX`].
            pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
                match self {
                    $(Self::$message(message) => encode($kind, message, out),)+
                }
            }

            /// Length of the whole frame, bytes.
            #[must_use]
            pub fn frame_len(&self) -> usize {
                HEADER_BYTES + match self {
                    $(Self::$message(message) => message.encoded_len(),)+
                }
            }
        }
    };
}

direction! {
    /// From edge to router.
    ToRouter {
        1 Hello Hello<'a>;
        2 Register Register<'a>;
        3 Unregister Unregister<'a>;
        4 Request Request<'a>;
        127 Bye Bye<'a>;
    }
}

direction! {
    /// From router to edge.
    ToEdge {
        65 Welcome Welcome<'a>;
        66 Credit Credit;
        67 Answer Answer<'a>;
        68 Hint Hint<'a>;
        69 Evict Evict<'a>;
        70 Beacon Beacon;
        127 Bye Bye<'a>;
    }
}

fn encode<'a>(
    kind: u8,
    message: &impl Protobuf<'a>,
    out: &mut Vec<u8>,
) -> Result<(), FrameTooLarge> {
    let encoded_len = message.encoded_len();
    if HEADER_BYTES + encoded_len > LINK_FRAME_BYTES_MAX {
        return Err(FrameTooLarge(encoded_len));
    }
    out.reserve(HEADER_BYTES + encoded_len);
    // Fits: the frame's length was just compared.
    out.extend_from_slice(&(encoded_len as u32 + 1).to_be_bytes());
    out.push(kind);
    message.encode(out);
    Ok(())
}
