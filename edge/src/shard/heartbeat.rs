//! Who is still there: established connections are looked after by one timer each.
//!
//! A client is heard when anything comes from it. After 1.25 to 1.5 silent intervals (jitter, so
//! that a crowd that came together does not stay in step) the edge pings; after 2 silent intervals
//! the connection is closed. A client that keeps its own heartbeat is never pinged. The same timer
//! turns a quiet connection cold and ends the session when its token expires.

use std::time::{Duration, Instant};

use throng_ring::{ConnId, Io};
use throng_wire::ws::encode;

use super::Core;
use super::clock::Ticks;
use super::conn::Conn;
use crate::limits;
use crate::metrics::CloseReason;

/// What the silence of a connection asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    Fine,
    Ping,
    Lost,
}

/// Intervals of a connection in ticks.
#[derive(Clone, Copy, Debug)]
struct Patience {
    ping_after: u32,
    lost_after: u32,
}

impl Patience {
    /// `seed` spreads connections over the jitter.
    fn new(heartbeat: Duration, seed: u32) -> Self {
        let interval = Ticks::of(heartbeat);
        let jitter = (u64::from(seed.wrapping_mul(0x9e37_79b1)) * u64::from(interval / 4)) >> 32;
        Self { ping_after: interval + interval / 4 + jitter as u32, lost_after: 2 * interval }
    }

    fn judge(self, idle: u32, is_pinged: bool) -> Silence {
        match idle {
            _ if idle >= self.lost_after => Silence::Lost,
            _ if idle >= self.ping_after && !is_pinged => Silence::Ping,
            _ => Silence::Fine,
        }
    }

    /// Ticks until the silence has to be judged again.
    fn left(self, idle: u32, is_pinged: bool) -> u32 {
        let until = if is_pinged { self.lost_after } else { self.ping_after };
        until.saturating_sub(idle).max(1)
    }
}

impl Core {
    /// Does what is due for an established connection, and sets its next timer.
    pub(super) fn look_after<I: Io>(&mut self, io: &mut I, id: ConnId) {
        let now = io.now();
        let tick = self.ticks.at(now);
        let Some(conn) = self.slab.get_mut(id) else { return };
        if conn.is_leaving {
            self.close(io, id, CloseReason::Draining);
            return;
        }
        let wall_ms = (self.clocks.wall_ms)();
        let expires_in = expires_in(conn, wall_ms);
        if expires_in.is_some_and(|left| left.is_zero()) {
            self.close(io, id, CloseReason::TokenExpired);
            return;
        }
        let patience = Patience::new(self.deadlines.heartbeat, id.slot ^ conn.session);
        let idle = tick.wrapping_sub(conn.last_seen);
        match patience.judge(idle, conn.is_pinged) {
            Silence::Lost => {
                self.close(io, id, CloseReason::HeartbeatLost);
                return;
            }
            Silence::Ping => {
                conn.is_pinged = true;
                self.counters.pings_sent += 1;
                self.offer(io, id, |out| encode::ping(out, b"", None));
            }
            Silence::Fine => {}
        }
        let Some(conn) = self.slab.get_mut(id) else { return };
        let mut next = now + limits::TICK * patience.left(idle, conn.is_pinged);
        if let Some(left) = expires_in {
            next = next.min(now + left);
        }
        let cools = Self::cool_down(&self.deadlines, &self.ticks, io, id, conn);
        self.timers.set(id.slot, cools.map_or(next, |at: Instant| at.min(next)));
    }
}

/// Time left until the token expires. One that was taken within the leeway has the leeway.
fn expires_in(conn: &Conn, wall_ms: u64) -> Option<Duration> {
    if conn.expires_s == 0 {
        return None;
    }
    let at_ms = u64::from(conn.expires_s) * 1000;
    Some(Duration::from_millis(at_ms.saturating_sub(wall_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(25);

    #[test]
    fn a_silent_peer_is_pinged_before_it_is_given_up_within_two_intervals() {
        for seed in 0..1000 {
            let patience = Patience::new(HEARTBEAT, seed);
            assert!(patience.ping_after > Ticks::of(HEARTBEAT), "its own heartbeat comes first");
            assert!(patience.ping_after <= Ticks::of(HEARTBEAT) * 3 / 2);
            assert!(patience.lost_after <= Ticks::of(HEARTBEAT) * 2);
        }
    }

    #[test]
    fn jitter_spreads_the_pings() {
        let pings = (0..100).map(|seed| Patience::new(HEARTBEAT, seed).ping_after);
        let distinct: std::collections::HashSet<_> = pings.collect();
        assert!(distinct.len() > 50, "{}", distinct.len());
    }

    #[test]
    fn silence_is_judged_at_its_exact_ticks() {
        let patience = Patience { ping_after: 10, lost_after: 20 };
        assert_eq!(patience.judge(9, false), Silence::Fine);
        assert_eq!(patience.judge(10, false), Silence::Ping);
        assert_eq!(patience.judge(19, true), Silence::Fine);
        assert_eq!(patience.judge(20, true), Silence::Lost);
        assert_eq!((patience.left(4, false), patience.left(4, true)), (6, 16));
    }
}
