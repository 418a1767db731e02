//! tmp
use tokio::runtime::Handle;
use crate::admin::Numbers;
use crate::config::Settings;
use crate::exit::Fatal;
use crate::shard::LinkSource;
pub(super) struct Standalone {}
impl Standalone {
    pub(super) fn open(_settings: &Settings, _runtime: &Handle) -> Result<Self, Fatal> {
        Err(Fatal::unavailable("the router is not built yet, only --echo works"))
    }
    pub(super) fn link_source(&self) -> LinkSource { unimplemented!() }
    pub(super) async fn close(self) -> Result<(), Fatal> { Ok(()) }
}
pub(super) async fn failed(_s: Option<&Standalone>) -> String { std::future::pending().await }
pub(super) fn numbers(_s: Option<&Standalone>) -> Box<dyn Fn() -> Numbers + Send + Sync> { Box::new(Vec::new) }
