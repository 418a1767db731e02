//! Which kernel interface drives the shards, and how many connections each shard may have by it.

use throng_ring::Backend;

use crate::config::DriverSetting;
use crate::limits;

/// Decides, and says in one line what and why.
pub(super) fn choose(asked: DriverSetting) -> Backend {
    match asked {
        DriverSetting::IoUring => asked_for(Backend::IoUring),
        DriverSetting::Epoll => asked_for(Backend::Epoll),
        DriverSetting::Auto => match Backend::probe_io_uring() {
            Ok(()) => {
                tracing::info!("driver io_uring: this host lets it be used");
                Backend::IoUring
            }
            Err(error) => {
                tracing::warn!("driver epoll, as io_uring cannot be had: {error}");
                Backend::Epoll
            }
        },
    }
}

fn asked_for(backend: Backend) -> Backend {
    tracing::info!("driver {backend}: asked for");
    backend
}

/// Connections of a shard when `asked` are wished (0: all there can be): what its table holds, less
/// the spare slots.
pub(super) fn connections_max(backend: Backend, shards: usize, asked: u32) -> usize {
    let table = backend.table_max(shards, limits::DESCRIPTORS_BESIDE, limits::SHARD_DESCRIPTORS);
    let most = table.saturating_sub(limits::SPARE_SLOTS).max(1);
    if asked == 0 { most as usize } else { most.min(asked) as usize }
}
