//! Who takes part: users, their clients, groups, and who says what to whom.
//!
//! Everything here is a pure function of the plan, the seed and the number of shards, so the shards
//! of a run agree on it without talking, also those of other processes.
//!
//! User `u` of `U` has `D` devices; client `d * U + u` is device `d` of user `u`. Message `i` of
//! the run belongs to shard `i % shards`, and is said by a client of that shard. A group belongs to
//! the shard of its owner; its members are users of that shard where there are enough, so that
//! the moment at which the last of them has a message can be known.

use super::sizes::GroupSizes;
use crate::generator::random::{Random, mix};
use crate::generator::{ClientId, ShardInfo};

/// Keeps the streams of messages, groups and names apart.
const MESSAGES: u64 = 0x6d65_7373_6167_6573;
const GROUPS: u64 = 0x6772_6f75_7073;
const NAMES: u64 = 0x006e_616d_6573;

/// With whom a user has direct conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Always the same other user: 0 with 1, 2 with 3, …
    Fixed,
    /// With each message a random other one of all users.
    Random,
}

/// What the people of a run do.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Users, 2 or more.
    pub users: u32,
    /// Devices of each, 1 or more.
    pub devices: u32,
    /// Share of the messages that go to direct conversations, 0 to 1.
    pub direct: f64,
    /// With whom.
    pub pairs: Pairs,
    /// Sizes of the groups.
    pub sizes: GroupSizes,
    /// How many groups there are.
    pub groups: u32,
    /// Only owners speak in groups.
    pub owners_speak: bool,
}

/// A group of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number: 0 to the number of groups - 1.
    pub number: u32,
    /// The user who makes it.
    pub owner: u32,
    /// Members, the owner included.
    pub size: u32,
    /// Users from whom members are taken: every `stride`-th from `first`, `pool` of them.
    first: u32,
    stride: u32,
    pool: u32,
    /// Where among the others the members begin.
    offset: u32,
}

impl Group {
    /// Its members, the owner first, each once.
    pub fn members(self) -> impl Iterator<Item = u32> {
        let others = self.pool.saturating_sub(1).max(1);
        let owner_rank = (self.owner - self.first) / self.stride;
        let rank = move |i: u32| (owner_rank + 1 + (self.offset + i) % others) % self.pool;
        let others = (0..self.size - 1).map(move |i| self.first + rank(i) * self.stride);
        std::iter::once(self.owner).chain(others)
    }
}

/// What message `i` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// To another user.
    Direct {
        /// Who says it.
        sender: ClientId,
        /// To whom.
        peer: u32,
    },
    /// To a group of the message's shard.
    Group {
        /// Who says it.
        sender: ClientId,
        /// Where.
        group: u32,
    },
}

/// See the module header.
#[derive(Clone, Debug)]
pub struct Cast {
    manners: Manners,
    info: ShardInfo,
    tag: u32,
    /// Groups of each shard of the run.
    owned: Vec<u32>,
}

impl Cast {
    /// The cast of run `run`, as seen from one of its shards.
    #[must_use]
    pub fn new(manners: Manners, run: u64, info: ShardInfo) -> Self {
        let mut owned = vec![0; info.shards.max(1) as usize];
        for group in 0..manners.groups {
            owned[(group % manners.users % info.shards) as usize] += 1;
        }
        let tag = (mix(mix(info.seed, NAMES), run) >> 32) as u32;
        Self { manners, info, tag, owned }
    }

