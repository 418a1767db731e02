//! The connections of users.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};

use smallvec::SmallVec;
use throng_store::UserId;

use crate::owner::{Connection, Delivery};

/// One connection. Its device is kept as a keyed hash: only a user's own devices are compared.
#[derive(Clone, Copy, Debug)]
struct Session {
    connection: Connection,
    /// Has its welcome.
    welcomed: bool,
    /// Something was not sent to it.
    stale: bool,
    device: u64,
    session_id: u64,
}

/// A connection that begins.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Of which device.
    pub device: &'a str,
    /// Which.
    pub connection: Connection,
    /// The same as long as the client's connection lives, whatever happens to links.
    pub session_id: u64,
    /// Its client had a welcome before the link to it was lost.
    pub resumed: bool,
}

/// Most users have one connection, which needs no memory besides the table's.
type Sessions = SmallVec<[Session; 1]>;

/// A connection that must be closed: another one took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// Which.
    pub connection: Connection,
    /// It is not the same device that came again, but one more than a user may have.
    pub too_many: bool,
}

/// A connection to be told what changed since a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Whose it is.
    pub user: UserId,
    /// Which.
    pub connection: Connection,
    /// Unix milliseconds.
    pub since_ms: u64,
}

/// Homes of the users that one worker has.
#[derive(Debug, Default)]
pub struct Home {
    users: HashMap<UserId, Sessions>,
    sessions: usize,
    devices: RandomState,
    /// Stale connections and since when; few at any time, so they are kept apart.
    stale: HashMap<Connection, Repair>,
}

impl Home {
    /// A connection of a device begins. The list names those that it replaces; or itself, if it is
    /// resumed and its device has come elsewhere meanwhile.
    pub fn register(
        &mut self,
        user: UserId,
        arrival: Arrival<'_>,
        devices_max: usize,
    ) -> SmallVec<[Evicted; 1]> {
        let Arrival { connection, session_id, resumed, .. } = arrival;
        let device = self.devices.hash_one(arrival.device);
        let sessions = self.users.entry(user).or_default();
        let mut evicted: SmallVec<[Evicted; 1]> = SmallVec::new();
        // Its own entry may still be there: the end of its link is not known yet.
        let is_newer = |it: &Session| it.device == device && it.session_id != session_id;
        if resumed && sessions.iter().any(is_newer) {
            evicted.push(Evicted { connection, too_many: false });
            return evicted;
        }
        sessions.retain(|session| {
            let replaced = session.device == device || session.connection == connection;
            if replaced && session.connection != connection {
                evicted.push(Evicted { connection: session.connection, too_many: false });
            }
            self.sessions -= usize::from(replaced);
            !replaced
        });
        // They are in the order of their registration.
        while sessions.len() >= devices_max.max(1) {
            evicted.push(Evicted { connection: sessions.remove(0).connection, too_many: true });
            self.sessions -= 1;
        }
        sessions.push(Session { connection, welcomed: false, stale: false, device, session_id });
        self.sessions += 1;
        self.stale.remove(&connection);
        for gone in &evicted {
            self.stale.remove(&gone.connection);
        }
        evicted
    }

    /// The connection has its welcome, made of what was read after `since_ms`.
    pub fn welcomed(&mut self, user: UserId, connection: Connection, since_ms: u64) {
        let Some(session) = self.session(user, connection) else { return };
        session.welcomed = true;
        if session.stale {
            self.stale.insert(connection, Repair { user, connection, since_ms });
        }
    }

    /// The connection is gone. Of no effect if a newer one took its place.
    pub fn unregister(&mut self, user: UserId, connection: Connection) {
        let Entry::Occupied(mut entry) = self.users.entry(user) else { return };
        let before = entry.get().len();
        entry.get_mut().retain(|session| session.connection != connection);
        self.sessions -= before - entry.get().len();
        if entry.get().is_empty() {
            entry.remove();
        }
        self.stale.remove(&connection);
    }

    /// All connections of a link are gone.
    pub fn link_lost(&mut self, link: u32) {
        self.users.retain(|_, sessions| {
            let before = sessions.len();
            sessions.retain(|session| session.connection.link != link);
            self.sessions -= before - sessions.len();
            !sessions.is_empty()
        });
        self.stale.retain(|connection, _| connection.link != link);
    }

