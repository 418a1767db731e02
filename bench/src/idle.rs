//! What an idle established connection costs: user memory of the gateway, kernel memory of its
//! side.
//!
//! A gateway is started, some connections warm it up, then many more are opened, say hello and fall
//! silent. The growth divided by their number is the cost. The kernel's slab holds both ends of a
//! loopback connection; the share of the generator's end, a bare socket that waits for nothing, is
//! measured first on connections of the generator's own, and subtracted.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use throng_wire::ws::Opcode;

use crate::gateway::{Server, beside};
use crate::generator::address::{Destination, loopback_sources};
use crate::generator::run::{RunPlan, RunRecord, run};
use crate::generator::{
    Arrival, Cause, ClientArrivals, ClientId, Counter, End, Metric, ShardInfo, Target, Turn,
    Workload,
};
use crate::host::Host;
use crate::limits::{IDLE_KERNEL_BYTES_MAX, IDLE_USER_BYTES_MAX, INTERVAL};
use crate::measure::{calibrate, kernel};
use crate::preflight::HostFacts;
use crate::workload::greeting::{Answer, Greeting, SUBPROTOCOL_JSON};

/// Connections before the first reading, so that pools and arenas have their size.
const WARM_UP: u32 = 1_000;

/// Seconds that the machine has to come to rest.
const QUIET_TRIES: usize = 60;

/// Connections opened a second.
const RATE: f64 = 3_000.0;

