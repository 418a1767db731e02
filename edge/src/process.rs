//! The process around the shards: start in order, signals, drain, end.
//!
//! Start: keys are read, addresses are checked, the store is opened, the router starts on the side
//! runtime, then the shards on threads of their own, then the admin port; the one line on stdout
//! says that everything is up. End: the first SIGTERM or SIGINT drains the shards, then the router
//! and the store are closed; the second ends the process at once, whatever it waits for. So does a
//! store that can write no more; one that does not close in time ends it, too.

mod closing;
mod driver;
mod shards;
mod standalone;

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use throng_ring::Backend;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::admin::{self, Admin};
use crate::config::Settings;
use crate::exit::{Exit, Fatal};
use crate::keys::Keys;
use crate::limits;
use crate::metrics::Snapshot;
use crate::shard::{Control, Courier};
use shards::{Ended, Shards};
use standalone::Standalone;

/// Runs the gateway until it is told to end.
///
/// # Errors
/// Why it could not start or go on.
pub fn run(settings: Settings) -> Result<(), Fatal> {
    start_log(&settings)?;
    raise_descriptors();
    let backend = driver::choose(settings.driver);
    let keys = load_keys(&settings)?;
    check_address(settings.listen, "--listen")?;
    let admin_listener = bind_admin(settings.admin)?;
    let runtime = side_runtime(settings.echo)?;
    let standalone = match settings.echo {
        true => None,
        false => Some(Standalone::open(&settings, runtime.handle())?),
    };
    let mut signals = runtime.block_on(async { Signals::install() })?;
    let shards = Shards::start(&settings, backend, keys.map(Arc::new), standalone)?;
    let parts = Parts { settings, backend, shards, standalone };
    let outcome = runtime.block_on(parts.supervise(admin_listener, &mut signals));
    // What is left there serves nobody, and a read from a broken disk may take for ever.
    runtime.shutdown_background();
    outcome
}

fn start_log(settings: &Settings) -> Result<(), Fatal> {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| settings.log.clone());
    let filter = EnvFilter::try_new(&asked).map_err(|error| {
        Fatal::configuration(format!("log filter {asked:?}: {error}; try info, or throng=debug"))
    })?;
    let ansi = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi);
    log.with_writer(std::io::stderr).init();
    Ok(())
}

/// Drivers' tables and the store's files are capped by RLIMIT_NOFILE.
fn raise_descriptors() {
    if let Err(error) = throng_ring::host::raise_nofile() {
        tracing::warn!(%error, "cannot raise RLIMIT_NOFILE to its hard limit");
    }
}

/// Shards share their address by SO_REUSEPORT, which would let a second gateway in unnoticed: a
/// socket without it tells whether somebody listens there.
fn check_address(address: SocketAddr, flag: &str) -> Result<(), Fatal> {
    let probe = || -> std::io::Result<()> {
        let kind = Domain::for_address(address);
        let socket = Socket::new(kind, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())
    };
    probe().map_err(|error| address_refused(address, flag, &error))
}

fn address_refused(address: SocketAddr, flag: &str, error: &std::io::Error) -> Fatal {
    Fatal::unavailable(format!(
        "cannot listen on {address}: {error}; stop what listens there (`ss -ltnp`), or choose \
         another address with {flag}"
    ))
}

fn bind_admin(address: SocketAddr) -> Result<TcpListener, Fatal> {
    let bind = || -> std::io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    bind().map_err(|error| address_refused(address, "--admin", &error))
}

fn load_keys(settings: &Settings) -> Result<Option<Keys>, Fatal> {
    let source = settings.key_source();
    if settings.is_development() {
        tracing::warn!(
            "development mode: no key is configured, clients are believed whoever they say they are"
        );
    }
    if settings.echo || !source.is_configured() {
        return Ok(None);
    }
    let keys = Keys::load(&source).map_err(|error| Fatal::configuration(error.to_string()))?;
    tracing::info!(keys = keys.count(), "tokens are verified");
    Ok(Some(keys))
}

fn side_runtime(is_echo: bool) -> Result<Runtime, Fatal> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = if is_echo { 1 } else { (cores / 2).max(1) };
    Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("side")
        .on_thread_start(go_first)
        .enable_all()
        .build()
        .map_err(|error| Fatal::unavailable(format!("cannot start threads: {error}")))
}

/// Every shard waits for what these few threads do; among very many shards that share their cores,
/// a thread that is like any other gets too little. Without the right to it all are alike.
fn go_first() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), limits::SIDE_NICE) {
        tracing::debug!(%error, "side threads have the priority of shards: allow LimitNICE=-10");
    }
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn install() -> Result<Self, Fatal> {
        let on = |kind| {
            signal(kind).map_err(|error| Fatal::unavailable(format!("signal handler: {error}")))
        };
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Until the process is told to stop.
    async fn stop(&mut self) {
        stop_signal(&mut self.interrupt, &mut self.terminate).await;
    }
}

struct Parts {
    settings: Settings,
    backend: Backend,
    shards: Shards,
    standalone: Option<&'static Standalone>,
}