    /// Finds the connections that a delivery is for. `to` is called for each.
    pub fn deliver(&mut self, delivery: &Delivery, mut to: impl FnMut(UserId, Connection)) {
        for user in delivery.users.iter() {
            let Some(sessions) = self.users.get_mut(user) else { continue };
            for session in sessions {
                if Some(session.connection) == delivery.except {
                    continue;
                }
                if session.welcomed {
                    to(*user, session.connection);
                } else {
                    session.stale = true;
                }
            }
        }
    }

    /// A hint could not be sent to a connection: there was no room.
    pub fn not_sent(&mut self, user: UserId, connection: Connection, now_ms: u64) {
        let Some(session) = self.session(user, connection) else { return };
        session.stale = true;
        let repair = Repair { user, connection, since_ms: now_ms };
        self.stale.entry(connection).or_insert(repair);
    }

    /// Takes up to `limit` repairs of connections whose link `has_room`.
    pub fn repairs(&mut self, limit: usize, has_room: impl Fn(u32) -> bool) -> Vec<Repair> {
        let due = self.stale.values().filter(|repair| has_room(repair.connection.link));
        let due: Vec<Repair> = due.take(limit).copied().collect();
        for repair in &due {
            self.stale.remove(&repair.connection);
            if let Some(session) = self.session(repair.user, repair.connection) {
                session.stale = false;
            }
        }
        due
    }

    /// A repair could not be made or sent: it is due again.
    pub fn repair_failed(&mut self, repair: Repair) {
        if let Some(session) = self.session(repair.user, repair.connection) {
            session.stale = true;
            let due = self.stale.entry(repair.connection).or_insert(repair);
            due.since_ms = due.since_ms.min(repair.since_ms);
        }
    }

    /// Whether this is a connection of the user now.
    #[must_use]
    pub fn has(&self, user: UserId, connection: Connection) -> bool {
        let mut sessions = self.users.get(&user).into_iter().flatten();
        sessions.any(|session| session.connection == connection)
    }

    fn session(&mut self, user: UserId, connection: Connection) -> Option<&mut Session> {
        self.users.get_mut(&user)?.iter_mut().find(|session| session.connection == connection)
    }

    /// Connections registered.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Connections that wait for a repair.
    #[must_use]
    pub fn stale(&self) -> usize {
        self.stale.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;

    const ALICE: UserId = UserId([1; 16]);
    const BOB: UserId = UserId([2; 16]);

    fn on(link: u32, slot: u32) -> Connection {
        Connection { link, slot, session: 1 }
    }

    fn delivery(users: &[UserId], except: Option<Connection>) -> Delivery {
        Delivery { frame: Bytes::new(), users: users.into(), except, ephemeral: false }
    }

    fn reached(home: &mut Home, delivery: &Delivery) -> Vec<Connection> {
        let mut reached = Vec::new();
        home.deliver(delivery, |_, connection| reached.push(connection));
        reached.sort_unstable();
        reached
    }

    /// A new connection; its session is named after it.
    fn new(device: &str, connection: Connection) -> Arrival<'_> {
        let session_id = u64::from(connection.link) << 32 | u64::from(connection.slot);
        Arrival { device, connection, session_id, resumed: false }
    }

    fn join(home: &mut Home, user: UserId, device: &str, connection: Connection) {
        assert!(home.register(user, new(device, connection), 8).is_empty());
        home.welcomed(user, connection, 0);
    }

