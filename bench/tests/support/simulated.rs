//! A shard over the simulated driver, and the servers that it connects to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use throng_bench::generator::settings::{Settings, ShardInfo};
use throng_bench::generator::shard::Shard;
use throng_bench::generator::{Deadlines, Sample, Target, Workload};
use throng_ring::Driver;
use throng_ring::sim::{Peer, Sim, SimConfig, SimDriver};
use throng_wire::ws::{self, Decoder, Opcode, Role, encode};

/// Virtual time of one step.
const STEP: Duration = Duration::from_millis(1);

/// The server's end of a connection.
pub struct Served {
    pub peer: Peer,
    received: Vec<u8>,
    decoder: Decoder,
    pub upgraded: bool,
    /// A message has come.
    pub greeted: bool,
    /// The connection is over.
    pub closed: bool,
}

/// What came from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    Message(Opcode, Vec<u8>),
    Ping,
    Pong,
    Close,
}

impl Served {
    fn new(peer: Peer) -> Self {
        let decoder = Decoder::new(Role::Server, 1 << 20);
        Self { peer, received: Vec::new(), decoder, upgraded: false, greeted: false, closed: false }
    }

    /// Answers the upgrade once it has come.
    pub fn upgrade(&mut self) {
        self.received.extend(self.peer.read());
        if let Some((consumed, answer)) = super::accept(&self.received) {
            self.received.drain(..consumed);
            self.peer.write(answer.as_bytes());
            self.upgraded = true;
        }
    }

    /// Takes what has come since the last call.
    pub fn take(&mut self) -> Vec<Came> {
        self.received.extend(self.peer.read());
        let mut bytes = std::mem::take(&mut self.received);
        let mut input = ws::Input::new(&mut bytes);
        let mut came = Vec::new();
        while let Some(event) = self.decoder.next(&mut input).expect("clients keep RFC 6455") {
            came.push(match event {
                ws::Event::Text(text) => Came::Message(Opcode::Text, text.as_bytes().to_vec()),
                ws::Event::Binary(bytes) => Came::Message(Opcode::Binary, bytes.to_vec()),
                ws::Event::Ping(_) => Came::Ping,
                ws::Event::Pong(_) => Came::Pong,
                ws::Event::Close(_) => Came::Close,
            });
        }
        came
    }

    pub fn send(&self, opcode: Opcode, payload: &[u8]) {
        let mut frame = Vec::new();
        encode::frame(&mut frame, opcode, payload, None);
        self.peer.write(&frame);
    }

    /// Answers a close frame and ends the connection.
    pub fn close(&mut self) {
        self.send(Opcode::Close, &1000_u16.to_be_bytes());
        self.peer.finish();
        self.closed = true;
    }

    /// What a good echo server does with everything that has come.
    pub fn echo(&mut self) {
        if !self.upgraded {
            self.upgrade();
            return;
        }
        for came in self.take() {
            match came {
                Came::Message(opcode, payload) => {
                    self.greeted = true;
                    self.send(opcode, &payload);
                }
                Came::Ping => self.send(Opcode::Pong, &[]),
                Came::Close => self.close(),
                Came::Pong => {}
            }
        }
    }
}

/// A shard and its world.
pub struct Simulation<W> {
    pub driver: SimDriver,
    pub sim: Sim,
    pub shard: Shard<W>,
    pub served: Vec<Served>,
    pub start: Instant,
    at: SocketAddr,
    total: Sample,
}

pub fn settings(at: SocketAddr) -> Settings {
    let second = Duration::from_secs(1);
    Settings {
        target: Target::at(at, "/"),
        deadlines: Deadlines {
            connect: second,
            upgrade: second,
            hello: second,
            pong: second,
            close: second,
        },
        heartbeat: None,
        cold: false,
        lateness_max: Duration::from_millis(10),
        message_bytes_max: 1 << 20,
        seed: 1,
    }
}

impl<W: Workload> Simulation<W> {
    /// `clients` of one shard towards a server that accepts.
    pub fn new(
        clients: u32,
        change: impl FnOnce(&mut Settings),
        make: impl FnOnce(ShardInfo, Instant) -> W,
    ) -> Self {
        Self::over(SimConfig::default(), clients, change, make)
    }

    pub fn over(
        config: SimConfig,
        clients: u32,
        change: impl FnOnce(&mut Settings),
        make: impl FnOnce(ShardInfo, Instant) -> W,
    ) -> Self {
        let table_max = config.connections_max as usize;
        let (driver, sim) = SimDriver::new(config);
        let at: SocketAddr = "192.0.2.1:80".parse().unwrap();
        sim.listen(at);
        let mut settings = settings(at);
        change(&mut settings);
        let info = ShardInfo { shard: 0, shards: 1, clients, seed: 1 };
        let start = sim.now();
        let shard = Shard::new(settings, info, table_max, start, make(info, start));
        let (served, total) = (Vec::new(), Sample::default());
        Self { driver, sim, shard, served, start, at, total }
    }

    /// One step; then every connection's server acts.
    pub fn step(&mut self, mut act: impl FnMut(&mut Served, Duration)) {
        let until = self.sim.now() + STEP;
        self.shard.step(&mut self.driver, until).unwrap();
        while let Some(peer) = self.sim.accept(self.at) {
            self.served.push(Served::new(peer));
        }
        let elapsed = self.sim.now() - self.start;
        for served in self.served.iter_mut().filter(|served| !served.closed) {
            act(served, elapsed);
        }
    }

    pub fn run_for(&mut self, time: Duration, mut act: impl FnMut(&mut Served, Duration)) {
        let end = self.sim.now() + time;
        while self.sim.now() < end {
            self.step(&mut act);
        }
    }

    /// Stops, and steps until every connection is gone.
    pub fn close_all(&mut self, mut act: impl FnMut(&mut Served, Duration)) {
        self.shard.stop(self.driver.io());
        for _ in 0..100_000 {
            if self.shard.is_gone() {
                return;
            }
            self.step(&mut act);
        }
        panic!("{} connections do not end", self.shard.connections());
    }

    /// Everything seen so far.
    pub fn total(&mut self) -> &Sample {
        let sample = self.shard.take_sample(self.sim.now() - self.start, Duration::ZERO);
        self.total.merge(&sample);
        self.total.open = sample.open;
        &self.total
    }
}
