//! The shards' threads.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use throng_ring::host;
use throng_ring::uring::{UringConfig, UringDriver};
use tokio::sync::mpsc as async_mpsc;

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
        keys: Option<Arc<Keys>>,
        standalone: Option<&'static Standalone>,
    ) -> Result<Self, Fatal> {
        let (notify, ended) = async_mpsc::unbounded_channel();
        let cores = host::cores();
        let mut address = settings.listen;
        let mut handles = Vec::new();
        for shard in 0..settings.shards {
            let start = Start {
                config: shard_config(settings, shard, keys.clone()),
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
        .spawn(move || {
            if let Some(mut shard) = begin(start, &answer) {
                let outcome = shard.run();
                // Without a receiver the process is ending already.
                let _ = notify.send(Ended { shard: number, outcome });
            }
        })
        .map_err(|error| Fatal::unavailable(format!("cannot start shard {number}: {error}")))?;
    started.recv().unwrap_or_else(|_| Err(Fatal::unavailable(format!("shard {number} was lost"))))
}

/// Becomes the shard, and tells the starter how it went.
fn begin(start: Start, answer: &mpsc::Sender<Started>) -> Option<Shard<UringDriver>> {
    let (shard, started) = match set_up(start) {
        Ok((shard, handle, address)) => (Some(shard), Ok((handle, address))),
        Err(fatal) => (None, Err(fatal)),
    };
    answer.send(started).ok()?;
    shard
}

fn set_up(start: Start) -> Result<(Shard<UringDriver>, Handle, SocketAddr), Fatal> {
    let number = start.config.shard;
    if let Some(core) = start.core
        && let Err(error) = host::pin_to_core(core)
    {
        tracing::warn!(shard = number, core, %error, "not pinned");
    }
    let table = start.config.connections_max as u32 + limits::SPARE_SLOTS;
    let config =
        UringConfig { connections_max: table, gather: start.gather, ..UringConfig::default() };
    let driver = UringDriver::new(config)
        .map_err(|error| Fatal::unavailable(format!("shard {number}: {error}")))?;
    if !start.gather.is_zero() && !driver.gathers() && number == 0 {
        tracing::warn!("gather-us has no effect: kernel 6.12 or later is needed for it");
    }
    let (mut shard, handle) = Shard::new(driver, start.config, start.link);
    let address = shard
        .listen(start.listen)
        .map_err(|error| super::address_refused(start.listen, "--listen", &error))?;
    Ok((shard, handle, address))
}

fn shard_config(settings: &Settings, shard: usize, keys: Option<Arc<Keys>>) -> ShardConfig {
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
        connections_max: connections_max(settings.connections_per_shard_max),
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

/// As many as the descriptor table holds, less the spare slots.
fn connections_max(asked: u32) -> usize {
    let table = host::rlimit_nofile().soft.unwrap_or(u64::MAX);
    let table = table.min(u64::from(throng_ring::limits::CONNECTIONS_MAX)) as usize;
    let most = table.saturating_sub(limits::SPARE_SLOTS as usize).max(1);
    if asked == 0 { most } else { most.min(asked as usize) }
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
