//! The router and the embedded store of a standalone gateway.

use std::sync::Arc;

use throng_router::{Config as RouterConfig, Router};
use throng_store::embedded::{Config as StoreConfig, Embedded};
use tokio::runtime::Handle;

use crate::admin::Number;
use crate::config::Settings;
use crate::exit::Fatal;
use crate::shard::LinkSource;

/// Router and store.
pub(super) struct Standalone {
    router: Arc<Router>,
    store: Embedded,
}

impl Standalone {
    /// Opens the store and starts the router on the side runtime.
    pub(super) fn open(settings: &Settings, runtime: &Handle) -> Result<Self, Fatal> {
        let config = StoreConfig {
            durability: settings.durability.into(),
            ..StoreConfig::new(&settings.data)
        };
        let _entered = runtime.enter();
        let store = Embedded::open(config)
            .map_err(|error| Fatal::data(format!("{error} (--data names the data directory)")))?;
        let router = runtime
            .block_on(Router::start(RouterConfig::default(), store.clone()))
            .map_err(|error| Fatal::data(error.to_string()))?;
        Ok(Self { router: Arc::new(router), store })
    }

    /// A shard's way to the router: a socketpair, whose other end the router serves.
    pub(super) fn link_source(&self) -> LinkSource {
        let router = Arc::clone(&self.router);
        LinkSource::new(move || router.connect())
    }

    /// Ends the router, then closes the store.
    pub(super) async fn close(self) -> Result<(), Fatal> {
        self.router.shutdown().await;
        self.store.close().await.map_err(|error| Fatal::data(error.to_string()))
    }
}

/// Resolves when the store can write no more. Never without a store.
pub(super) async fn failed(standalone: Option<&Standalone>) -> String {
    match standalone {
        Some(standalone) => standalone.store.failed().await.to_string(),
        None => std::future::pending().await,
    }
}

/// What router and store count.
pub(super) fn numbers(
    standalone: Option<&Standalone>,
) -> Box<dyn Fn() -> Vec<Number> + Send + Sync> {
    let Some(router) = standalone.map(|standalone| Arc::clone(&standalone.router)) else {
        return Box::new(Vec::new);
    };
    Box::new(move || {
        let metrics = router.metrics().into_iter();
        metrics
            .map(|metric| Number {
                name: metric.name.strip_suffix("_total").unwrap_or(metric.name),
                meaning: metric.help,
                only_grows: metric.counter,
                value: metric.value,
            })
            .collect()
    })
}
