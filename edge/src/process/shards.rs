//! The shards' threads.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use throng_ring::epoll::{EpollConfig, EpollDriver};
use throng_ring::uring::{UringConfig, UringDriver};
use throng_ring::{Backend, Driver, SetupError, host};
use tokio::sync::mpsc as async_mpsc;

use super::driver;
use super::standalone::Standalone;
use crate::config::Settings;
use crate::exit::Fatal;
use crate::keys::Keys;
use crate::limits;
use crate::page;
use crate::shard::{Clocks, Handle, LinkSource, Mode, Shard, ShardConfig};

/// A shard's thread ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) shard: usize,
    pub(super) outcome: io::Result<()>,
}

/// All shards of the process.
pub(super) struct Shards {
    pub(super) handles: Vec<Handle>,
    pub(super) address: SocketAddr,
    pub(super) ended: async_mpsc::UnboundedReceiver<Ended>,
}

/// What a thread needs to become a shard.
struct Start {
    backend: Backend,
    config: ShardConfig,
    listen: SocketAddr,
    core: Option<usize>,
    gather: Duration,
    link: Option<LinkSource>,
}

type Started = Result<(Handle, SocketAddr), Fatal>;

impl Shards {
    /// Starts one after the other: the first settles the port that the others share.
    pub(super) fn start(
        settings: &Settings,
        backend: Backend,
        keys: Option<Arc<Keys>>,
        standalone: Option<&'static Standalone>,
    ) -> Result<Self, Fatal> {
        let (notify, ended) = async_mpsc::unbounded_channel();
        let cores = host::cores();
        let mut address = settings.listen;
        let mut handles = Vec::new();
        for shard in 0..settings.shards {
            let start = Start {
                backend,
                config: shard_config(settings, backend, shard, keys.clone()),
                listen: address,
                core: (settings.shards <= cores.len()).then(|| cores[shard]),
                gather: Duration::from_micros(settings.gather_us.into()),
                link: standalone.map(Standalone::link_source),
            };
            let (handle, bound) = spawn(start, notify.clone())?;
            address = bound;
            handles.push(handle);
        }
        Ok(Self { handles, address, ended })
    }
}

fn spawn(start: Start, notify: async_mpsc::UnboundedSender<Ended>) -> Started {
    let (answer, started) = mpsc::channel();
    let number = start.config.shard;
    thread::Builder::new()
        .name(format!("shard-{number}"))
        .spawn(move || match start.backend {
            Backend::IoUring => live(start, uring, &answer, &notify),
            Backend::Epoll => live(start, epoll, &answer, &notify),
        })
        .map_err(|error| Fatal::unavailable(format!("cannot start shard {number}: {error}")))?;
    started.recv().unwrap_or_else(|_| Err(Fatal::unavailable(format!("shard {number} was lost"))))
}

fn uring(start: &Start) -> Result<UringDriver, SetupError> {
    let default = UringConfig::default();
    let driver = UringDriver::new(UringConfig {
        connections_max: start.table(),
        gather: start.gather,
        ..default
    })?;
    if !start.gather.is_zero() && !driver.gathers() && start.config.shard == 0 {
        tracing::warn!("gather-us has no effect: kernel 6.12 or later is needed for it");
    }
    Ok(driver)
}

fn epoll(start: &Start) -> Result<EpollDriver, SetupError> {
    if !start.gather.is_zero() && start.config.shard == 0 {
        tracing::warn!("gather-us has no effect: it is for io_uring");
    }
    EpollDriver::new(EpollConfig { connections_max: start.table(), ..EpollConfig::default() })
}

impl Start {
    /// Slots of the shard's table.
    fn table(&self) -> u32 {
        self.config.connections_max as u32 + limits::SPARE_SLOTS
    }
}

