//! Allocations per message on the data path, counted over the whole gateway in this process.
//!
//! `cargo bench -p throng-bench --bench allocations` starts a gateway in threads of this program,
//! whose allocator counts, and talks to it over real sockets with a generator that allocates
//! nothing per message. Two runs of different length are compared, so that start-up and set-up
//! cancel out: what remains is what one more message costs, background work included.
//!
//! Two paths: an echoed message, and a chat message sent as JSON that becomes durable and is
//! acknowledged (shard, link, owner, store and back; nobody else is connected).

use std::alloc::System;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use throng_bench::fleet::{Fleet, Load, Target};
use throng_bench::host::Host;
use throng_edge::config::{self, Asked};
use throng_edge::process;
use throng_ring::Driver;
use throng_wire::ws::{Opcode, encode};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 64;
const DEPTH: usize = 8;
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(6);

fn main() -> io::Result<()> {
    // A process holds one gateway: each path is counted in a process of its own.
    match std::env::args().nth(1).as_deref() {
        Some("echo") => {
            let address = start(&["--echo"])?;
            report("echo, 64 B", address, "/", Exchange::echo)
        }
        Some("chat") => {
            let data = tempfile::Builder::new().prefix("throng-bench-").tempdir()?;
            let data = data.path().display().to_string();
            let unlimited = ["--ops-per-s", "1000000", "--ops-burst", "65535"];
            let address = start(&[&["--data", data.as_str()], &unlimited[..]].concat())?;
            report("chat: JSON send, durable, JSON ack", address, "/v1/ws", Exchange::chat)
        }
        _ => all_paths(),
    }
}

fn all_paths() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{}", Host::read().line())?;
    writeln!(out, "{:<48} {:>10} {:>12} {:>12}", "path", "messages", "allocs each", "bytes each")?;
    for path in ["echo", "chat"] {
        let output = Command::new(std::env::current_exe()?).arg(path).output()?;
        // The gateway's own ready line comes first.
        for line in String::from_utf8_lossy(&output.stdout).lines().skip(1) {
            writeln!(out, "{line}")?;
        }
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
    }
    Ok(())
}

fn report(name: &str, address: SocketAddr, path: &str, load: fn() -> Exchange) -> io::Result<()> {
    let short = measure(address, path, load(), SHORT)?;
    let long = measure(address, path, load(), LONG)?;
    let messages = long.messages - short.messages;
    let each = |long: usize, short: usize| (long as f64 - short as f64) / messages as f64;
    let allocations = each(long.allocations, short.allocations);
    let bytes = each(long.bytes, short.bytes);
    writeln!(io::stdout(), "{name:<48} {messages:>10} {allocations:>12.2} {bytes:>12.0}")
}

/// A gateway in threads of this process, which end with it.
fn start(arguments: &[&str]) -> io::Result<SocketAddr> {
    // The port is free a moment later, too: nothing else takes ports of this loopback address.
    let free = TcpListener::bind((Ipv4Addr::new(127, 0, 3, 1), 0))?.local_addr()?;
    let listen = free.to_string();
    let mut all = vec!["throng-edge", "--admin", "127.0.0.1:0", "--shards", "1"];
    all.extend(["--listen", &listen]);
    all.extend(arguments);
    let Ok(Asked::Run(settings)) = config::read(all.iter().map(OsString::from)) else {
        return Err(io::Error::other("the gateway's arguments are wrong"));
    };
    std::thread::spawn(move || process::run(*settings));
    let began = Instant::now();
    while TcpStream::connect(free).is_err() {
        if began.elapsed() > Duration::from_secs(10) {
            return Err(io::Error::other("the gateway did not start"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(free)
}

struct Counted {
    messages: u64,
    allocations: usize,
    bytes: usize,
}

fn measure(
    address: SocketAddr,
    path: &str,
    load: Exchange,
    duration: Duration,
) -> io::Result<Counted> {
    let target = Target { address, path: path.to_owned(), subprotocol: None, sources: Vec::new() };
    let mut driver = throng_bench::driver_for(CONNECTIONS)?;
    let mut fleet = Fleet::new(target, CONNECTIONS, load);
    while !fleet.is_open() {
        fleet.open_more(driver.io())?;
        driver.turn(Duration::from_millis(50), &mut fleet)?;
    }
    let region = Region::new(ALLOCATOR);
    let before = fleet.load.messages;
    let end = Instant::now() + duration;
    while Instant::now() < end {
        driver.turn(Duration::from_millis(50), &mut fleet)?;
        if let Some(why) = fleet.failure() {
            return Err(io::Error::other(why.to_owned()));
        }
    }
    let change = region.change();
    Ok(Counted {
        messages: fleet.load.messages - before,
        allocations: change.allocations + change.reallocations,
        bytes: change.bytes_allocated,
    })
}

/// Every connection keeps some messages under way; all frames are made in advance.
struct Exchange {
    /// One for each connection, by slot.
    first: Vec<Vec<u8>>,
    then: Vec<Vec<u8>>,
    messages: u64,
}

impl Exchange {
    fn echo() -> Self {
        let frame = framed(Opcode::Binary, &[b'x'; 64]);
        let first = vec![frame.repeat(DEPTH); SLOTS];
        Self { first, then: vec![frame; SLOTS], messages: 0 }
    }

    fn chat() -> Self {
        let text = |text: String| framed(Opcode::Text, text.as_bytes());
        let hello = |slot: usize| {
            text(format!(r#"{{"id":1,"hello":{{"user":"from-{slot}","device":"bench"}}}}"#))
        };
        let send = |slot: usize| {
            text(format!(r#"{{"id":2,"send":{{"to":"to-{slot}","text":"{}"}}}}"#, "m".repeat(64)))
        };
        let first = (0..SLOTS).map(hello).collect();
        Self { first, then: (0..SLOTS).map(send).collect(), messages: 0 }
    }
}

/// More than the slots that a driver for this many connections hands out.
const SLOTS: usize = CONNECTIONS * 4;

fn framed(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode::frame(&mut frame, opcode, payload, Some([0x5a, 0xa5, 0x33, 0xcc]));
    frame
}

impl Load for Exchange {
    fn opened(&mut self, slot: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.first[slot]);
    }

    fn message(&mut self, slot: usize, message: &[u8], out: &mut Vec<u8>) {
        // A refused send would be answered just as fast, and would be no message.
        if message.windows(8).any(|part| part == br#""error":"#) {
            let _ = writeln!(io::stderr(), "{}", String::from_utf8_lossy(message));
            return;
        }
        self.messages += 1;
        out.extend_from_slice(&self.then[slot]);
    }
}
