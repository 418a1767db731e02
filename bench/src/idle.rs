//! What an idle established connection costs: user memory of the gateway, kernel memory of its side.
//!
//! A gateway is started, some connections warm it up, then many more are opened, say hello and fall
//! silent. The growth divided by their number is the cost. The kernel's slab holds both ends of a
//! loopback connection; the share of the generator's end is measured first, on connections of which
//! both ends are the generator's own and idle, and subtracted.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use serde::Serialize;
use throng_ring::uring::UringDriver;
use throng_ring::{Driver, Event, Handler, Io, ListenOptions};
use throng_wire::ws::{Opcode, encode};

use crate::fleet::{Fleet, Load, Target};
use crate::gateway::{Server, beside};
use crate::host::Host;
use crate::limits::{IDLE_KERNEL_BYTES_MAX, IDLE_USER_BYTES_MAX};
use crate::measure::{kernel, process};

/// Connections before the first reading, so that pools and arenas have their size.
const WARM_UP: usize = 1_000;

/// Loopback connections by which the generator's share is measured.
const OWN_PAIRS: usize = 4_000;

/// Seconds that the machine has to come to rest.
const QUIET_TRIES: usize = 60;

/// What to run.
#[derive(Clone, Debug)]
pub struct IdlePlan {
    /// Connections measured.
    pub connections: usize,
    /// How long they are silent before the reading.
    pub settle: Duration,
    /// Further arguments of the gateway.
    pub gateway_arguments: Vec<String>,
}

/// The cost of one connection, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct IdleResult {
    /// What it ran on.
    pub host: Host,
    /// Connections measured.
    pub connections: usize,
    /// The gateway's resident anonymous memory.
    pub user_bytes: f64,
    /// Kernel slab of the server's side.
    pub kernel_bytes: f64,
    /// Kernel slab of the generator's side, measured apart.
    pub generator_kernel_bytes: f64,
    /// Whether both are within the limits.
    pub passed: bool,
}

/// Runs the measurement.
///
/// # Errors
/// Not root (the slab cannot be read), the gateway does not start, a connection fails.
pub fn run(plan: &IdlePlan) -> io::Result<IdleResult> {
    wait_for_quiet(plan.connections)?;
    let generator_kernel_bytes = own_socket_bytes()?;
    let data = crate::scratch_dir()?;
    let data_path = data.path().display().to_string();
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    arguments.extend(["--shards", "1", "--data", &data_path]);
    arguments.extend(plan.gateway_arguments.iter().map(String::as_str));
    let server = Server::start(&beside("throng-edge")?, &arguments, None)?;
    let (user, kernel) = measure(plan, &server)?;
    let count = plan.connections as f64;
    let user_bytes = user / count;
    let kernel_bytes = kernel / count - generator_kernel_bytes;
    Ok(IdleResult {
        host: Host::read(),
        connections: plan.connections,
        user_bytes,
        kernel_bytes,
        generator_kernel_bytes,
        passed: user_bytes <= IDLE_USER_BYTES_MAX && kernel_bytes <= IDLE_KERNEL_BYTES_MAX,
    })
}

/// Waits until the slab of an untouched machine stands still, to 1 % of what is to be measured.
///
/// The slab is the whole machine's: a compiler that ends beside the measurement gives more of it
/// back than thousands of connections take.
fn wait_for_quiet(connections: usize) -> io::Result<()> {
    let tolerated = connections as f64 * IDLE_KERNEL_BYTES_MAX / 100.0;
    for _ in 0..QUIET_TRIES {
        let before = kernel::slab_bytes()? as f64;
        std::thread::sleep(Duration::from_secs(1));
        if (kernel::slab_bytes()? as f64 - before).abs() <= tolerated {
            return Ok(());
        }
    }
    Err(io::Error::other("other programs keep changing the kernel's memory: stop them, try again"))
}

