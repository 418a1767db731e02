//! Compares ways to provide receive buffers: server CPU per echoed message, and how often receives
//! found no buffer. For the choice of `UringConfig`'s defaults, not for comparing with others.
//!
//! One thread serves, one plays all clients (closed loop, one message in flight each), both on this
//! crate's driver, pinned to two cores. The variants take turns; minimum and median over the rounds
//! are told. Usage:
//!
//!     cargo run --release -p throng-ring --example receive_buffers -- [ROUNDS] [MILLISECONDS]

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people at a terminal")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use throng_ring::uring::{UringConfig, UringDriver, UringIo};
use throng_ring::{
    Arm, ConnId, ConnectOptions, Driver, Event, Handler, Io, ListenOptions, SendBatch, host,
};

/// Echoes every message of `size` bytes; a client begins.
struct Echo {
    size: usize,
    client: bool,
    got: Vec<usize>,
    queued: Vec<Vec<u8>>,
    messages: u64,
    opened: usize,
}

impl Echo {
    fn new(size: usize, client: bool) -> Self {
        Self { size, client, got: Vec::new(), queued: Vec::new(), messages: 0, opened: 0 }
    }

    fn open(&mut self, io: &mut UringIo, conn: ConnId) {
        let slots = (conn.slot as usize + 1).max(self.got.len());
        self.got.resize(slots, 0);
        self.queued.resize_with(slots, Vec::new);
        self.opened += 1;
        io.arm(conn, Arm::Hot);
        if self.client {
            self.queued[conn.slot as usize] = vec![1; self.size];
            self.flush(io, conn);
        }
    }

    fn flush(&mut self, io: &mut UringIo, conn: ConnId) {
        let queued = &mut self.queued[conn.slot as usize];
        if !queued.is_empty() && !io.sending(conn) {
            let mut batch = SendBatch::new();
            batch.push_owned(std::mem::replace(queued, io.buffer()));
            let _ = io.send(conn, batch);
        }
    }
}

impl Handler<UringIo> for Echo {
    fn event(&mut self, io: &mut UringIo, event: Event<'_>) {
        match event {
            Event::Accepted { conn, .. } | Event::Connected { conn, .. } => self.open(io, conn),
            Event::Received { conn, data } => {
                let slot = conn.slot as usize;
                self.queued[slot].extend_from_slice(data);
                self.got[slot] += data.len();
                if self.got[slot] >= self.size {
                    self.got[slot] -= self.size;
                    self.messages += 1;
                    self.flush(io, conn);
                }
            }
            Event::Sent { conn, .. } if self.got[conn.slot as usize] == 0 => self.flush(io, conn),
            _ => {}
        }
    }
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn play(at: SocketAddr, connections: usize, size: usize, stop: &AtomicBool) {
    host::pin_to_core(*host::cores().last().unwrap()).unwrap();
    let mut driver = UringDriver::new(UringConfig::default()).unwrap();
    let mut clients = Echo::new(size, true);
    for _ in 0..connections {
        driver.io().connect(ConnectOptions { to: at, bind: None }).unwrap();
    }
    while !stop.load(Ordering::Relaxed) {
        driver.turn(Duration::from_millis(10), &mut clients).unwrap();
    }
}

/// Server CPU in microseconds per message, and messages per second.
fn round(config: &UringConfig, connections: usize, size: usize, span: Duration) -> (f64, f64) {
    let mut driver = UringDriver::new(config.clone()).unwrap();
    let options = ListenOptions { backlog: 4096, reuse_port: false };
    let listener = driver.io().listen("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let at = driver.io().local_addr(listener).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, end) = (Arc::clone(&stop), mpsc::channel::<()>());
    let clients = thread::spawn(move || {
        play(at, connections, size, &stopped);
        drop(end);
    });
    let mut server = Echo::new(size, false);
    while server.opened < connections || server.messages < 10 * connections as u64 {
        driver.turn(Duration::from_millis(10), &mut server).unwrap();
    }
    let (started, cpu, before) = (Instant::now(), thread_cpu(), server.messages);
    while started.elapsed() < span {
        driver.turn(Duration::from_millis(10), &mut server).unwrap();
    }
    let messages = (server.messages - before) as f64;
    let result = (
        (thread_cpu() - cpu).as_secs_f64() * 1e6 / messages,
        messages / started.elapsed().as_secs_f64(),
    );
    stop.store(true, Ordering::Relaxed);
    clients.join().unwrap();
    result
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let rounds = arguments.next().unwrap_or(5);
    let span = Duration::from_millis(arguments.next().unwrap_or(400));
    host::pin_to_core(host::cores()[0]).unwrap();
    let variants = [
        ("packed 16 x 64 KB", true, 16, 64),
        ("packed 32 x 32 KB", true, 32, 32),
        ("packed 64 x 64 KB", true, 64, 64),
        ("plain 256 x 4 KB", false, 256, 4),
        ("plain 1024 x 4 KB", false, 1024, 4),
        ("plain 64 x 16 KB", false, 64, 16),
    ];
    println!("| case | buffers | CPU us/message min | median | messages/s median |");
    for (connections, size) in [(500, 64), (500, 512), (500, 16 * 1024), (50, 16 * 1024)] {
        let mut results = vec![Vec::new(); variants.len()];
        for _ in 0..rounds {
            for (i, &(_, packed, buffers, kilobytes)) in variants.iter().enumerate() {
                let config = UringConfig {
                    receive_packed: packed,
                    receive_buffers: buffers,
                    receive_buffer_bytes: kilobytes * 1024,
                    ..UringConfig::default()
                };
                results[i].push(round(&config, connections, size, span));
            }
        }
        for ((name, ..), mut result) in variants.iter().zip(results) {
            result.sort_by(|a, b| a.0.total_cmp(&b.0));
            let median = result[result.len() / 2];
            let (least, (cpu, rate)) = (result[0].0, median);
            println!("| {connections} x {size} B | {name} | {least:.2} | {cpu:.2} | {rate:.0} |");
        }
    }
}
