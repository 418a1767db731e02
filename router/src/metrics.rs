//! What the router counts. Actors publish; whoever asks sums up.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::owner::{Counters, Gauges};

/// Of one owner actor.
#[derive(Debug, Default)]
pub(crate) struct OwnerStats(Mutex<(Counters, Gauges)>);

impl OwnerStats {
    /// Publishes.
    pub(crate) fn put(&self, counters: Counters, gauges: Gauges) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (counters, gauges);
    }

    fn get(&self) -> (Counters, Gauges) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one home actor.
#[derive(Debug, Default)]
pub(crate) struct HomeStats {
    sessions: AtomicUsize,
    stale: AtomicUsize,
    lists: AtomicUsize,
    registrations: AtomicU64,
    hints: AtomicU64,
    dropped: AtomicU64,
    repairs: AtomicU64,
}

impl HomeStats {
    pub(crate) fn put(&self, sessions: usize, stale: usize, lists: usize) {
        self.sessions.store(sessions, Relaxed);
        self.stale.store(stale, Relaxed);
        self.lists.store(lists, Relaxed);
    }

    pub(crate) fn registered(&self) {
        self.registrations.fetch_add(1, Relaxed);
    }

    pub(crate) fn hinted(&self, connections: u64) {
        self.hints.fetch_add(connections, Relaxed);
    }

    pub(crate) fn dropped(&self, connections: usize) {
        self.dropped.fetch_add(connections as u64, Relaxed);
    }

    pub(crate) fn repaired(&self) {
        self.repairs.fetch_add(1, Relaxed);
    }
}

/// All that is counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) owners: Vec<Arc<OwnerStats>>,
    pub(crate) homes: Vec<Arc<HomeStats>>,
    /// Conversations whose lists could not be brought up to date at the start.
    pub(crate) recoveries_failed: usize,
}

/// A number with its name, as Prometheus wants them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name, units last; counters end in `_total`.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// The value.
    pub value: f64,
    /// It only grows.
    pub counter: bool,
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Metric {
    Metric { name, help, value: value as f64, counter: true }
}

fn gauge(name: &'static str, help: &'static str, value: usize) -> Metric {
    Metric { name, help, value: value as f64, counter: false }
}

/// What one number of a router is called, what it tells, and where it stands.
type Row<T, N> = (&'static str, &'static str, fn(&T) -> N);

/// What owners count.
const OWNER_COUNTERS: &[Row<Counters, u64>] = &[
    ("router_appends_total", "Batches of events given to the store, each as one append", |c| {
        c.batches
    }),
    ("router_append_rows_total", "Events in the batches given to the store", |c| c.rows),
    ("router_commits_total", "Appends that the store confirmed and the owner committed", |c| {
        c.commits
    }),
    ("router_commit_rows_total", "Events that became part of a log", |c| c.committed_rows),
    (
        "router_commit_milliseconds_total",
        "Time from sending an append to its commit, summed over commits",
        |c| c.commit_ms,
    ),
    (
        "router_appends_unknown_total",
        "Appends of which the store could not say whether they were written",
        |c| c.unknown,
    ),
    ("router_loads_total", "Conversations read from the store into memory", |c| c.loads),
    ("router_load_failures_total", "Conversations that could not be read from the store", |c| {
        c.load_failures
    }),
    ("router_reads_total", "Reads of events, watermarks or memberships from the store", |c| {
        c.reads
    }),
    ("router_id_lookups_total", "Reads to find out whether a write is a repetition", |c| c.scans),
    (
        "router_duplicates_total",
        "Writes that were in the log already and were answered as before",
        |c| c.duplicates,
    ),
    ("router_refused_total", "Writes refused for what they ask or when they come", |c| c.refused),
    (
        "router_overloaded_total",
        "Requests refused because too many waited at their conversation",
        |c| c.overloaded,
    ),
];

/// How much owners have.
const OWNER_GAUGES: &[Row<Gauges, usize>] = &[
    ("router_conversations", "Conversations in memory", |g| g.conversations),
    ("router_conversation_bytes", "Memory that conversations use, about", |g| g.bytes),
    ("router_conversations_busy", "Conversations in memory with something under way", |g| g.busy),
];

impl Stats {
    /// Sums up.
    pub(crate) fn metrics(&self, links: usize, batches_waiting: usize) -> Vec<Metric> {
        let mut metrics = self.owner_metrics();
        metrics.extend(self.home_metrics());
        metrics.push(gauge(
            "router_recoveries_failed",
            "Conversations whose lists could not be brought up to date at the start",
            self.recoveries_failed,
        ));
        metrics.push(gauge("router_links", "Links of edges that are open now", links));
        metrics.push(gauge(
            "router_owner_batches_waiting",
            "Batches of requests that wait in the mailboxes of owners",
            batches_waiting,
        ));
        metrics
    }

    fn owner_metrics(&self) -> Vec<Metric> {
        let all: Vec<(Counters, Gauges)> = self.owners.iter().map(|owner| owner.get()).collect();
        let counters = OWNER_COUNTERS.iter().map(|(name, help, of)| {
            counter(name, help, all.iter().map(|(counters, _)| of(counters)).sum())
        });
        let gauges = OWNER_GAUGES.iter().map(|(name, help, of)| {
            gauge(name, help, all.iter().map(|(_, gauges)| of(gauges)).sum())
        });
        counters.chain(gauges).collect()
    }

    fn home_metrics(&self) -> Vec<Metric> {
        let level = |of: fn(&HomeStats) -> &AtomicUsize| {
            self.homes.iter().map(|home| of(home).load(Relaxed)).sum()
        };
        let sum = |of: fn(&HomeStats) -> &AtomicU64| {
            self.homes.iter().map(|home| of(home).load(Relaxed)).sum()
        };
        vec![
            gauge(
                "router_sessions",
                "Connections of clients that are registered now",
                level(|h| &h.sessions),
            ),
            gauge(
                "router_sessions_stale",
                "Connections that missed pushes and wait for a repair",
                level(|h| &h.stale),
            ),
            gauge(
                "router_lists",
                "Lists of conversations or changes being read or waiting for it",
                level(|h| &h.lists),
            ),
            counter(
                "router_registrations_total",
                "Connections of clients registered",
                sum(|h| &h.registrations),
            ),
            counter(
                "router_hints_total",
                "Pushed frames, one for each connection that one is meant for",
                sum(|h| &h.hints),
            ),
            counter(
                "router_hints_dropped_total",
                "Pushed frames dropped as their link had no room",
                sum(|h| &h.dropped),
            ),
            counter(
                "router_repairs_total",
                "Connections that were told what they had missed",
                sum(|h| &h.repairs),
            ),
        ]
    }
}
