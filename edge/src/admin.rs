//! The admin port: `/metrics` (OpenMetrics text), `/healthz`, `/readyz`. Runs on the side runtime.
//!
//! A connection carries one request and has a deadline, and only so many are served at once. Shards
//! are asked by one scrape at a time, so that scrapes do not fill their mailboxes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use throng_wire::ErrorCode;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::limits;
use crate::metrics::{CloseReason, Counters, Gauges, Snapshot};
use crate::shard::{Control, Handle};

/// A shard that does not answer within this time is left out of a scrape.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(1);

/// A number of another part of the process.
#[derive(Clone, Debug)]
pub struct Number {
    /// Name without prefix and without `_total`.
    pub name: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// Its value.
    pub value: Value,
}

/// What a [`Number`] is.
#[derive(Clone, Debug)]
pub enum Value {
    /// It only grows.
    Counter(f64),
    /// It comes and goes.
    Gauge(f64),
    /// One of several things: a gauge of 1 with this label and value.
    Is(&'static str, String),
    /// Values counted by their size.
    Histogram {
        /// All values together.
        sum: f64,
        /// Upper bounds and how many values are in each bucket.
        buckets: Vec<(f64, u64)>,
    },
}

/// What the admin port shows.
pub struct Admin {
    shards: Mutex<Vec<Handle>>,
    is_ready: AtomicBool,
    others: Box<dyn Fn() -> Vec<Number> + Send + Sync>,
}

impl Admin {
    /// Shows these shards, and the numbers of the parts beside them. Not ready yet.
    pub fn new(shards: Vec<Handle>, others: Box<dyn Fn() -> Vec<Number> + Send + Sync>) -> Self {
        Self { shards: Mutex::new(shards), is_ready: AtomicBool::new(false), others }
    }

    /// Whether new connections are welcome.
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Relaxed);
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("is_ready", &self.is_ready).finish_non_exhaustive()
    }
}

/// Answers requests until the task is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .with_state(admin);
    let places = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        let stream = match listener.accept().await {
            Ok((stream, _)) => TokioIo::new(stream),
            Err(error) => {
                tracing::warn!(%error, "the admin port cannot accept");
                tokio::time::sleep(limits::ADMIN_ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(routes.clone());
        let mut http = http1::Builder::new();
        let connection = http.keep_alive(false).serve_connection(stream, service);
        tokio::spawn(async move {
            // Who breaks off or is too slow gets no answer; it concerns nobody else.
            let _ = tokio::time::timeout(limits::ADMIN_DEADLINE, connection).await;
            drop(place);
        });
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    if admin.is_ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: starting or draining\n")
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let shards = snapshots(&admin.shards.lock().await).await;
    let mut registry = Registry::with_prefix("throng");
    registry.register_collector(Box::new(Scrape { shards, others: (admin.others)() }));
    let mut body = String::new();
    match text::encode(&mut body, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Asks all shards at once.
pub(crate) async fn snapshots(shards: &[Handle]) -> Vec<Snapshot> {
    let mut asked = Vec::new();
    for shard in shards {
        let (sender, receiver) = oneshot::channel();
        if shard.send(Control::Snapshot(sender)).is_ok() {
            asked.push(receiver);
        }
    }
    let mut answers = Vec::new();
    for receiver in asked {
        if let Ok(Ok(snapshot)) = tokio::time::timeout(SNAPSHOT_DEADLINE, receiver).await {
            answers.push(snapshot);
        }
    }
    answers
}

/// One scrape.
#[derive(Debug)]
struct Scrape {
    shards: Vec<Snapshot>,
    others: Vec<Number>,
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (index, (name, meaning)) in Counters::NAMES.iter().enumerate() {
            let mut metric = descriptor(&mut encoder, name, meaning, MetricType::Counter)?;
            for shard in &self.shards {
                let labels = [("shard", shard.shard)];
                count(&mut metric.encode_family(&labels)?, shard.counters.values()[index])?;
            }
        }
        for (index, (name, meaning)) in Gauges::NAMES.iter().enumerate() {
            let mut metric = descriptor(&mut encoder, name, meaning, MetricType::Gauge)?;
            for shard in &self.shards {
                let labels = [("shard", shard.shard)];
                let value = shard.gauges.values()[index] as i64;
                metric.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        self.encode_closes(&mut encoder)?;
        self.encode_errors(&mut encoder)?;
        self.encode_others(&mut encoder)
    }
}

fn descriptor<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    name: &'e str,
    meaning: &'e str,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(name, meaning, None::<&Unit>, kind)
}

fn count(metric: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

impl Scrape {
    fn encode_closes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let meaning = "Connections ended, by reason";
        let mut metric = descriptor(encoder, "edge_closes", meaning, MetricType::Counter)?;
        for shard in &self.shards {
            for (reason, value) in CloseReason::ALL.iter().zip(shard.closes) {
                let number = shard.shard.to_string();
                let labels = [("shard", number.as_str()), ("reason", reason.label())];
                count(&mut metric.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }

    fn encode_errors(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let meaning = "Errors answered to clients by the edge itself, by code";
        let mut metric = descriptor(encoder, "edge_errors", meaning, MetricType::Counter)?;
        for shard in &self.shards {
            for (code, value) in ErrorCode::ALL.iter().zip(shard.errors) {
                let number = shard.shard.to_string();
                let labels = [("shard", number.as_str()), ("code", code.text())];
                count(&mut metric.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }

    fn encode_others(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for Number { name, meaning, value } in &self.others {
            let kind = match value {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) | Value::Is(..) => MetricType::Gauge,
                Value::Histogram { .. } => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(name, meaning, None::<&Unit>, kind)?;
            match value {
                Value::Counter(value) => {
                    metric.encode_counter::<NoLabelSet, _, u64>(value, None)?;
                }
                Value::Gauge(value) => metric.encode_gauge(value)?,
                Value::Is(label, value) => {
                    metric.encode_family(&[(*label, value.as_str())])?.encode_gauge(&1)?;
                }
                Value::Histogram { sum, buckets } => {
                    let count = buckets.iter().map(|(_, count)| count).sum();
                    metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)?;
                }
            }
        }
        Ok(())
    }
}
