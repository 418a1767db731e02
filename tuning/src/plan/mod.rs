//! A plan: what a host should hold, the memory that it takes, and which limit is hit first.
//!
//! [`Inputs`] come from the command line and, where it is silent, from the host. They become the
//! names that formulas use; [`budget`] adds up the memory and [`order`] asks every limit for the
//! number of connections at which it is hit. [`render`] writes it down.

pub mod budget;
pub mod order;
pub mod render;

use clap::ValueEnum;

use crate::formula::Variables;
use crate::host::Facts;
use crate::profile::ask::AskError;
use crate::profile::{Profile, Role};

pub use budget::Budget;

/// The names that every plan has, with what they are.
pub const VARIABLES: [(&str, &str); 15] = [
    ("connections", "connections at one time"),
    ("messages_per_s", "durable messages per second"),
    ("memory_bytes", "memory of the host, or of the control group if that is less"),
    ("cores", "processors"),
    ("shards", "shards of the gateway, threads of the generator"),
    ("nic_queues", "receive queues of the network card"),
    ("ws", "1 if WebSocket without TLS is served"),
    ("wss", "1 if WebSocket with TLS is served"),
    ("quic", "1 if QUIC is served"),
    ("addresses", "pairs of a source and a target address"),
    ("local_ports", "ports of ip_local_port_range"),
    ("page_bytes", "bytes of a page"),
    ("swap_bytes", "swap space"),
    ("numa_nodes", "NUMA nodes"),
    ("conntrack", "1 if the kernel tracks connections"),
];

/// How clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// WebSocket, TLS elsewhere or not at all.
    Ws,
    /// WebSocket with TLS on this host.
    Wss,
    /// QUIC on this host.
    Quic,
}

/// What the host should hold, and what it has for that.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Connections at one time.
    pub connections: u64,
    /// Durable messages per second.
    pub messages_per_s: u64,
    /// Shards of the gateway, threads of the generator.
    pub shards: u64,
    /// How clients connect.
    pub transports: Vec<Transport>,
    /// Pairs of a source and a target address, for a generator.
    pub addresses: u64,
    /// Ports for connections that are made.
    pub local_ports: u64,
    /// The host, with what the command line puts in the place of its own facts.
    pub facts: Facts,
}

impl Inputs {
    /// Memory that the plan may use, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.facts.cgroup_bytes.unwrap_or(u64::MAX).min(self.facts.memory_bytes)
    }

    fn variable(&self, name: &str) -> u64 {
        let serves = |transport| u64::from(self.transports.contains(&transport));
        match name {
            "connections" => self.connections,
            "messages_per_s" => self.messages_per_s,
            "memory_bytes" => self.memory_bytes(),
            "cores" => self.facts.cores,
            "shards" => self.shards,
            "nic_queues" => self.facts.nic_queues,
            "ws" => serves(Transport::Ws),
            "wss" => serves(Transport::Wss),
            "quic" => serves(Transport::Quic),
            "addresses" => self.addresses,
            "local_ports" => self.local_ports,
            "page_bytes" => self.facts.page_bytes,
            "swap_bytes" => self.facts.swap_bytes,
            "numa_nodes" => self.facts.numa_nodes,
            _ => u64::from(self.facts.conntrack),
        }
    }

    /// The same for another number of connections.
    #[must_use]
    pub fn with_connections(&self, connections: u64) -> Self {
        Self { connections, ..self.clone() }
    }

    /// Every name that the profile's keys may use, with its value.
    ///
    /// # Errors
    /// A formula has no finite value.
    pub fn variables(&self, profile: &Profile) -> Result<Variables, AskError> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53, but for no limit at all")]
        let given =
            VARIABLES.iter().map(|(name, _)| ((*name).to_owned(), self.variable(name) as f64));
        let mut variables: Variables = given.collect();
        variables.extend(profile.costs.iter().map(|cost| (cost.name.clone(), cost.value)));
        for (name, expression) in &profile.derived {
            let value = expression.value(&variables)?;
            variables.insert(name.clone(), value);
        }
        for part in &profile.budget {
            let value = part.bytes.value(&variables)?;
            variables.insert(format!("{}_bytes", part.name), value);
        }
        for (name, expression) in &profile.derived_after_budget {
            let value = expression.value(&variables)?;
            variables.insert(name.clone(), value);
        }
        Ok(variables)
    }
}

/// The shards that a gateway has when it is not told (half the cores); others have one thread.
#[must_use]
pub fn default_shards(role: Role, cores: u64) -> u64 {
    match role {
        Role::Edge | Role::Generator => (cores / 2).max(1),
        Role::Router | Role::Store => 1,
    }
}
