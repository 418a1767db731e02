//! What the tests share: a handler that writes down what it is told, and real peers.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use throng_ring::epoll::{EpollConfig, EpollDriver};
use throng_ring::sim::{Peer, Sim, SimConfig, SimDriver};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{
    Arm, ConnId, Driver, Event, Handler, Io, ListenOptions, ListenerId, SendBatch, SetupError,
};

/// An event without what it lends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Accepted(ConnId, SocketAddr),
    AcceptFailed(ListenerId, Option<i32>),
    Connected(ConnId, Result<(), Option<i32>>),
    Received(ConnId, Vec<u8>),
    ReceiveEnd(ConnId, Result<(), Option<i32>>),
    Sent(ConnId, Result<(), Option<i32>>),
    Closed(ConnId),
    Woken,
}

/// Writes events down; can arm what is accepted or connected, and echo what it receives.
#[derive(Debug, Default)]
pub struct Recorder {
    pub seen: Vec<Seen>,
    pub arm_new: Option<Arm>,
    pub echo: bool,
    /// Echoes that wait for the send before them.
    pub queued: HashMap<ConnId, Vec<u8>>,
}

impl Recorder {
    fn send_queued<I: Io>(&mut self, io: &mut I, conn: ConnId) {
        let Some(queued) = self.queued.get_mut(&conn) else { return };
        if !queued.is_empty() && !io.sending(conn) {
            let mut batch = SendBatch::new();
            batch.push_owned(std::mem::take(queued));
            let _ = io.send(conn, batch);
        }
    }
}

impl<I: Io> Handler<I> for Recorder {
    fn event(&mut self, io: &mut I, event: Event<'_>) {
        let code = |result: std::io::Result<()>| result.map_err(|error| error.raw_os_error());
        let seen = match event {
            Event::Accepted { conn, peer, .. } => {
                self.arm_new.into_iter().for_each(|arm| io.arm(conn, arm));
                Seen::Accepted(conn, peer)
            }
            Event::AcceptFailed { listener, error } => {
                Seen::AcceptFailed(listener, error.raw_os_error())
            }
            Event::Connected { conn, result } => {
                self.arm_new.into_iter().for_each(|arm| io.arm(conn, arm));
                Seen::Connected(conn, code(result))
            }
            Event::Received { conn, data } => {
                if self.echo {
                    self.queued.entry(conn).or_default().extend_from_slice(data);
                    self.send_queued(io, conn);
                }
                Seen::Received(conn, data.to_vec())
            }
            Event::ReceiveEnd { conn, result } => Seen::ReceiveEnd(conn, code(result)),
            Event::Sent { conn, result } => {
                self.send_queued(io, conn);
                Seen::Sent(conn, code(result))
            }
            Event::Closed { conn } => Seen::Closed(conn),
            Event::Woken => Seen::Woken,
        };
        self.seen.push(seen);
    }
}

impl Recorder {
    pub fn arming(arm: Arm) -> Self {
        Self { arm_new: Some(arm), ..Self::default() }
    }

    /// All bytes received on a connection.
    pub fn bytes(&self, of: ConnId) -> Vec<u8> {
        let pieces = self.seen.iter().filter_map(|seen| match seen {
            Seen::Received(conn, data) if *conn == of => Some(data.as_slice()),
            _ => None,
        });
        pieces.flatten().copied().collect()
    }

    /// Connections accepted so far, in order.
    pub fn accepted(&self) -> Vec<ConnId> {
        let of = |seen: &Seen| if let Seen::Accepted(conn, _) = seen { Some(*conn) } else { None };
        self.seen.iter().filter_map(of).collect()
    }

    pub fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.seen.iter().filter(|seen| which(seen)).count()
    }

    pub fn closed(&self, of: ConnId) -> usize {
        self.count(|seen| *seen == Seen::Closed(of))
    }
}

/// What a test asks of a driver whatever its backend.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub connections_max: u32,
    pub connect_reset_on_close: bool,
}

/// A driver that talks to the kernel.
pub trait Real: Driver + Sized {
    fn set_up(asked: Asked) -> Result<Self, SetupError>;
}

