//! Who is let in: token buckets and the count of handshakes per address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::limits;

/// Milliseconds of a tick.
const TICK_MS: u32 = limits::TICK.as_millis() as u32;

/// A token bucket over ticks. The rate is given with each call: all buckets of a kind share it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// Thousandths of a token.
    tokens_milli: u32,
    last: u32,
}

/// Rate and depth of a kind of bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) per_s: u32,
    pub(super) burst: u32,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: Rate, tick: u32) -> Self {
        Self { tokens_milli: rate.burst.saturating_mul(1000), last: tick }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, rate: Rate, tick: u32) -> bool {
        self.refill(rate, tick);
        let has = self.tokens_milli >= 1000;
        if has {
            self.tokens_milli -= 1000;
        }
        has
    }

    /// Whether `take` would succeed.
    pub(super) fn has(&mut self, rate: Rate, tick: u32) -> bool {
        self.refill(rate, tick);
        self.tokens_milli >= 1000
    }

    fn refill(&mut self, rate: Rate, tick: u32) {
        let elapsed_ms = u64::from(tick.wrapping_sub(self.last)) * u64::from(TICK_MS);
        self.last = tick;
        let full = u64::from(rate.burst) * 1000;
        let tokens = u64::from(self.tokens_milli) + elapsed_ms * u64::from(rate.per_s);
        self.tokens_milli = tokens.min(full).min(u64::from(u32::MAX)) as u32;
    }
}

/// Why a new connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No slot left.
    Full,
    /// The address has too many handshakes under way.
    Address,
}

/// What counts as one address: an IPv6 host has a whole /64 (RFC 6177), and an IPv4 address stays
/// the same when it comes mapped.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        address => address,
    }
}

/// The door of a shard.
#[derive(Debug)]
pub(super) struct Admission {
    connections_max: usize,
    handshakes_max: u32,
    per_address_max: u32,
    rate: Rate,
    bucket: Bucket,
    by_address: HashMap<IpAddr, u32>,
    handshakes: u32,
    /// Connections that are being closed without having been a session, by slot, and whose share
    /// they still take. The refused take nobody's.
    lingering: HashMap<u32, Option<IpAddr>>,
    refused: usize,
}

impl Admission {
    pub(super) fn new(
        connections_max: usize,
        handshakes_max: u32,
        per_address_max: u32,
        accepts_per_s: u32,
    ) -> Self {
        let burst = limits::ACCEPTS_BURST.min(accepts_per_s);
        let rate = Rate { per_s: accepts_per_s, burst };
        let bucket = Bucket::full(rate, 0);
        let by_address = HashMap::new();
        Self {
            connections_max,
            handshakes_max,
            per_address_max,
            rate,
            bucket,
            by_address,
            handshakes: 0,
            lingering: HashMap::new(),
            refused: 0,
        }
    }

    /// Handshakes under way.
    pub(super) fn handshakes(&self) -> u32 {
        self.handshakes
    }

    /// A connection came while `connections` are held.
    pub(super) fn enter(
        &mut self,
        peer: IpAddr,
        connections: usize,
        tick: u32,
    ) -> Result<(), Refused> {
        self.bucket.take(self.rate, tick);
        if connections >= self.connections_max {
            return Err(Refused::Full);
        }
        let count = self.by_address.entry(network(peer)).or_insert(0);
        if *count >= self.per_address_max {
            return Err(Refused::Address);
        }
        *count += 1;
        self.handshakes += 1;
        Ok(())
    }

