//! However far an apply or a rollback came before a crash, the next call ends it: rollback at what
//! was before, byte for byte, and apply at what is planned.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io;

use support::{FakeHost, GIB, Tree, assert_same, inputs};
use throng_tune::apply::{
    ApplyScope, Change, HostStorage, Journal, Storage, apply, prepare, rollback,
};
use throng_tune::host::Host;
use throng_tune::profile::{Profile, Role};

/// A storage that dies after a number of writes; the last one may be half done.
struct Dying<'h> {
    inner: HostStorage<'h>,
    writes_left: usize,
    is_torn: bool,
}

impl Dying<'_> {
    fn step(&mut self) -> io::Result<()> {
        let left = self.writes_left.checked_sub(1);
        self.writes_left = left.ok_or_else(|| io::Error::other("the power is off"))?;
        Ok(())
    }
}

impl Storage for Dying<'_> {
    fn read(&self, path: &str) -> io::Result<Option<String>> {
        self.inner.read(path)
    }

    fn set(&mut self, path: &str, text: &str) -> io::Result<()> {
        self.step()?;
        self.inner.set(path, text)
    }

    fn write_new(&mut self, path: &str, text: &str) -> io::Result<()> {
        if self.writes_left == 0 && self.is_torn {
            self.is_torn = false;
            self.inner.write_new(path, &text[..text.len() / 2])?;
        }
        self.step()?;
        self.inner.write_new(path, text)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.inner.rename(from, to)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        self.step()?;
        self.inner.remove(path)
    }

    fn make_directory(&mut self, path: &str) -> io::Result<()> {
        self.step()?;
        self.inner.make_directory(path)
    }

    fn remove_directory(&mut self, path: &str) -> io::Result<()> {
        self.step()?;
        self.inner.remove_directory(path)
    }
}

/// A laptop with a drop-in and a file of its own where ours would go.
fn host() -> FakeHost {
    let host = FakeHost::new(4 * GIB, 4);
    host.write("/var/lib/dpkg/status", "");
    host.write("/etc/sysctl.d/99-throng-tune.conf", "# somebody else's\n");
    host
}

fn changes(host: &Host, connections: u64) -> Vec<Change> {
    let profile = Profile::of(Role::Edge).unwrap();
    let inputs = inputs(connections, 4 * GIB, 4);
    let asks = profile.ask(&inputs.variables(&profile).unwrap()).unwrap();
    let journal = Journal::load(&HostStorage::new(host)).unwrap();
    prepare(host, &profile, &asks, journal.as_ref(), ApplyScope::Host, false)
}

fn apply_now(host: &Host, connections: u64) {
    let _lock = HostStorage::lock(host).unwrap();
    apply(&mut HostStorage::new(host), &changes(host, connections), "", 7).unwrap();
}

fn rollback_now(host: &Host) {
    let _lock = HostStorage::lock(host).unwrap();
    rollback(&mut HostStorage::new(host), "").unwrap();
}

/// Does `act` again and again, each time dying one write later, and hands the host to `then`; ends
/// with the first time that it does not die. Returns how often it did.
fn every_crash(
    before: impl Fn(&Host),
    act: impl Fn(&Host, &mut Dying<'_>) -> bool,
    then: impl Fn(&FakeHost, &Host),
) -> usize {
    for writes_left in 0.. {
        for is_torn in [false, true] {
            let fake = host();
            let host = Host::at(fake.path());
            before(&host);
            let lock = HostStorage::lock(&host).unwrap();
            let mut storage = Dying { inner: HostStorage::new(&host), writes_left, is_torn };
            let is_done = act(&host, &mut storage);
            drop(lock);
            then(&fake, &host);
            if is_done {
                return writes_left;
            }
        }
    }
    unreachable!("the numbers do not end");
}

fn planned(connections: u64) -> Tree {
    let fake = host();
    apply_now(&Host::at(fake.path()), connections);
    fake.tree()
}

fn dying_apply(connections: u64) -> impl Fn(&Host, &mut Dying<'_>) -> bool {
    move |host, storage| apply(storage, &changes(host, connections), "", 7).is_ok()
}

fn dying_rollback(_: &Host, storage: &mut Dying<'_>) -> bool {
    rollback(storage, "").is_ok()
}

#[test]
fn apply_dies_and_rollback_goes_back() {
    let original = host().tree();
    let crashes = every_crash(
        |_| (),
        dying_apply(100_000),
        |fake, host| {
            rollback_now(host);
            assert_same(&fake.tree(), &original);
        },
    );
    assert!(crashes > 20, "{crashes} writes");
}

#[test]
fn apply_dies_and_the_next_one_goes_on() {
    let goal = planned(100_000);
    every_crash(
        |_| (),
        dying_apply(100_000),
        |fake, host| {
            apply_now(host, 100_000);
            assert_same(&fake.tree(), &goal);
        },
    );
}

#[test]
fn a_second_apply_dies_and_a_third_one_or_rollback_ends_it() {
    let (original, goal) = (host().tree(), planned(50_000));
    every_crash(
        |host| apply_now(host, 400_000),
        dying_apply(50_000),
        |fake, host| {
            apply_now(host, 50_000);
            assert_same(&fake.tree(), &goal);
            rollback_now(host);
            assert_same(&fake.tree(), &original);
        },
    );
}

#[test]
fn rollback_dies_and_the_next_one_ends_it() {
    let original = host().tree();
    let crashes = every_crash(
        |host| apply_now(host, 100_000),
        dying_rollback,
        |fake, host| {
            rollback_now(host);
            assert_same(&fake.tree(), &original);
        },
    );
    assert!(crashes > 15, "{crashes} writes");
}

#[test]
fn rollback_dies_and_apply_goes_forward_again() {
    let goal = planned(100_000);
    every_crash(
        |host| apply_now(host, 100_000),
        dying_rollback,
        |fake, host| {
            apply_now(host, 100_000);
            assert_same(&fake.tree(), &goal);
        },
    );
}