/// Beside the schedule and the silences, at most.
const SLACK: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Debug)]
pub struct IdlePlan {
    /// Connections measured.
    pub connections: u32,
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
    pub connections: u32,
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
pub fn measure(plan: &IdlePlan) -> io::Result<IdleResult> {
    wait_for_quiet(plan.connections)?;
    let generator_kernel_bytes = calibrate::measure()?.bare;
    let data = crate::scratch_dir()?;
    let data_path = data.path().display().to_string();
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    arguments.extend(["--shards", "1", "--data", &data_path]);
    // Memory is measured here: on a busy machine nobody is to be refused for having waited.
    arguments.extend(["--handshakes-per-shard-max", "20000", "--handshakes-per-address-max"]);
    arguments.extend(["20000", "--http-deadline-ms", "60000", "--hello-deadline-ms", "60000"]);
    arguments.extend(plan.gateway_arguments.iter().map(String::as_str));
    let server = Server::start(&beside("throng-edge")?, &arguments, None)?;
    let (user, kernel) = growth(plan, &server)?;
    let count = f64::from(plan.connections);
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
fn wait_for_quiet(connections: u32) -> io::Result<()> {
    let tolerated = f64::from(connections) * IDLE_KERNEL_BYTES_MAX / 100.0;
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
fn growth(plan: &IdlePlan, server: &Server) -> io::Result<(f64, f64)> {
    let clients = WARM_UP + plan.connections;
    let destination = Destination {
        address: server.address,
        host: server.address.to_string(),
        path: "/v1/ws".to_owned(),
    };
    let mut target = Target::new(destination);
    let ports = HostFacts::read().ports_per_tuple();
    target.sources = loopback_sources(clients, &target.destinations, ports);
    target.subprotocols = vec![SUBPROTOCOL_JSON.to_owned()];
    let arrival = Arrival::Constant { rate: RATE };
    let duration = arrival.moment(clients.into()) + 2 * plan.settle + SLACK;
    let mut run_plan = RunPlan::new(target, clients, duration, Metric::Establish);
    run_plan.server_pids = vec![server.pid()];
    run_plan.shards = Some(1);
    let moments = Arc::new(Moments::default());
    let (shared, settle) = (Arc::clone(&moments), plan.settle);
    let make = move |info| Silence::new(info, arrival, settle, Arc::clone(&shared));
    let record = run(&run_plan, make, &mut |_| {}).map_err(io::Error::other)?;
    let read = |moment: &OnceLock<Duration>| readings_at(&record, moment.get().copied());
    let (warm, full) = (read(&moments.warm)?, read(&moments.full)?);
    Ok((full.0 - warm.0, full.1 - warm.1))
}

/// (Resident, slab) bytes at the end of the interval in which a moment lies.
fn readings_at(record: &RunRecord, moment: Option<Duration>) -> io::Result<(f64, f64)> {
    let failures: Vec<_> = record.total.failures().collect();
    if !failures.is_empty() {
        return Err(io::Error::other(format!("connections failed: {failures:?}")));
    }
    let second = moment.and_then(|at| record.series.iter().find(|second| second.sample.at >= at));
    let second = second.ok_or_else(|| {
        let open = record.total.count(Counter::Established);
        io::Error::other(format!("the run ended early, with {open} connections"))
    })?;
    let resident = second.readings.server.as_ref().map_or(0, |server| server.resident_bytes);
    Ok((resident as f64, second.readings.kernel.slab_bytes as f64))
}

/// When the gateway was warm, and when it was full; each at the end of its silence.
#[derive(Debug, Default)]
struct Moments {
    warm: OnceLock<Duration>,
    full: OnceLock<Duration>,
}

/// Every client says hello once and then neither speaks nor reads: first some, then the others.
struct Silence {
    info: ShardInfo,
    arrivals: ClientArrivals,
    /// Added to the schedule: the first silence.
    pause: Duration,
    greeting: Greeting,
    settle: Duration,
    established: u32,
    silent_since: Option<Instant>,
    moments: Arc<Moments>,
    is_done: bool,
}

impl Silence {
    fn new(info: ShardInfo, arrival: Arrival, settle: Duration, moments: Arc<Moments>) -> Self {
        Self {
            info,
            arrivals: ClientArrivals::new(arrival, &info, WARM_UP),
            pause: Duration::ZERO,
            greeting: Greeting::Throng { prefix: "idle-".to_owned(), is_proto: false },
            settle,
            established: 0,
            silent_since: None,
            moments,
            is_done: false,
        }
    }

    /// Clients of the stage that is under way, those before it included.
    fn stage(&self) -> u32 {
        if self.moments.warm.get().is_none() { WARM_UP } else { self.info.clients }
    }

    fn arrive(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        let start = turn.start() + self.pause;
        while let Some((client, intended)) = self.arrivals.take_due(start, turn.now()) {
            turn.open(client, intended);
        }
        self.arrivals.next(start)
    }

    /// Notes the end of a silence, one interval late so that the readings at its end are silent
    /// too.
    fn listen(&mut self, turn: &dyn Turn) -> Option<Instant> {
        if self.established < self.stage() {
            return None;
        }
        let now = turn.now();
        let end = *self.silent_since.get_or_insert(now) + self.settle;
        if now < end {
            return Some(end);
        }
        let elapsed = now.saturating_duration_since(turn.start());
        if self.moments.warm.set(elapsed).is_ok() {
            // The readings are taken at the end of this interval: nobody comes before.
            self.arrivals.raise(self.info.clients);
            let next = self.arrivals.next(turn.start()).unwrap_or(now);
            self.pause = (now + 2 * INTERVAL).saturating_duration_since(next);
            self.silent_since = None;
        } else {
            let _ = self.moments.full.set(elapsed);
            self.is_done = now >= end + 2 * INTERVAL;
        }
        Some(now + INTERVAL)
    }
}

impl Workload for Silence {
    fn due(&mut self, turn: &mut dyn Turn) -> Option<Instant> {
        let silence = self.listen(turn);
        [self.arrive(turn), silence].into_iter().flatten().min()
    }

    fn opened(&mut self, turn: &mut dyn Turn, client: ClientId) {
        let mut hello = Vec::new();
        if let Some(opcode) = self.greeting.write(client, &mut hello) {
            turn.send(client, opcode, &hello);
        }
    }

    fn message(&mut self, turn: &mut dyn Turn, client: ClientId, opcode: Opcode, payload: &[u8]) {
        match self.greeting.judge(opcode, payload) {
            Answer::Welcome => {
                turn.established(client);
                turn.read(client, false);
                self.established += 1;
            }
            Answer::Refused => turn.fail(client, Cause::HelloRefused, 0),
            Answer::Wrong | Answer::Other => turn.fail(client, Cause::WrongAnswer, 0),
        }
    }

    fn ended(&mut self, _turn: &mut dyn Turn, _client: ClientId, _end: End) {
        // Counted by the engine: the measurement is void.
        self.is_done = true;
    }

    fn is_done(&self) -> bool {
        self.is_done
    }
}
