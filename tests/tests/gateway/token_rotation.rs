//! SIGHUP reads the key files again: new keys work, removed ones do not, who is connected stays; a
//! file that cannot be used changes nothing.

use std::time::{Duration, Instant};

use jsonwebtoken::Algorithm;
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::tokens::{Key, claims, write_jwks};

fn is_accepted(gateway: &Gateway, token: &str) -> bool {
    let mut client = Client::connect(&gateway.url()).unwrap();
    let id = client.request("hello", &json!({"token": token, "device": "tablet"}));
    client.answer(id).is_ok_and(|answer| answer.get("welcome").is_some())
}

/// Waits until a hello with this token has the wanted outcome.
fn becomes(gateway: &Gateway, token: &str, accepted: bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_accepted(gateway, token) != accepted {
        assert!(Instant::now() < deadline, "the keys did not change");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn keys_are_rotated_and_connections_stay() {
    let dir = TempDir::new().unwrap();
    let old = Key::pair(Algorithm::EdDSA, dir.path(), "old");
    let new = Key::pair(Algorithm::ES256, dir.path(), "new");
    let path = write_jwks(dir.path(), &[old.jwk("old")]);
    let gateway = Gateway::start_in(dir, &["--jwks", path.to_str().unwrap(), "--shards", "2"]);
    let (old_token, new_token) =
        (old.sign(&claims("ann"), Some("old")), new.sign(&claims("bob"), Some("new")));
    let mut connected = Client::connect(&gateway.url()).unwrap();
    let welcome = connected.hello(&json!({"token": old_token, "device": "phone"}));
    assert!(welcome.get("welcome").is_some());
    assert!(!is_accepted(&gateway, &new_token));

    let _ = write_jwks(gateway.dir(), &[old.jwk("old"), new.jwk("new")]);
    gateway.signal(Signal::HUP);
    becomes(&gateway, &new_token, true);
    assert!(is_accepted(&gateway, &old_token), "both hold for a while");

    let _ = write_jwks(gateway.dir(), &[new.jwk("new")]);
    gateway.signal(Signal::HUP);
    becomes(&gateway, &old_token, false);
    assert!(is_accepted(&gateway, &new_token));
    connected.ping();
}

/// Waits until so many lines of the log tell what is wrong with the key file.
fn says_why(gateway: &Gateway, path: &str, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let told =
        |line: &&str| line.contains("keys not reloaded; the old ones stay") && line.contains(path);
    while gateway.log().lines().filter(told).count() != times {
        assert!(Instant::now() < deadline, "{times} expected: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_that_cannot_be_used_leaves_the_keys_as_they_were_and_is_named() {
    let dir = TempDir::new().unwrap();
    let key = Key::pair(Algorithm::EdDSA, dir.path(), "key");
    let path = write_jwks(dir.path(), &[key.jwk("key")]);
    let name = path.to_str().unwrap();
    let mut gateway = Gateway::start_in(dir, &["--jwks", name]);
    let (valid, other) = (key.sign(&claims("ann"), Some("key")), "no.such.token");
    let broken = ["{ not json", r#"{"keys": []}"#, ""];
    for (times, content) in (1..).zip(broken) {
        std::fs::write(&path, content).unwrap();
        gateway.signal(Signal::HUP);
        says_why(&gateway, name, times);
        assert!(is_accepted(&gateway, &valid) && !is_accepted(&gateway, other), "{content:?}");
    }
    std::fs::remove_file(&path).unwrap();
    gateway.signal(Signal::HUP);
    says_why(&gateway, name, broken.len() + 1);
    assert!(is_accepted(&gateway, &valid));
    assert!(gateway.is_running());
    let next = Key::pair(Algorithm::ES256, gateway.dir(), "next");
    let _ = write_jwks(gateway.dir(), &[next.jwk("next")]);
    gateway.signal(Signal::HUP);
    becomes(&gateway, &next.sign(&claims("ann"), Some("next")), true);
}
