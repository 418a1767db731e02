//! One run over several processes or hosts: a coordinator that gives the work out and keeps the
//! books, and workers that do it.
//!
//! Who drives: workers dial the coordinator. Order of a run, over one TCP connection each:
//!
//! ```text
//! worker → Hello {version, host}           coordinator: other versions are refused
//! coordinator ⇄ Probe, Echo (16 times)     the clock's offset, from the shortest round trip
//! coordinator → Job {arguments, …}         the command line
//! worker → Able {shards} | Refused         after its own preflight
//! coordinator → Part {first_shard, shards} which shards of the run are its
//! worker → Ready | Refused                 they are set up
//! coordinator → Start {at}                 one moment for all, in each worker's own clock
//! worker → News …, Alive, Done {finish}    what its shards say, and at the end what they cost
//! coordinator → Stop                       the measured part is over
//! ```
//!
//! A worker's shard counts exactly like a local one, in the same books: counters are added and
//! histograms merged, never percentiles averaged. A worker that is lost makes the run invalid; what
//! it reported stays.
//!
//! Connections are not authenticated: a coordinator listens on a test network, for the length of a
//! run, and what it takes in is bounded and cannot make it do anything but count; a worker does
//! nothing but floods.

mod clock;
mod coordinator;
mod message;
mod work;
mod worker;
mod workers;

pub use clock::{ClockOffset, ClockProbe, PROBES};
pub use coordinator::{Coordinator, Team};
pub use message::{Finish, Message, read_message, write_message};
pub use work::{WorkError, work};
pub use worker::{Assignment, Chosen, Reporter, join};
pub use workers::Workers;

use std::io;

/// Why a run over several workers cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CoordinateError {
    /// The network.
    #[error("{peer}: {source}")]
    Io {
        /// Who was spoken to.
        peer: String,
        /// What happened.
        source: io::Error,
    },
    /// A worker of another version: its samples could mean something else.
    #[error("{peer} is throng-bench {theirs}, this is {ours}: install the same version everywhere")]
    Version {
        /// Who.
        peer: String,
        /// Its version.
        theirs: String,
        /// This one.
        ours: String,
    },
    /// A worker cannot do its part.
    #[error("worker {peer} refuses: {why}")]
    Refused {
        /// Who.
        peer: String,
        /// Its own words.
        why: String,
    },
    /// Not all workers came in time.
    #[error("{came} of {wanted} workers came; start the others, or ask for fewer")]
    Missing {
        /// Those that came.
        came: usize,
        /// Those that were asked for.
        wanted: usize,
    },
    /// Something else came than what the order of a run allows.
    #[error("{peer} said {said} out of turn")]
    OutOfTurn {
        /// Who.
        peer: String,
        /// The message.
        said: String,
    },
}