    #[test]
    fn the_newest_connection_of_a_device_replaces_the_older() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        join(&mut home, ALICE, "laptop", on(1, 2));
        let evicted = home.register(ALICE, new("phone", on(2, 1)), 8);
        assert_eq!(&evicted[..], [Evicted { connection: on(1, 1), too_many: false }]);
        home.welcomed(ALICE, on(2, 1), 0);
        assert_eq!(reached(&mut home, &delivery(&[ALICE], None)), [on(1, 2), on(2, 1)]);
    }

    #[test]
    fn a_late_goodbye_of_the_old_connection_does_not_remove_the_new_one() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        home.register(ALICE, new("phone", on(2, 1)), 8);
        home.unregister(ALICE, on(1, 1));
        assert!(home.has(ALICE, on(2, 1)));
        assert_eq!(home.sessions(), 1);
        home.unregister(ALICE, on(2, 1));
        assert_eq!((home.sessions(), home.users.len()), (0, 0));
    }

    #[test]
    fn a_resumed_connection_does_not_replace_the_one_its_device_has_elsewhere() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(2, 1));
        let resumed = Arrival { resumed: true, ..new("phone", on(1, 1)) };
        let evicted = home.register(ALICE, resumed, 8);
        assert_eq!(&evicted[..], [Evicted { connection: on(1, 1), too_many: false }]);
        assert!(home.has(ALICE, on(2, 1)) && !home.has(ALICE, on(1, 1)));
        let other_device = Arrival { resumed: true, ..new("laptop", on(1, 2)) };
        assert!(home.register(ALICE, other_device, 8).is_empty());
    }

    #[test]
    fn a_resumed_connection_replaces_what_its_lost_link_left_of_itself() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        let again = Arrival { connection: on(3, 1), resumed: true, ..new("phone", on(1, 1)) };
        home.register(ALICE, again, 8);
        assert!(home.has(ALICE, on(3, 1)) && !home.has(ALICE, on(1, 1)));
        assert_eq!(home.sessions(), 1);
    }

    #[test]
    fn as_many_devices_as_allowed_stay_and_one_more_ends_the_oldest() {
        let mut home = Home::default();
        for slot in 0..8 {
            assert!(home.register(ALICE, new(&slot.to_string(), on(1, slot)), 8).is_empty());
        }
        let evicted = home.register(ALICE, new("ninth", on(1, 9)), 8);
        assert_eq!(&evicted[..], [Evicted { connection: on(1, 0), too_many: true }]);
        assert_eq!(home.sessions(), 8);
    }

    #[test]
    fn deliveries_reach_all_connections_of_all_users_but_the_excepted() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        join(&mut home, ALICE, "laptop", on(2, 1));
        join(&mut home, BOB, "phone", on(1, 2));
        let all = delivery(&[ALICE, BOB, UserId([9; 16])], Some(on(1, 1)));
        assert_eq!(reached(&mut home, &all), [on(1, 2), on(2, 1)]);
    }

    #[test]
    fn what_comes_between_registration_and_welcome_is_repaired() {
        let mut home = Home::default();
        home.register(ALICE, new("phone", on(1, 1)), 8);
        assert_eq!(reached(&mut home, &delivery(&[ALICE], None)), []);
        assert_eq!(home.repairs(10, |_| true), []);
        home.welcomed(ALICE, on(1, 1), 77);
        let repair = Repair { user: ALICE, connection: on(1, 1), since_ms: 77 };
        assert_eq!(home.repairs(10, |_| true), [repair]);
        assert_eq!(home.repairs(10, |_| true), []);
        assert_eq!(reached(&mut home, &delivery(&[ALICE], None)), [on(1, 1)]);
    }

    #[test]
    fn a_hint_without_room_is_repaired_once_there_is_room() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        home.not_sent(ALICE, on(1, 1), 50);
        home.not_sent(ALICE, on(1, 1), 60);
        assert_eq!(home.repairs(10, |_| false), []);
        let repair = Repair { user: ALICE, connection: on(1, 1), since_ms: 50 };
        assert_eq!(home.repairs(10, |link| link == 1), [repair]);
        home.not_sent(ALICE, on(1, 1), 80);
        home.repair_failed(repair);
        assert_eq!(home.repairs(10, |_| true), [repair]);
    }

    #[test]
    fn a_connection_that_is_gone_is_not_repaired() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        home.not_sent(ALICE, on(1, 1), 50);
        home.unregister(ALICE, on(1, 1));
        assert_eq!((home.repairs(10, |_| true), home.stale()), (Vec::new(), 0));
        home.not_sent(ALICE, on(1, 1), 60);
        assert_eq!(home.stale(), 0);
    }

    #[test]
    fn a_lost_link_takes_its_connections_and_no_others() {
        let mut home = Home::default();
        join(&mut home, ALICE, "phone", on(1, 1));
        join(&mut home, ALICE, "laptop", on(2, 1));
        join(&mut home, BOB, "phone", on(1, 2));
        home.link_lost(1);
        assert_eq!(home.sessions(), 1);
        assert_eq!(reached(&mut home, &delivery(&[ALICE, BOB], None)), [on(2, 1)]);
    }

    #[test]
    fn a_user_with_one_connection_takes_no_more_than_the_table_entry() {
        // With the table at worst 7/16 full, this is 165 bytes a session.
        assert!(size_of::<(UserId, Sessions)>() <= 72);
    }
}