impl Real for UringDriver {
    fn set_up(
        Asked { connections_max, connect_reset_on_close }: Asked,
    ) -> Result<Self, SetupError> {
        let default = UringConfig::default();
        Self::new(UringConfig { connections_max, connect_reset_on_close, ..default })
    }
}

impl Real for EpollDriver {
    fn set_up(
        Asked { connections_max, connect_reset_on_close }: Asked,
    ) -> Result<Self, SetupError> {
        let default = EpollConfig::default();
        Self::new(EpollConfig { connections_max, connect_reset_on_close, ..default })
    }
}

/// Makes a test for each backend of functions that are generic over it.
#[macro_export]
macro_rules! on_each_backend {
    ($($property:ident;)*) => { $(
        mod $property {
            #[test]
            fn over_io_uring() {
                super::$property::<throng_ring::uring::UringDriver>();
            }

            #[test]
            fn over_epoll() {
                super::$property::<throng_ring::epoll::EpollDriver>();
            }
        }
    )* };
}

/// A small driver on the real kernel. Fails, and says why, where its backend cannot be had.
pub fn real<D: Real>(change: impl Fn(&mut Asked)) -> D {
    let mut asked = Asked { connections_max: 1024, connect_reset_on_close: false };
    change(&mut asked);
    D::set_up(asked).unwrap_or_else(|error| panic!("no driver for the test: {error}"))
}

/// The same over io_uring, for what only its configuration has.
pub fn uring(change: impl Fn(&mut UringConfig)) -> UringDriver {
    let mut config = UringConfig { connections_max: 1024, ..UringConfig::default() };
    change(&mut config);
    UringDriver::new(config).unwrap_or_else(|error| panic!("no driver for the test: {error}"))
}

/// The same over epoll.
pub fn epoll(change: impl Fn(&mut EpollConfig)) -> EpollDriver {
    let mut config = EpollConfig { connections_max: 1024, ..EpollConfig::default() };
    change(&mut config);
    EpollDriver::new(config).unwrap_or_else(|error| panic!("no driver for the test: {error}"))
}

/// A listener on a loopback port of the kernel's choice.
pub fn listen<D: Driver>(driver: &mut D) -> (ListenerId, SocketAddr) {
    let options = ListenOptions { backlog: 1024, reuse_port: false };
    let listener = driver.io().listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let at = driver.io().local_addr(listener).unwrap();
    (listener, at)
}

/// Turns until `done`, for 10 s at most.
pub fn turn_until<D: Driver>(
    driver: &mut D,
    recorder: &mut Recorder,
    what: &str,
    done: impl Fn(&Recorder) -> bool,
) where
    Recorder: Handler<D::Io>,
{
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done(recorder) {
        assert!(Instant::now() < deadline, "no {what} within 10 s; seen: {:?}", recorder.seen);
        driver.turn(Duration::from_millis(50), recorder).unwrap();
    }
}

/// A batch of one buffer.
pub fn batch(bytes: &[u8]) -> SendBatch {
    let mut batch = SendBatch::new();
    batch.push_owned(bytes.to_vec());
    batch
}

/// A simulated driver with one listener.
pub struct Simulated {
    pub driver: SimDriver,
    pub sim: Sim,
    pub listener: ListenerId,
    pub at: SocketAddr,
    pub recorder: Recorder,
}

impl Simulated {
    pub fn new(config: SimConfig) -> Self {
        let (mut driver, sim) = SimDriver::new(config);
        let (listener, at) = listen(&mut driver);
        Self { driver, sim, listener, at, recorder: Recorder::default() }
    }

    /// Turns that wait up to 1 ms of virtual time each.
    pub fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.driver.turn(Duration::from_millis(1), &mut self.recorder).unwrap();
        }
    }

    pub fn peer(&mut self) -> Peer {
        self.sim.connect(self.at, "192.0.2.1:7".parse().unwrap()).expect("room in the queue")
    }

    /// An accepted connection, armed.
    pub fn pair(&mut self, arm: Arm) -> (ConnId, Peer) {
        let peer = self.peer();
        let before = self.recorder.accepted().len();
        self.turns(2);
        let conn = self.recorder.accepted()[before];
        self.driver.io().arm(conn, arm);
        self.turns(1);
        (conn, peer)
    }
}