    /// Tells the users and texts of this run from those of others on the same server.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// Devices of each user.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.manners.devices
    }

    /// A user's name.
    #[must_use]
    pub fn name(&self, user: u32) -> String {
        format!("b{:08x}-{user}", self.tag)
    }

    /// The user of that name, if it is one of the run.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<u32> {
        let (tag, user) = name.strip_prefix('b')?.split_once('-')?;
        let user = user.parse().ok()?;
        let ours = u32::from_str_radix(tag, 16).ok()? == self.tag && user < self.manners.users;
        ours.then_some(user)
    }

    /// The user of a client.
    #[must_use]
    pub fn user(&self, client: ClientId) -> u32 {
        client.0 % self.manners.users
    }

    /// The name of a client's device.
    #[must_use]
    pub fn device(&self, client: ClientId) -> String {
        format!("d{}", client.0 / self.manners.users)
    }

    /// The first device of a user.
    #[must_use]
    pub fn client(&self, user: u32) -> ClientId {
        ClientId(user)
    }

    /// All devices of a user.
    pub fn clients(&self, user: u32) -> impl Iterator<Item = ClientId> + use<> {
        let users = self.manners.users;
        (0..self.manners.devices).map(move |device| ClientId(device * users + user))
    }

    /// The shard of a client.
    #[must_use]
    pub fn shard(&self, client: ClientId) -> u32 {
        client.0 % self.info.shards
    }

    /// Whether a client is of this shard.
    #[must_use]
    pub fn is_own(&self, client: ClientId) -> bool {
        self.shard(client) == self.info.shard
    }

    /// Shards that have a client, each with a leader: the client that has the shard's number.
    #[must_use]
    pub fn leaders(&self) -> u32 {
        self.info.shards.min(self.manners.users)
    }

    /// A group of the run.
    #[must_use]
    pub fn group(&self, number: u32) -> Group {
        let Manners { users, sizes, groups, .. } = &self.manners;
        let size = sizes.at((f64::from(number) + 0.5) / f64::from(*groups)).min(*users);
        let owner = number % users;
        let first = owner % self.info.shards;
        let of_shard = (users - first).div_ceil(self.info.shards);
        let (first, stride, pool) =
            if size <= of_shard { (first, self.info.shards, of_shard) } else { (0, 1, *users) };
        let mut random = Random::new(mix(self.info.seed ^ GROUPS, u64::from(number)));
        let offset = random.below(u64::from(pool.saturating_sub(1).max(1))) as u32;
        Group { number, owner, size, first, stride, pool, offset }
    }

    /// The groups of this shard: those that it makes and says things in.
    pub fn own_groups(&self) -> impl Iterator<Item = Group> {
        let count = self.owned[self.info.shard as usize];
        (0..count).map(|nth| self.group(self.nth_group(self.info.shard, nth)))
    }

    /// Whether every recipient of a group's messages is of this shard.
    #[must_use]
    pub fn is_within(&self, group: Group) -> bool {
        group.members().flat_map(|user| self.clients(user)).all(|client| self.is_own(client))
    }

    /// Group `nth` of a shard. Owners repeat after all users had their turn, and the shards of
    /// owners after as many as there are shards.
    fn nth_group(&self, shard: u32, nth: u32) -> u32 {
        let Manners { users, .. } = self.manners;
        let in_round = (users.saturating_sub(shard)).div_ceil(self.info.shards).max(1);
        nth / in_round * users + nth % in_round * self.info.shards + shard
    }

    /// What message `i` of the run is, whichever shard's.
    #[must_use]
    pub fn message(&self, i: u64) -> Intent {
        let shard = (i % u64::from(self.info.shards)) as u32;
        let mut random = Random::new(mix(self.info.seed ^ MESSAGES, i));
        let owned = self.owned[shard as usize];
        if random.fraction() >= self.manners.direct && owned > 0 {
            let nth = random.below(u64::from(owned)) as u32;
            self.group_message(shard, self.group(self.nth_group(shard, nth)), &mut random)
        } else {
            self.direct_message(shard, &mut random)
        }
    }

    fn group_message(&self, shard: u32, group: Group, random: &mut Random) -> Intent {
        let member = if self.manners.owners_speak { 0 } else { random.below(group.size.into()) };
        let speaker = group.members().nth(member as usize).unwrap_or(group.owner);
        let device = random.below(self.manners.devices.into()) as u32;
        let speaker = ClientId(device * self.manners.users + speaker);
        let sender = if self.shard(speaker) == shard && !self.manners.owners_speak {
            speaker
        } else {
            self.client(group.owner)
        };
        Intent::Group { sender, group: group.number }
    }

    fn direct_message(&self, shard: u32, random: &mut Random) -> Intent {
        let Manners { users, pairs, .. } = self.manners;
        let own = (self.info.clients - shard).div_ceil(self.info.shards);
        let sender = ClientId(shard + random.below(own.into()) as u32 * self.info.shards);
        let user = self.user(sender);
        let peer = match pairs {
            Pairs::Fixed if user ^ 1 < users => user ^ 1,
            Pairs::Fixed => 0,
            Pairs::Random => {
                let other = random.below(u64::from(users) - 1) as u32;
                other + u32::from(other >= user)
            }
        };
        Intent::Direct { sender, peer }
    }
}

#[cfg(test)]
mod tests;
