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
use throng_bench::generator::settings::Settings;
use throng_bench::generator::shard::Shard;
use throng_bench::generator::{ClientId, Deadlines, End, ShardInfo, Target, Turn, Workload};
use throng_bench::host::Host;
use throng_edge::config::{self, Asked};
use throng_edge::process;
use throng_wire::ws::Opcode;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: u32 = 64;
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
    let mut driver = throng_bench::driver_for(CONNECTIONS as usize)?;
    let settings = Settings {
        target: Target::at(address, path),
        deadlines: Deadlines::default(),
        heartbeat: None,
        cold: false,
        lateness_max: duration,
        message_bytes_max: 1 << 20,
        seed: 1,
    };
    let info = ShardInfo { shard: 0, shards: 1, clients: CONNECTIONS, seed: 1 };
    let table_max = driver.connections_max() as usize;
    let mut shard = Shard::new(settings, info, table_max, Instant::now(), load);
    let mut step = |shard: &mut Shard<Exchange>| {
        shard.step(&mut driver, Instant::now() + Duration::from_millis(50))?;
        match &shard.workload().failure {
            Some(why) => Err(io::Error::other(why.clone())),
            None => Ok(()),
        }
    };
    while shard.workload().open < CONNECTIONS {
        step(&mut shard)?;
    }
    let region = Region::new(ALLOCATOR);
    let before = shard.workload().messages;
    let end = Instant::now() + duration;
    while Instant::now() < end {
        step(&mut shard)?;
    }
    let change = region.change();
    Ok(Counted {
        messages: shard.workload().messages - before,
        allocations: change.allocations + change.reallocations,
        bytes: change.bytes_allocated,
    })
}

/// Every connection keeps some messages under way; all are made in advance.
struct Exchange {
    opcode: Opcode,
    /// One for each connection.
    first: Vec<Vec<u8>>,
    /// How many of them are sent at once.
    depth: usize,
    then: Vec<Vec<u8>>,
    started: bool,
    open: u32,
    messages: u64,
    failure: Option<String>,
}

impl Exchange {
    fn new(opcode: Opcode, first: Vec<Vec<u8>>, depth: usize, then: Vec<Vec<u8>>) -> Self {
        let (started, open, messages, failure) = (false, 0, 0, None);
        Self { opcode, first, depth, then, started, open, messages, failure }
    }

    fn echo() -> Self {
        let messages = vec![vec![b'x'; 64]; CONNECTIONS as usize];
        Self::new(Opcode::Binary, messages.clone(), DEPTH, messages)
    }

    fn chat() -> Self {
        let hello = |client| {
            format!(r#"{{"id":1,"hello":{{"user":"from-{client}","device":"bench"}}}}"#).into()
        };
        let text = "m".repeat(64);
        let send =
            |client| format!(r#"{{"id":2,"send":{{"to":"to-{client}","text":"{text}"}}}}"#).into();
        let first = (0..CONNECTIONS).map(hello).collect();
        Self::new(Opcode::Text, first, 1, (0..CONNECTIONS).map(send).collect())
    }
}

impl Workload for Exchange {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        if !std::mem::replace(&mut self.started, true) {
            let now = turn.now();
            (0..CONNECTIONS).for_each(|client| turn.open(ClientId(client), now));
        }
        None
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        self.open += 1;
        turn.established(client);
        for _ in 0..self.depth {
            turn.send(client, self.opcode, &self.first[client.0 as usize]);
        }
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, _opcode: Opcode, payload: &[u8]) {
        // A refused send would be answered just as fast, and would be no message.
        if payload.windows(8).any(|part| part == br#""error":"#) {
            self.failure = Some(String::from_utf8_lossy(payload).into_owned());
            return;
        }
        self.messages += 1;
        turn.send(client, self.opcode, &self.then[client.0 as usize]);
    }

    fn ended(&mut self, _turn: &mut dyn Turn, _client: ClientId, end: End) {
        self.failure = Some(format!("a connection ended: {end:?}"));
    }
}
