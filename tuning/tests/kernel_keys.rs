//! Every key of every profile is in this kernel, with the namespace scope that its profile says.
//! Where namespaces are refused, only what needs none is tested.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use throng_tune::host::{Host, KernelVersion};
use throng_tune::profile::{Key, Kind, Profile, Role, Scope};

fn keys() -> Vec<Key> {
    let mut keys: Vec<Key> =
        Role::ALL.iter().flat_map(|role| Profile::of(*role).unwrap().keys).collect();
    let kernel = KernelVersion::parse(&Host::this().sysctl("kernel.osrelease").unwrap()).unwrap();
    keys.retain(|key| key.kernel <= kernel && matches!(key.kind, Kind::Sysctl | Kind::Boot));
    keys
}

/// What a new network namespace lets its owner write, of these paths.
fn writable_in_a_new_namespace(paths: &[String]) -> Option<Vec<bool>> {
    let script =
        "for p; do [ -e $p ] && [ $(($(stat -c 0%a $p) & 0200)) != 0 ] && echo y || echo n; done";
    let output =
        Command::new("unshare").args(["-n", "sh", "-c", script, "sh"]).args(paths).output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "y").collect())
}

/// A kernel built for machines with one node does not have it.
const OPTIONAL: &str = "kernel.numa_balancing";

#[test]
fn every_key_is_there_unless_its_module_is_not_loaded() {
    // A container's network namespace does not show the host's keys.
    let shows_all = Path::new("/proc/sys/net/ipv4/tcp_mem").exists();
    for key in keys().into_iter().filter(|key| key.module.is_none() && key.name != OPTIONAL) {
        let path = key.path().unwrap();
        let is_hidden = !shows_all && key.scope == Scope::Host && key.name.starts_with("net.");
        assert!(is_hidden || Path::new(&path).exists(), "{path}");
    }
}

#[test]
fn network_keys_belong_to_whom_the_profile_says() {
    let keys: Vec<_> = keys().into_iter().filter(|key| key.name.starts_with("net.")).collect();
    let keys: Vec<_> =
        keys.into_iter().filter(|key| Path::new(&key.path().unwrap()).exists()).collect();
    let paths: Vec<_> = keys.iter().map(|key| key.path().unwrap()).collect();
    let Some(writable) = writable_in_a_new_namespace(&paths) else {
        eprintln!("skipped: this process may not make a network namespace");
        return;
    };
    for (key, writable) in keys.iter().zip(writable) {
        assert_eq!(writable, key.scope == Scope::Netns, "{}", key.name);
    }
}

#[test]
fn every_counter_of_netstat_that_a_key_names_is_there() {
    let netstat = Host::this().read("/proc/net/netstat").unwrap();
    let known: Vec<_> = netstat.split_whitespace().collect();
    let mut seen = 0;
    for key in Role::ALL.iter().flat_map(|role| Profile::of(*role).unwrap().keys) {
        let Some((names, _)) = key.counter.split_once(" in /proc/net/netstat") else { continue };
        for name in names.split([' ', ',']).filter(|word| word.starts_with(char::is_uppercase)) {
            assert!(known.contains(&name), "{}: {name}", key.name);
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}