    /// A handshake became a session.
    pub(super) fn leave(&mut self, peer: IpAddr) {
        let network = network(peer);
        self.handshakes = self.handshakes.saturating_sub(1);
        if let Some(count) = self.by_address.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&network);
            }
        }
    }

    /// A handshake failed. Its connection counts against its address until its slot is free: who
    /// fails and then does not close would else take all slots.
    pub(super) fn linger(&mut self, slot: u32, peer: IpAddr) {
        self.lingering.insert(slot, Some(peer));
    }

    /// A connection was refused and is being closed.
    pub(super) fn refuse(&mut self, slot: u32) {
        self.refused += 1;
        self.lingering.insert(slot, None);
    }

    /// Refused connections that are not gone yet.
    pub(super) fn refused(&self) -> usize {
        self.refused
    }

    /// The slot's connection is gone.
    pub(super) fn freed(&mut self, slot: u32) {
        match self.lingering.remove(&slot) {
            Some(Some(peer)) => self.leave(peer),
            Some(None) => self.refused -= 1,
            None => {}
        }
    }

    /// Whether the next connection may be taken from the kernel's queue.
    pub(super) fn is_open(&mut self, tick: u32) -> bool {
        self.handshakes < self.handshakes_max && self.bucket.has(self.rate, tick)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const RATE: Rate = Rate { per_s: 10, burst: 2 };
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(RATE, 0);
        assert!(bucket.take(RATE, 0) && bucket.take(RATE, 0) && !bucket.take(RATE, 0));
        assert!(!bucket.take(RATE, 6), "96 ms are not a token yet");
        assert!(bucket.take(RATE, 7), "112 ms are");
    }

    #[test]
    fn a_bucket_never_holds_more_than_its_burst() {
        let mut bucket = Bucket::full(RATE, 0);
        bucket.take(RATE, 0);
        let later = 1_000_000;
        assert!(bucket.take(RATE, later) && bucket.take(RATE, later) && !bucket.take(RATE, later));
    }

    #[test]
    fn a_bucket_survives_the_wrap_of_ticks() {
        let mut bucket = Bucket::full(RATE, u32::MAX);
        bucket.take(RATE, u32::MAX);
        bucket.take(RATE, u32::MAX);
        assert!(bucket.take(RATE, 10));
    }

    #[test]
    fn an_address_has_its_share_of_handshakes_and_no_more() {
        let mut admission = Admission::new(100, 50, 2, 1000);
        assert_eq!(admission.enter(PEER, 0, 0), Ok(()));
        assert_eq!(admission.enter(PEER, 1, 0), Ok(()));
        assert_eq!(admission.enter(PEER, 2, 0), Err(Refused::Address));
        let other = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(admission.enter(other, 2, 0), Ok(()));
        admission.leave(PEER);
        assert_eq!(admission.enter(PEER, 2, 0), Ok(()));
    }

    #[test]
    fn hosts_of_one_ipv6_network_share_and_those_of_the_next_do_not() {
        let mut admission = Admission::new(100, 50, 1, 1000);
        let mut enter = |peer: &str| admission.enter(peer.parse().unwrap(), 0, 0);
        assert_eq!(enter("2001:db8:0:1::1"), Ok(()));
        assert_eq!(enter("2001:db8:0:1:ffff:ffff:ffff:ffff"), Err(Refused::Address));
        assert_eq!(enter("2001:db8:0:2::1"), Ok(()));
        assert_eq!(enter("192.0.2.1"), Ok(()));
        assert_eq!(enter("::ffff:192.0.2.1"), Err(Refused::Address));
    }

    #[test]
    fn a_failed_handshake_counts_until_its_slot_is_free_and_a_refused_one_never() {
        let mut admission = Admission::new(100, 50, 1, 1000);
        assert_eq!(admission.enter(PEER, 0, 0), Ok(()));
        admission.linger(7, PEER);
        assert_eq!(admission.enter(PEER, 1, 0), Err(Refused::Address));
        admission.refuse(8);
        assert_eq!((admission.refused(), admission.handshakes()), (1, 1));
        admission.freed(7);
        admission.freed(8);
        assert_eq!((admission.refused(), admission.handshakes()), (0, 0));
        assert_eq!(admission.enter(PEER, 0, 0), Ok(()));
    }

    #[test]
    fn a_full_shard_refuses_and_one_slot_less_does_not() {
        let mut admission = Admission::new(3, 50, 50, 1000);
        assert_eq!(admission.enter(PEER, 2, 0), Ok(()));
        assert_eq!(admission.enter(PEER, 3, 0), Err(Refused::Full));
    }

    #[test]
    fn the_door_closes_at_the_limit_of_handshakes_and_opens_below_it() {
        let mut admission = Admission::new(100, 2, 50, 1000);
        assert_eq!(admission.enter(PEER, 0, 0), Ok(()));
        assert!(admission.is_open(0));
        assert_eq!(admission.enter(PEER, 0, 0), Ok(()));
        assert!(!admission.is_open(0));
        admission.leave(PEER);
        assert!(admission.is_open(0));
        assert!(admission.by_address.len() == 1);
    }
}
