//! The simulated backend: the state machine of the real one over a kernel that is a script.
//!
//! Nothing here touches a socket, a thread or a clock. The kernel side is modelled as io_uring
//! behaves (operations keep a closed socket alive, a cancel may miss, multishot operations end when
//! the completion queue overflows or buffers run out, sends may be short), and [`Faults`] make each
//! of that happen at random. Same seed and same script: same run, event for event.
//!
//! A test holds a [`SimDriver`], which it turns, and a [`Sim`], with which it plays everything
//! outside: [`Sim::connect`] a [`Peer`] to a listener, [`Sim::listen`] where the driver may connect
//! to, [`Sim::endpoint`] for a descriptor to adopt, [`Sim::advance`] the clock. All of it may also
//! be done from inside a handler.
//!
//! The simulated kernel panics if the state machine breaks the kernel's contract (two sends in
//! flight on a slot, a slot used while another use is open).

mod chance;
mod kernel;
mod script;
mod world;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::driver::{Driver, Handler};
use crate::limits;
use crate::reactor::Reactor;
use kernel::SimKernel;
pub use script::{Peer, PeerEnd, Sim};
use world::World;

/// Sizes and faults of a simulated driver.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of every random choice; the same seed and script give the same run.
    pub seed: u64,
    /// Slots of the descriptor table.
    pub connections_max: u32,
    /// Receive buffers.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer.
    pub receive_buffer_bytes: u32,
    /// Completions that fit before the queue overflows and ends every multishot operation.
    pub completion_entries: u32,
    /// Bytes in flight in each direction: what a peer takes before it reads, and what it can write
    /// before the driver receives.
    pub window_bytes: usize,
    /// What goes wrong at random.
    pub faults: Faults,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            connections_max: 1024,
            receive_buffers: 16,
            receive_buffer_bytes: 4096,
            completion_entries: 4096,
            window_bytes: 256 * 1024,
            faults: Faults::default(),
        }
    }
}

/// Probabilities in 1/1000 per operation or completion; all zero by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A send takes only a part.
    pub short_send: u16,
    /// A completion comes late, by at most `delay_max`.
    pub delay: u16,
    /// See `delay`.
    pub delay_max: Duration,
    /// A completion overtakes the one before it (of another operation).
    pub reorder: u16,
    /// A receive ends with ENOBUFS although buffers exist.
    pub no_buffers: u16,
    /// The completion queue overflows: the multishot operation ends with this completion.
    pub overflow: u16,
    /// An accept fails with ENFILE; the peer stays in the listen queue.
    pub accept_failure: u16,
    /// A cancel does not find its operation, which goes on.
    pub cancel_miss: u16,
    /// The peer resets the connection instead of letting an operation go on.
    pub reset: u16,
}

/// The operations of a [`SimDriver`].
pub type SimIo = Reactor<SimKernel>;

/// The simulated driver.
#[derive(Debug)]
pub struct SimDriver {
    io: SimIo,
}

impl SimDriver {
    /// A driver and the script's hold on its world. Both stay on one thread.
    #[must_use]
    pub fn new(config: SimConfig) -> (Self, Sim) {
        let connections_max = config.connections_max;
        let world = Rc::new(RefCell::new(World::new(config)));
        let kernel = SimKernel::new(Rc::clone(&world));
        let io = Reactor::new(kernel, connections_max, limits::TURN_BUDGET);
        (Self { io }, Sim::new(world))
    }
}

impl Driver for SimDriver {
    type Io = SimIo;

    fn io(&mut self) -> &mut SimIo {
        &mut self.io
    }

    /// Never blocks: with nothing to hand out, the virtual clock moves on by `wait`, or to the
    /// first delayed completion.
    fn turn<H: Handler<SimIo>>(&mut self, wait: Duration, handler: &mut H) -> io::Result<()> {
        self.io.turn(wait, handler)
    }
}
