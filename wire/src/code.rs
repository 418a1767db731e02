//! Error codes and close codes of the client protocol: one table each, used by edge and router.

use std::borrow::Cow;

use crate::v1;

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client: the same request will fail again.
    Client,
    /// The server, or its surroundings.
    Server,
}

impl Fault {
    /// `error.fault`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident $code:literal $fault:ident $retry:literal $message:literal;)+) => {
        /// `error.code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// As it is written in `error.code`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Whose fault it is.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self {
                    $(Self::$name => Fault::$fault,)+
                }
            }

            /// Whether the very same request, with the same `client_msg_id`, may succeed later. A
            /// send that failed so holds up the later ones of its connection and conversation.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self {
                    $(Self::$name => $retry,)+
                }
            }

            /// What to say when there is nothing more exact to say.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self {
                    $(Self::$name => $message,)+
                }
            }
        }
    };
}

error_codes! {
    /// The outcome of a send is not known.
    Unknown "unknown" Server true
        "the outcome is not known: send it again with the same client_msg_id";
    /// The `client_msg_id` is too far in the future.
    Clock "clock" Client false
        "client_msg_id is more than 2 minutes ahead of the server's clock: correct the clock by \
         welcome.time_ms and make a new id";
    /// The `client_msg_id` is too old.
    ExpiredId "expired_id" Client false
        "client_msg_id is older than 24 hours: sync the conversation, then send with a new id if it \
         is not there";
    /// Whether the id was used cannot be found out cheaply.
    SyncFirst "sync_first" Client false
        "too much has happened since this client_msg_id was made: sync the conversation, then send \
         with a new id if it is not there";
    /// An earlier send of this connection to this conversation failed.
    AfterFailed "after_failed" Client true
        "an earlier send to this conversation failed: send that one again first, then this one";
    /// Not a frame of this protocol.
    BadFrame "bad_frame" Client false "the frame cannot be read";
    /// An operation that this server does not have.
    UnknownOp "unknown_op" Client false "this server does not have this operation";
    /// No valid credential.
    Unauthenticated "unauthenticated" Client false "the token is missing or not valid";
    /// Not a member, or no such conversation, or not in one's power.
    Forbidden "forbidden" Client false "no such conversation, or not allowed in it";
    /// A field or the whole is above its limit.
    TooLarge "too_large" Client false "above a limit of welcome.limits";
    /// Too many requests.
    RateLimited "rate_limited" Client true "too many requests: slow down";
    /// The `client_msg_id` was used for other content.
    IdReused "id_reused" Client false
        "this client_msg_id was used for a message with other content";
    /// The server has too much to do; nothing was done.
    Overloaded "overloaded" Server true "the server is busy: try again later";
    /// A part of the server is away; nothing was done.
    Unavailable "unavailable" Server true "temporarily unavailable: try again later";
    /// A bug, or a broken part.
    Internal "internal" Server true "an error of the server";
}

impl ErrorCode {
    /// The code of this text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text() == text)
    }

    /// An error frame's content with the code's own message.
    #[must_use]
    pub fn error(self) -> v1::Error<'static> {
        self.error_saying(self.message())
    }

    /// An error frame's content with a message that tells more.
    #[must_use]
    pub fn error_saying<'a>(self, message: impl Into<Cow<'a, str>>) -> v1::Error<'a> {
        v1::Error {
            code: self.text().into(),
            message: message.into(),
            fault: self.fault().text().into(),
            retry_after_ms: 0,
            fatal: false,
        }
    }
}

/// Why the server ends a session: the application's own range of WebSocket close codes, and the
/// application close codes of QUIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum SessionClose {
    /// The server is about to stop.
    Draining = 4000,
    /// The client does not read as fast as it is sent to.
    SlowConsumer = 4001,
    /// Nothing was heard for too long.
    HeartbeatLost = 4002,
    /// A fault of the server.
    ServerFault = 4003,
    /// The token's time is over.
    TokenExpired = 4004,
    /// The rest of a message did not come while the server held too much of others'.
    SlowSender = 4005,
    /// The client broke this protocol.
    ProtocolError = 4400,
    /// No valid credential.
    Unauthenticated = 4401,
    /// A newer connection of this device took over.
    Replaced = 4403,
    /// No `hello` came in time.
    HelloTimeout = 4408,
    /// Too many frames that cannot be read.
    TooManyErrors = 4429,
}

impl SessionClose {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Draining,
        Self::SlowConsumer,
        Self::HeartbeatLost,
        Self::ServerFault,
        Self::TokenExpired,
        Self::SlowSender,
        Self::ProtocolError,
        Self::Unauthenticated,
        Self::Replaced,
        Self::HelloTimeout,
        Self::TooManyErrors,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The close code of this number.
    #[must_use]
    pub fn parse(number: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| u32::from(code.number()) == number)
    }

    /// Whether the client should connect again by itself: 4000 to 4099.
    #[must_use]
    pub const fn asks_to_reconnect(self) -> bool {
        self.number() < 4100
    }

    /// The reason in the close frame.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::SlowConsumer => "slow consumer",
            Self::HeartbeatLost => "heartbeat lost",
            Self::ServerFault => "server fault",
            Self::TokenExpired => "token expired",
            Self::SlowSender => "slow sender",
            Self::ProtocolError => "protocol error",
            Self::Unauthenticated => "unauthenticated",
            Self::Replaced => "replaced by a newer connection of this device",
            Self::HelloTimeout => "no hello in time",
            Self::TooManyErrors => "too many errors",
        }
    }
}
