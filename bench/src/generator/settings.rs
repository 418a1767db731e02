//! What the clients of a shard have in common, and which clients they are.

use std::time::Duration;

use throng_wire::ws::Opcode;

use super::{ClientId, Target};

/// How long each phase of a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// The TCP handshake.
    pub connect: Duration,
    /// The answer to the upgrade.
    pub upgrade: Duration,
    /// From the open WebSocket until the workload regards the client as established.
    pub hello: Duration,
    /// From a ping to its pong.
    pub pong: Duration,
    /// From our close frame until the connection is gone.
    pub close: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            upgrade: Duration::from_secs(10),
            hello: Duration::from_secs(10),
            pong: Duration::from_secs(10),
            close: Duration::from_secs(10),
        }
    }
}

/// What a heartbeat is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beat {
    /// A WebSocket ping, which every server answers: the server's life is checked, too.
    Ping,
    /// A message of the application that has no answer: Throng's `ping` without an id.
    Message(Opcode, Vec<u8>),
}

/// Heartbeats of established clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// A client that has said nothing for this long beats. The first beat comes at a random moment
    /// of the first interval, so that a crowd that came together does not stay in step.
    pub interval: Duration,
    /// How.
    pub beat: Beat,
}

/// What all clients of a shard have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to connect.
    pub target: Target,
    /// How long things may take.
    pub deadlines: Deadlines,
    /// Heartbeats, if any.
    pub heartbeat: Option<Heartbeat>,
    /// Established clients wait cold between messages: less kernel memory, one more step on each
    /// message that comes.
    pub cold: bool,
    /// Acts later than this are overruns.
    pub lateness_max: Duration,
    /// Longest message that is taken from a server, in bytes.
    pub message_bytes_max: u32,
    /// Seed of masks, keys and jitter.
    pub seed: u64,
}

/// Which of the run's clients belong to a shard: `shard`, `shard + shards`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardInfo {
    /// Number of the shard.
    pub shard: u32,
    /// Shards of the run.
    pub shards: u32,
    /// Clients of the run.
    pub clients: u32,
    /// Seed of the run, the same for all its shards.
    pub seed: u64,
}

impl ShardInfo {
    /// The shard's clients.
    pub fn own(&self) -> impl Iterator<Item = ClientId> + use<> {
        (self.shard..self.clients).step_by(self.shards.max(1) as usize).map(ClientId)
    }

    /// Place in the shard's table of one of its clients.
    #[must_use]
    pub fn place(&self, client: ClientId) -> usize {
        (client.0 / self.shards) as usize
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.clients.saturating_sub(self.shard).div_ceil(self.shards.max(1))
    }

    /// The client at a place of the shard's table.
    #[must_use]
    pub fn client(&self, index: u32) -> ClientId {
        ClientId(index * self.shards + self.shard)
    }

    /// Place in the shard's table, if the client is of this shard.
    pub(super) fn index(&self, client: ClientId) -> Option<u32> {
        let own = client.0 % self.shards == self.shard && client.0 < self.clients;
        own.then_some(client.0 / self.shards)
    }
}