/// Growth of user and kernel memory, in bytes, from the warm gateway to the full one.
fn measure(plan: &IdlePlan, server: &Server) -> io::Result<(f64, f64)> {
    let mut driver = crate::driver_for(WARM_UP + plan.connections)?;
    let target = Target {
        address: server.address,
        path: "/v1/ws".to_owned(),
        subprotocol: Some("throng.v1.json".to_owned()),
        sources: (1..=8).map(|host| IpAddr::V4(Ipv4Addr::new(127, 0, 1, host))).collect(),
    };
    let mut warm = Fleet::new(target.clone(), WARM_UP, Hello::new("warm"));
    let before = establish(&mut driver, &mut warm, plan.settle, server.pid())?;
    let mut fleet = Fleet::new(target, plan.connections, Hello::new("idle"));
    let after = establish(&mut driver, &mut fleet, plan.settle, server.pid())?;
    Ok((after.0 - before.0, after.1 - before.1))
}

/// Opens a fleet, waits until all are welcomed and silent, and reads (user, kernel) bytes.
fn establish(
    driver: &mut UringDriver,
    fleet: &mut Fleet<Hello>,
    settle: Duration,
    pid: u32,
) -> io::Result<(f64, f64)> {
    while fleet.load.welcomed < fleet.wanted() {
        fleet.open_more(driver.io())?;
        driver.turn(Duration::from_millis(50), fleet)?;
        if let Some(why) = fleet.failure() {
            return Err(io::Error::other(why.to_owned()));
        }
    }
    fleet.park(driver.io());
    turn_for(driver, fleet, settle)?;
    Ok((process::resident_bytes(pid)? as f64, kernel::slab_bytes()? as f64))
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

/// Every client says hello once and is then silent.
struct Hello {
    prefix: &'static str,
    welcomed: usize,
}

impl Hello {
    fn new(prefix: &'static str) -> Self {
        Self { prefix, welcomed: 0 }
    }
}

impl Load for Hello {
    fn opened(&mut self, slot: usize, out: &mut Vec<u8>) {
        let prefix = self.prefix;
        let hello = format!(r#"{{"id":1,"hello":{{"user":"{prefix}-{slot}","device":"phone"}}}}"#);
        encode::frame(out, Opcode::Text, hello.as_bytes(), Some([9, 8, 7, 6]));
    }

    fn message(&mut self, _slot: usize, message: &[u8], _out: &mut Vec<u8>) {
        let welcome = br#""welcome""#;
        self.welcomed += usize::from(message.windows(welcome.len()).any(|part| part == welcome));
    }
}

/// Kernel slab of one idle, unarmed end of a loopback connection of this process.
fn own_socket_bytes() -> io::Result<f64> {
    let mut driver = crate::driver_for(2 * OWN_PAIRS)?;
    let options = ListenOptions { backlog: 4096, reuse_port: false };
    let listener = driver.io().listen((Ipv4Addr::LOCALHOST, 0).into(), options)?;
    let to = driver.io().local_addr(listener)?;
    let mut pairs = Pairs::default();
    turn_for(&mut driver, &mut pairs, Duration::from_millis(200))?;
    let before = kernel::slab_bytes()? as f64;
    while pairs.accepted < OWN_PAIRS {
        while pairs.started < OWN_PAIRS && pairs.started < pairs.accepted + 64 {
            driver.io().connect(throng_ring::ConnectOptions { to, bind: None })?;
            pairs.started += 1;
        }
        driver.turn(Duration::from_millis(50), &mut pairs)?;
    }
    turn_for(&mut driver, &mut pairs, Duration::from_secs(1))?;
    Ok((kernel::slab_bytes()? as f64 - before) / (2 * OWN_PAIRS) as f64)
}

#[derive(Default)]
struct Pairs {
    started: usize,
    accepted: usize,
}

impl<I: Io> Handler<I> for Pairs {
    fn event(&mut self, _io: &mut I, event: Event<'_>) {
        self.accepted += usize::from(matches!(event, Event::Accepted { .. }));
    }
}
