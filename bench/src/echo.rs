//! The closed loop of an echo benchmark: every connection keeps `depth` messages in flight.
//!
//! Latency is from the moment a message was handed to the driver until its echo was decoded. A
//! closed loop measures capacity: it sends no faster than it is answered, so its latencies say
//! nothing about a fixed rate, and the result says so by naming the loop.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;
use throng_ring::Driver;
use throng_wire::ws::{Opcode, encode};

use crate::fleet::{Fleet, Load, Target};
use crate::limits::DEPTH_MAX;
use crate::measure::process;

/// What to run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EchoPlan {
    /// Connections.
    pub connections: usize,
    /// Payload of a message, in bytes.
    pub size_bytes: usize,
    /// Messages in flight per connection, 1 to [`DEPTH_MAX`].
    pub depth: usize,
    /// Seconds measured, after one to warm up.
    pub seconds: f64,
}

/// What was seen between the end of the warm-up and the end of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EchoResult {
    /// Echoes received.
    pub messages: u64,
    /// Echoes per second.
    pub rate: f64,
    /// The server's processor time per echo, in microseconds.
    pub server_cpu_us: f64,
    /// The generator's own, in microseconds.
    pub client_cpu_us: f64,
    /// Latency in microseconds: median, 99 %, highest.
    pub p50_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// Highest.
    pub max_us: f64,
}

/// One connection's messages in flight, oldest first.
#[derive(Clone, Copy)]
struct InFlight {
    sent_at_ns: [u64; DEPTH_MAX],
    next: usize,
}

struct EchoLoad {
    frame: Vec<u8>,
    payload_bytes: usize,
    depth: usize,
    began: Instant,
    in_flight: Vec<InFlight>,
    messages: u64,
    wrong: u64,
    latency_ns: Histogram<u64>,
}

impl EchoLoad {
    fn new(plan: &EchoPlan) -> io::Result<Self> {
        let mut frame = Vec::new();
        // One mask for all: unpredictable masks protect proxies, of which there are none here.
        let payload = vec![b'x'; plan.size_bytes];
        encode::frame(&mut frame, Opcode::Binary, &payload, Some([0x5a, 0xa5, 0x33, 0xcc]));
        Ok(Self {
            frame,
            payload_bytes: plan.size_bytes,
            depth: plan.depth,
            began: Instant::now(),
            in_flight: Vec::new(),
            messages: 0,
            wrong: 0,
            latency_ns: Histogram::new_with_bounds(1, 60_000_000_000, 3)
                .map_err(io::Error::other)?,
        })
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn reset(&mut self) {
        self.messages = 0;
        self.latency_ns.reset();
    }
}

impl Load for EchoLoad {
    fn opened(&mut self, slot: usize, out: &mut Vec<u8>) {
        let vacant = InFlight { sent_at_ns: [0; DEPTH_MAX], next: 0 };
        if self.in_flight.len() <= slot {
            self.in_flight.resize(slot + 1, vacant);
        }
        let now = self.now_ns();
        self.in_flight[slot] = InFlight { sent_at_ns: [now; DEPTH_MAX], next: 0 };
        for _ in 0..self.depth {
            out.extend_from_slice(&self.frame);
        }
    }

    fn message(&mut self, slot: usize, message: &[u8], out: &mut Vec<u8>) {
        self.wrong += u64::from(message.len() != self.payload_bytes);
        let now = self.now_ns();
        let in_flight = &mut self.in_flight[slot];
        let sent_at = std::mem::replace(&mut in_flight.sent_at_ns[in_flight.next], now);
        in_flight.next = (in_flight.next + 1) % self.depth;
        self.latency_ns.saturating_record(now - sent_at);
        self.messages += 1;
        out.extend_from_slice(&self.frame);
    }
}

/// Runs the loop against `target`, whose server is process `server_pid`.
///
/// # Errors
/// The driver cannot be made, a connection fails, or an echo has another length than what was sent.
pub fn run(target: &Target, plan: &EchoPlan, server_pid: u32) -> io::Result<EchoResult> {
    if !(1..=DEPTH_MAX).contains(&plan.depth) {
        return Err(io::Error::other(format!("depth must be 1 to {DEPTH_MAX}")));
    }
    let mut driver = crate::driver_for(plan.connections)?;
    let mut fleet = Fleet::new(target.clone(), plan.connections, EchoLoad::new(plan)?);
    while !fleet.is_open() {
        fleet.open_more(driver.io())?;
        turn(&mut driver, &mut fleet)?;
    }
    spin(&mut driver, &mut fleet, Duration::from_secs(1))?;
    fleet.load.reset();
    let (server_before, client_before) = cpu(server_pid)?;
    let began = Instant::now();
    spin(&mut driver, &mut fleet, Duration::from_secs_f64(plan.seconds))?;
    let elapsed = began.elapsed().as_secs_f64();
    let (server_after, client_after) = cpu(server_pid)?;
    result(&fleet.load, elapsed, server_after - server_before, client_after - client_before)
}

fn cpu(server_pid: u32) -> io::Result<(f64, f64)> {
    Ok((process::cpu_seconds(server_pid)?, process::cpu_seconds(std::process::id())?))
}

fn spin<D: Driver>(
    driver: &mut D,
    fleet: &mut Fleet<EchoLoad>,
    duration: Duration,
) -> io::Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        turn(driver, fleet)?;
    }
    Ok(())
}

fn turn<D: Driver>(driver: &mut D, fleet: &mut Fleet<EchoLoad>) -> io::Result<()> {
    driver.turn(Duration::from_millis(50), fleet)?;
    match fleet.failure() {
        Some(why) => Err(io::Error::other(why.to_owned())),
        None => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are below 2^53")]
fn result(load: &EchoLoad, elapsed: f64, server: f64, client: f64) -> io::Result<EchoResult> {
    if load.wrong > 0 {
        return Err(io::Error::other(format!("{} echoes had the wrong length", load.wrong)));
    }
    let microseconds = |quantile: f64| load.latency_ns.value_at_quantile(quantile) as f64 / 1e3;
    let messages = load.messages.max(1) as f64;
    Ok(EchoResult {
        messages: load.messages,
        rate: load.messages as f64 / elapsed,
        server_cpu_us: server * 1e6 / messages,
        client_cpu_us: client * 1e6 / messages,
        p50_us: microseconds(0.5),
        p99_us: microseconds(0.99),
        max_us: load.latency_ns.max() as f64 / 1e3,
    })
}
