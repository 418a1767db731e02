//! What a shard counts. Plain integers on the shard's own thread; a snapshot is a copy that the
//! mailbox carries to the admin port. Every name is declared once, here, with its meaning.

use throng_wire::{ErrorCode, SessionClose};

macro_rules! numbers {
    ($(#[$meta:meta])* $type:ident { $( #[doc = $doc:literal] $name:ident; )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $type {
            $( #[doc = $doc] pub $name: u64, )*
        }

        impl $type {
            /// Name and meaning of every number, in order.
            pub const NAMES: &[(&str, &str)] = &[ $( (concat!("edge_", stringify!($name)), $doc.trim_ascii()), )* ];

            /// The numbers, in the order of their names.
            pub fn values(&self) -> [u64; Self::NAMES.len()] {
                [ $( self.$name, )* ]
            }
        }
    };
}

numbers! {
    /// What only grows.
    Counters {
        /// Connections accepted
        accepted;
        /// Connections refused with 503 because the shard was full or the address had too many handshakes
        refused;
        /// Times that accepting failed in the kernel (table or memory full)
        accept_failures;
        /// WebSocket upgrades
        upgrades;
        /// HTTP requests answered without an upgrade
        http_requests;
        /// Sessions that got their welcome
        welcomes;
        /// Bytes received from clients
        received_bytes;
        /// Messages received from clients, whole
        received_frames;
        /// Bytes handed to the kernel for clients
        sent_bytes;
        /// Sends handed to the kernel for clients
        sends;
        /// Requests given to the router
        requests;
        /// Answers of the router given to clients
        answers;
        /// Hints received from the router
        hints;
        /// Frames pushed to clients
        pushed;
        /// Targets of hints whose session was not there any more
        stale_targets;
        /// Ephemeral frames dropped because the client did not keep up
        ephemeral_dropped;
        /// Times that the link was not read because too many hints waited
        link_holds;
        /// Gaps seen in the router's numbering of hints
        hint_gaps;
        /// Heartbeat pings sent because a client was silent
        pings_sent;
        /// Connections to the router that were lost
        link_losses;
        /// Turns of the reactor
        turns;
        /// Fan-outs that went on in a later turn
        fanout_continued;
    }
}

numbers! {
    /// What is now.
    Gauges {
        /// Connections of clients, in any phase
        connections;
        /// Connections that have not said who they are
        handshakes;
        /// Sessions after their welcome
        sessions;
        /// Requests that wait for the router
        requests_in_flight;
        /// Bytes of messages and requests that are not whole yet
        input_bytes;
        /// Bytes queued for clients
        output_bytes;
        /// Connections with output queued or being sent
        outputs;
        /// Bytes of hints that wait for their turn
        fanout_bytes;
        /// Bytes of requests that wait for the link's credit
        link_queue_bytes;
        /// 1 while the router's link is up
        link_up;
    }
}

macro_rules! labels {
    ($(#[$meta:meta])* $type:ident { $( $(#[$item:meta])* $name:ident = $label:literal, )* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $type { $( $(#[$item])* $name, )* }

        impl $type {
            /// Every value, in order.
            pub const ALL: &[Self] = &[ $( Self::$name, )* ];

            /// The value's name in metrics and logs.
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )* }
            }
        }
    };
}

labels! {
    /// Why a connection ended. A closed list: each has its own remedy in docs/operations.md.
    CloseReason {
        /// The client closed the WebSocket.
        ClientClose = "client_close",
        /// The peer's socket ended without a close frame.
        PeerGone = "peer_gone",
        /// An HTTP request was answered.
        HttpDone = "http_done",
        /// No complete HTTP request in time.
        HttpDeadline = "http_deadline",
        /// Refused at the door.
        Refused = "refused",
        /// 4000: this process drains.
        Draining = "draining",
        /// 4001: the client did not take its output.
        SlowConsumer = "slow_consumer",
        /// 4002: nothing was heard for two intervals.
        HeartbeatLost = "heartbeat_lost",
        /// 4003: a fault of ours.
        ServerFault = "server_fault",
        /// 4004: the token expired.
        TokenExpired = "token_expired",
        /// 4005: the rest of a message was waited for while the shard held too many parts.
        SlowSender = "slow_sender",
        /// 4400: a frame other than hello came first.
        ProtocolError = "protocol_error",
        /// 4401: no valid token.
        Unauthenticated = "unauthenticated",
        /// 4403: a newer connection of the device.
        Replaced = "replaced",
        /// 4408: no hello in time.
        NoHello = "no_hello",
        /// 4429: too many frames that cannot be understood.
        TooManyErrors = "too_many_errors",
        /// 1002: RFC 6455 was broken.
        WebSocketError = "websocket_error",
        /// 1003: binary where text is spoken, or the reverse.
        WrongKind = "wrong_kind",
        /// 1007: text that is not UTF-8.
        InvalidUtf8 = "invalid_utf8",
        /// 1009: a message above the limit.
        MessageTooBig = "message_too_big",
        /// The shard was stopped at once.
        Stopped = "stopped",
    }
}

impl From<SessionClose> for CloseReason {
    fn from(close: SessionClose) -> Self {
        match close {
            SessionClose::Draining => Self::Draining,
            SessionClose::SlowConsumer => Self::SlowConsumer,
            SessionClose::HeartbeatLost => Self::HeartbeatLost,
            SessionClose::ServerFault => Self::ServerFault,
            SessionClose::TokenExpired => Self::TokenExpired,
            SessionClose::SlowSender => Self::SlowSender,
            SessionClose::ProtocolError => Self::ProtocolError,
            SessionClose::Unauthenticated => Self::Unauthenticated,
            SessionClose::Replaced => Self::Replaced,
            SessionClose::HelloTimeout => Self::NoHello,
            SessionClose::TooManyErrors => Self::TooManyErrors,
        }
    }
}

impl CloseReason {
    /// Code of the WebSocket close frame, if one is sent.
    pub const fn code(self) -> Option<u16> {
        Some(match self {
            Self::ClientClose
            | Self::PeerGone
            | Self::HttpDone
            | Self::HttpDeadline
            | Self::Refused
            | Self::Stopped => return None,
            Self::Draining => 4000,
            Self::SlowConsumer => 4001,
            Self::HeartbeatLost => 4002,
            Self::ServerFault => 4003,
            Self::TokenExpired => 4004,
            Self::SlowSender => 4005,
            Self::ProtocolError => 4400,
            Self::Unauthenticated => 4401,
            Self::Replaced => 4403,
            Self::NoHello => 4408,
            Self::TooManyErrors => 4429,
            Self::WebSocketError => 1002,
            Self::WrongKind => 1003,
            Self::InvalidUtf8 => 1007,
            Self::MessageTooBig => 1009,
        })
    }
}

/// Everything a shard tells of itself.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The shard's number.
    pub shard: usize,
    /// What only grows.
    pub counters: Counters,
    /// What is now.
    pub gauges: Gauges,
    /// Connections ended, by [`CloseReason`].
    pub closes: [u64; CloseReason::ALL.len()],
    /// Errors answered, by [`ErrorCode`].
    pub errors: [u64; ErrorCode::ALL.len()],
}
