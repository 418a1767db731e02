//! Why a connection failed: a closed list, so that "other" cannot hide a fault of anybody's.

use std::fmt;

use serde::Serialize;

macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $cause:ident = $name:literal,)+) => {
        /// Why a connection failed. See [`Cause::advice`] for what to do about each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub enum Cause {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $cause,)+
        }

        impl Cause {
            /// All of them, in the order in which they are reported.
            pub const ALL: &[Self] = &[$(Self::$cause),+];

            /// Its name in results.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$cause => $name),+ }
            }
        }
    };
}

causes! {
    /// EADDRNOTAVAIL: every port of the source addresses towards this destination is taken.
    PortsExhausted = "ports_exhausted",
    /// EADDRNOTAVAIL or EACCES at bind: the source address is not of this host.
    SourceAddress = "source_address",
    /// EMFILE or ENFILE: the generator may not open more descriptors.
    Descriptors = "descriptors",
    /// The table of the generator's ring is full.
    TableFull = "table_full",
    /// ENOMEM or ENOBUFS: the kernel has no memory for the socket.
    NoMemory = "no_memory",
    /// ECONNREFUSED: nobody listens, or the accept queue is full and the host says so.
    Refused = "refused",
    /// EHOSTUNREACH, ENETUNREACH or EPERM: no way there, or a firewall.
    Unreachable = "unreachable",
    /// No TCP connection within the deadline: SYNs are dropped.
    ConnectTimeout = "connect_timeout",
    /// The peer reset the connection before the upgrade was answered.
    ResetInHandshake = "reset_in_handshake",
    /// The peer ended the connection before the upgrade was answered.
    EndedInHandshake = "ended_in_handshake",
    /// No answer to the upgrade within the deadline.
    UpgradeTimeout = "upgrade_timeout",
    /// The answer to the upgrade is none of RFC 6455 section 4.1, or has another status than 101.
    /// Detail: the status, 0 if there was none.
    BadUpgrade = "bad_upgrade",
    /// `hello` was answered by an error. Detail: none.
    HelloRefused = "hello_refused",
    /// No answer to the first message within the deadline.
    HelloTimeout = "hello_timeout",
    /// The server sent a close frame that the plan did not ask for. Detail: the close code.
    Closed = "closed",
    /// The connection was reset (ECONNRESET, EPIPE) after it was established.
    Reset = "reset",
    /// The connection ended without a close frame after it was established.
    Ended = "ended",
    /// The kernel gave the connection up: ETIMEDOUT after it was established.
    PeerTimeout = "peer_timeout",
    /// The server did not answer heartbeats within the deadline.
    HeartbeatTimeout = "heartbeat_timeout",
    /// The server broke RFC 6455.
    ProtocolError = "protocol_error",
    /// An answer had another content than it must have.
    WrongAnswer = "wrong_answer",
    /// The generator could not go on (its ring failed, or an error that is in no other line).
    /// Detail: the error number. A bug, or a kernel that is not known yet: please report it.
    Generator = "generator",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
