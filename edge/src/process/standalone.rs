//! The router and the embedded store of a standalone gateway.

use std::sync::Arc;

use throng_ring::Backend;
use throng_router::{Config as RouterConfig, Limits, Metric, Router};
use throng_store::embedded::{Config as StoreConfig, Embedded, Histogram};
use tokio::runtime::Handle;

use crate::admin::{Number, Value};
use crate::config::Settings;
use crate::exit::Fatal;
use crate::shard::LinkSource;

/// Router and store. They are kept to the end of the process: the last hold on a store waits for
/// its disk when it is dropped, and a disk may hang.
pub(super) struct Standalone {
    router: Arc<Router>,
    store: Embedded,
}

impl Standalone {
    /// Opens the store and starts the router on the side runtime.
    pub(super) fn open(settings: &Settings, runtime: &Handle) -> Result<&'static Self, Fatal> {
        let config = StoreConfig {
            durability: settings.durability.into(),
            ..StoreConfig::new(&settings.data)
        };
        let _entered = runtime.enter();
        let store = Embedded::open(config)
            .map_err(|error| Fatal::data(format!("{error} (--data names the data directory)")))?;
        let router = runtime
            .block_on(Router::start(router_config(settings), store.clone()))
            .map_err(|error| Fatal::data(error.to_string()))?;
        Ok(Box::leak(Box::new(Self { router: Arc::new(router), store })))
    }

    /// A shard's way to the router: a socketpair, whose other end the router serves.
    pub(super) fn link_source(&self) -> LinkSource {
        let router = Arc::clone(&self.router);
        LinkSource::new(move || router.connect())
    }

    /// Ends the router, then closes the store.
    pub(super) async fn close(&self) -> Result<(), Fatal> {
        self.router.shutdown().await;
        self.store.close().await.map_err(|error| Fatal::data(error.to_string()))
    }
}

fn router_config(settings: &Settings) -> RouterConfig {
    let limits = Limits {
        group_members_max: settings.group_members_max as usize,
        devices_max: settings.devices_max as usize,
        ..Limits::default()
    };
    RouterConfig { limits, ..RouterConfig::default() }
}

/// Resolves when the store can write no more. Never without a store.
pub(super) async fn failed(standalone: Option<&Standalone>) -> String {
    match standalone {
        Some(standalone) => standalone.store.failed().await.to_string(),
        None => std::future::pending().await,
    }
}

/// What the process, the router and the store count.
pub(super) fn numbers(
    standalone: Option<&Standalone>,
    backend: Backend,
) -> Box<dyn Fn() -> Vec<Number> + Send + Sync> {
    let parts = standalone.map(|it| (Arc::clone(&it.router), it.store.clone()));
    Box::new(move || {
        let mut numbers = vec![driver(backend), resident_bytes()];
        if let Some((router, store)) = &parts {
            numbers.extend(router.metrics().into_iter().map(router_number));
            numbers.extend(store_numbers(store));
        }
        numbers
    })
}

fn driver(backend: Backend) -> Number {
    Number {
        name: "edge_driver",
        meaning: "Kernel interface of the shards, as a label",
        value: Value::Is("driver", backend.to_string()),
    }
}

fn resident_bytes() -> Number {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    let bytes = pages * rustix::param::page_size() as u64;
    Number {
        name: "process_resident_bytes",
        meaning: "Resident memory of the process",
        value: Value::Gauge(bytes as f64),
    }
}

fn router_number(metric: Metric) -> Number {
    let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let value =
        if metric.counter { Value::Counter(metric.value) } else { Value::Gauge(metric.value) };
    Number { name, meaning: metric.help, value }
}

fn store_numbers(store: &Embedded) -> Vec<Number> {
    let stats = store.stats();
    let disk_bytes = store.disk_bytes().unwrap_or(0) as f64;
    let number = |name, meaning, value| Number { name, meaning, value };
    vec![
        number(
            "store_commit_seconds",
            "Time of a commit of appends, its sync included",
            histogram(&stats.commit_us, 1e-6),
        ),
        number(
            "store_commit_appends",
            "Appends in a commit: the batch sizes that the load led to",
            histogram(&stats.commit_appends, 1.0),
        ),
        number("store_commit_rows", "Rows in a commit", histogram(&stats.commit_rows, 1.0)),
        number(
            "store_project_cells",
            "Cells that a batch of projections changed",
            histogram(&stats.project_cells, 1.0),
        ),
        number(
            "store_refused",
            "Appends refused because the queue was full",
            Value::Counter(stats.busy as f64),
        ),
        number("store_disk_bytes", "Bytes of the store's files", Value::Gauge(disk_bytes)),
    ]
}

fn histogram(counted: &Histogram, unit: f64) -> Value {
    let bound = |bucket| Histogram::bound(bucket).map_or(f64::INFINITY, |top| top as f64 * unit);
    let buckets = counted.buckets.iter().enumerate();
    let buckets = buckets.map(|(bucket, count)| (bound(bucket), *count)).collect();
    Value::Histogram { sum: counted.sum as f64 * unit, buckets }
}
