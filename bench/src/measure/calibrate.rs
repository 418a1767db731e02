//! What the generator's end of a connection takes of the kernel's slab.
//!
//! Where both ends of a run are on one host, the slab holds both. The generator's share is measured
//! before the run on connections of its own, both ends idle and unarmed: half of a pair's growth is
//! one bare socket. Then one end of each pair is armed as an idle client is, and that growth is the
//! cost of its arming. The server's share of a run is the rest.

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use throng_ring::{Arm, ConnId, ConnectOptions, Driver, Event, Handler, Io, ListenOptions};

use super::kernel;

/// Loopback connections by which the share is measured.
pub const PAIRS: usize = 4_000;

/// Connections being made at one time.
const OPENING: usize = 64;

/// How long the kernel is given to come to rest before a reading.
const REST: Duration = Duration::from_secs(1);

/// Longest wait for the pairs; a host that cannot make them in this time measures nothing.
const DEADLINE: Duration = Duration::from_secs(30);

/// Slab bytes of one end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndBytes {
    /// An open socket that waits for nothing.
    pub bare: f64,
    /// What waiting for input as an idle client does adds.
    pub armed_cold: f64,
}

/// Measures it. Needs root and a quiet machine.
///
/// # Errors
/// The slab cannot be read, or the ring or the connections cannot be made.
pub fn measure() -> io::Result<EndBytes> {
    let mut driver = crate::driver_for(2 * PAIRS)?;
    let listener = driver.io().listen(
        (Ipv4Addr::LOCALHOST, 0).into(),
        ListenOptions { backlog: 4096, reuse_port: false },
    )?;
    let to = driver.io().local_addr(listener)?;
    let mut pairs = Pairs::default();
    turn_for(&mut driver, &mut pairs, REST)?;
    let before = kernel::slab_bytes()? as f64;
    pairs.connect_all(&mut driver, to)?;
    turn_for(&mut driver, &mut pairs, REST)?;
    let open = kernel::slab_bytes()? as f64;
    for conn in &pairs.clients {
        driver.io().arm(*conn, Arm::Cold);
    }
    turn_for(&mut driver, &mut pairs, REST)?;
    let armed = kernel::slab_bytes()? as f64;
    let count = PAIRS as f64;
    Ok(EndBytes { bare: (open - before) / (2.0 * count), armed_cold: (armed - open) / count })
}

#[derive(Default)]
struct Pairs {
    clients: Vec<ConnId>,
    connected: usize,
    accepted: usize,
}

impl Pairs {
    fn connect_all(
        &mut self,
        driver: &mut impl Driver,
        to: std::net::SocketAddr,
    ) -> io::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while self.accepted < PAIRS || self.connected < PAIRS {
            while self.clients.len() < PAIRS && self.clients.len() < self.accepted + OPENING {
                let conn = driver.io().connect(ConnectOptions { to, bind: None })?;
                self.clients.push(conn);
            }
            driver.turn(Duration::from_millis(50), self)?;
            if Instant::now() > deadline {
                let made = self.accepted;
                return Err(io::Error::other(format!("{made} of {PAIRS} own connections in 30 s")));
            }
        }
        Ok(())
    }
}

impl<I: Io> Handler<I> for Pairs {
    fn event(&mut self, _io: &mut I, event: Event<'_>) {
        self.accepted += usize::from(matches!(event, Event::Accepted { .. }));
        self.connected += usize::from(matches!(event, Event::Connected { result: Ok(()), .. }));
    }
}

fn turn_for<D: Driver, H: Handler<D::Io>>(
    driver: &mut D,
    handler: &mut H,
    duration: Duration,
) -> io::Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        driver.turn(Duration::from_millis(50), handler)?;
    }
    Ok(())
}