/// Becomes the shard, and is it to its end.
fn live<D: Driver>(
    start: Start,
    make: fn(&Start) -> Result<D, SetupError>,
    answer: &mpsc::Sender<Started>,
    notify: &async_mpsc::UnboundedSender<Ended>,
) {
    let number = start.config.shard;
    let (shard, started) = match set_up(start, make) {
        Ok((shard, handle, address)) => (Some(shard), Ok((handle, address))),
        Err(fatal) => (None, Err(fatal)),
    };
    if answer.send(started).is_ok()
        && let Some(mut shard) = shard
    {
        let outcome = shard.run();
        // Without a receiver the process is ending already.
        let _ = notify.send(Ended { shard: number, outcome });
    }
}

fn set_up<D: Driver>(
    start: Start,
    make: fn(&Start) -> Result<D, SetupError>,
) -> Result<(Shard<D>, Handle, SocketAddr), Fatal> {
    let number = start.config.shard;
    if let Some(core) = start.core
        && let Err(error) = host::pin_to_core(core)
    {
        tracing::warn!(shard = number, core, %error, "not pinned");
    }
    let driver = make(&start).map_err(|error| refused(start.backend, number, &error))?;
    let (mut shard, handle) = Shard::new(driver, start.config, start.link);
    let address = shard
        .listen(start.listen)
        .map_err(|error| super::address_refused(start.listen, "--listen", &error))?;
    Ok((shard, handle, address))
}

fn refused(backend: Backend, shard: usize, error: &SetupError) -> Fatal {
    let otherwise = match backend {
        Backend::IoUring => "; or do without io_uring: --driver epoll",
        Backend::Epoll => "",
    };
    Fatal::unavailable(format!("shard {shard}: {error}{otherwise}"))
}

fn shard_config(
    settings: &Settings,
    backend: Backend,
    shard: usize,
    keys: Option<Arc<Keys>>,
) -> ShardConfig {
    let mode = match (settings.echo, settings.is_development()) {
        (true, _) => Mode::Echo,
        (false, true) => Mode::Development,
        (false, false) => Mode::Tokens,
    };
    let ms = Duration::from_millis;
    ShardConfig {
        shard,
        shards: settings.shards,
        mode,
        seed: RandomState::new().build_hasher().finish(),
        clocks: Clocks::HOST,
        keys,
        page: (mode == Mode::Development).then_some(page::INDEX),
        connections_max: driver::connections_max(
            backend,
            settings.shards,
            settings.connections_per_shard_max,
        ),
        frame_bytes_max: settings.frame_bytes_max,
        input_shard_bytes: limits::INPUT_SHARD_BYTES_MAX,
        output_budget_bytes: settings.output_budget_bytes as usize,
        output_burst_bytes: settings.output_burst_bytes as usize,
        output_shard_bytes: limits::OUTPUT_SHARD_BYTES_MAX,
        output_stall: ms(settings.output_stall_ms),
        http_deadline: ms(settings.http_deadline_ms),
        hello_deadline: ms(settings.hello_deadline_ms),
        heartbeat: ms(settings.heartbeat_ms),
        cold_after: ms(settings.cold_after_ms),
        ops_per_s: settings.ops_per_s,
        ops_burst: settings.ops_burst,
        accepts_per_s: share(settings.accepts_per_s, settings.shards),
        handshakes_max: settings.handshakes_per_shard_max,
        handshakes_per_address_max: share(settings.handshakes_per_address_max, settings.shards),
        drain_window: ms(settings.drain_window_ms),
    }
}

/// A shard's part of what the gateway may do. The kernel spreads connections evenly by a hash of
/// their addresses and ports, so shards need not know of each other.
fn share(whole: u32, shards: usize) -> u32 {
    whole.div_ceil(shards as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_shards_are_the_whole_and_at_least_one_each() {
        assert_eq!(share(4096, 1), 4096);
        assert_eq!(share(4096, 64), 64);
        assert_eq!(share(65, 64), 2);
        assert_eq!(share(64, 64), 1);
        assert_eq!(share(1, 64), 1);
    }
}