impl Parts {
    async fn supervise(
        mut self,
        listener: TcpListener,
        signals: &mut Signals,
    ) -> Result<(), Fatal> {
        let outcome = self.serve(listener, signals).await;
        // Without a store the router has nothing to finish: whatever waited for an answer is
        // unknown to its sender, who asks again.
        let is_store_lost = outcome.as_ref().is_err_and(|fatal| fatal.exit == Exit::Data);
        if let Some(standalone) = self.standalone.filter(|_| !is_store_lost) {
            closing::close(standalone.close(), signals.stop()).await?;
        }
        outcome
    }

    /// Until there is nothing more to serve.
    async fn serve(&mut self, listener: TcpListener, signals: &mut Signals) -> Result<(), Fatal> {
        let admin_address = listener.local_addr();
        let admin_address = admin_address.unwrap_or(self.settings.admin);
        let others = standalone::numbers(self.standalone, self.backend);
        let admin = Arc::new(Admin::new(self.shards.handles.clone(), others));
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Fatal::unavailable(format!("admin port: {error}")))?;
        tokio::spawn(admin::serve(listener, Arc::clone(&admin)));
        tokio::select! {
            up = self.come_up() => up?,
            () = signals.stop() => {
                tracing::info!("told to stop before it was ready");
                return Ok(());
            }
        }
        admin.set_ready(true);
        self.announce(admin_address);
        self.watch(&admin, signals).await
    }

    /// Until clients are let in.
    async fn come_up(&self) -> Result<(), Fatal> {
        self.await_shards().await?;
        self.open_doors()?;
        // Who answers now has heard it.
        self.await_shards().await
    }

    /// Tells the shards that all parts of the process are up.
    fn open_doors(&self) -> Result<(), Fatal> {
        for (number, shard) in self.shards.handles.iter().enumerate() {
            shard.send(Control::Ready).map_err(|_| {
                Fatal::unavailable(format!("shard {number} does not read its mailbox"))
            })?;
        }
        Ok(())
    }

    /// Until every shard answers and its link is up.
    async fn await_shards(&self) -> Result<(), Fatal> {
        let deadline = Instant::now() + limits::START_DEADLINE;
        let needs_link = !self.settings.echo;
        while Instant::now() < deadline {
            let snapshots = admin::snapshots(&self.shards.handles).await;
            let is_up = |it: &Snapshot| !needs_link || it.gauges.link_up == 1;
            if snapshots.len() == self.shards.handles.len() && snapshots.iter().all(is_up) {
                return Ok(());
            }
            tokio::time::sleep(limits::START_POLL).await;
        }
        Err(Fatal::unavailable("the shards did not come up in time; is the machine overloaded?"))
    }

    /// The ready line.
    fn announce(&self, admin: SocketAddr) {
        let store = if self.settings.echo { "none" } else { "embedded" };
        let line = format!(
            "ready ws=ws://{}/v1/ws admin=http://{admin} shards={} driver={} store={store}\n",
            self.shards.address,
            self.shards.handles.len(),
            self.backend,
        );
        let mut stdout = std::io::stdout();
        if stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush()).is_err() {
            tracing::warn!("nobody reads stdout: {}", line.trim_end());
        }
    }

    /// Until all shards ended.
    async fn watch(&mut self, admin: &Admin, signals: &mut Signals) -> Result<(), Fatal> {
        let mut is_draining = false;
        let mut courier = Courier::new(&self.shards.handles);
        let mut running = self.shards.handles.len();
        while running > 0 {
            tokio::select! {
                ended = self.shards.ended.recv() => {
                    running -= 1;
                    self.shard_ended(ended, is_draining)?;
                }
                _ = signals.hangup.recv() => self.reload_keys(&mut courier),
                () = tokio::time::sleep(limits::MAILBOX_RETRY), if courier.is_waiting() => {
                    courier.deliver();
                }
                () = stop_signal(&mut signals.interrupt, &mut signals.terminate) => {
                    if is_draining {
                        tracing::warn!("told twice to stop: ending at once");
                        process::exit(Exit::Done as i32);
                    }
                    is_draining = true;
                    admin.set_ready(false);
                    tracing::info!("draining; a second signal ends at once");
                    courier.bring_drain();
                }
                message = standalone::failed(self.standalone) => {
                    return Err(Fatal::data(message));
                }
            }
        }
        Ok(())
    }

    fn shard_ended(&self, ended: Option<Ended>, is_draining: bool) -> Result<(), Fatal> {
        match ended {
            Some(Ended { outcome: Ok(()), .. }) if is_draining => Ok(()),
            Some(Ended { shard, outcome: Ok(()) }) => {
                Err(Fatal::unavailable(format!("shard {shard} ended unasked")))
            }
            Some(Ended { shard, outcome: Err(error) }) => {
                Err(Fatal::unavailable(format!("shard {shard}: its driver failed: {error}")))
            }
            None => Err(Fatal::unavailable("a shard's thread was lost")),
        }
    }

    /// New keys for new sessions. A file that cannot be used changes nothing.
    fn reload_keys(&self, courier: &mut Courier) {
        let source = self.settings.key_source();
        if !source.is_configured() {
            tracing::info!("SIGHUP: no keys are configured, nothing to reload");
            return;
        }
        match Keys::load(&source) {
            Ok(keys) => {
                tracing::info!(keys = keys.count(), "keys reloaded");
                courier.bring_keys(&Arc::new(keys));
            }
            Err(error) => tracing::error!(%error, "keys not reloaded; the old ones stay in force"),
        }
    }
}

async fn stop_signal(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
