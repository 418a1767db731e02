//! Exit codes are stable, and the message names what to change.

use std::net::TcpListener;

use rustix::process::Signal;
use tempfile::TempDir;
use throng_tests::gateway::{Gateway, run_to_end};

fn path(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_stop_on_request_is_0() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "0"]);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn an_unknown_flag_is_64_and_named() {
    let ended = run_to_end(&["--no-such-flag"]);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(ended.stderr.contains("--no-such-flag"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn a_value_of_the_wrong_kind_is_64_and_named() {
    let ended = run_to_end(&["--shards", "many"]);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    assert!(ended.stderr.contains("many") && ended.stderr.contains("--shards"), "{}", ended.stderr);
}

#[test]
fn help_and_version_are_0() {
    for flag in ["--help", "--version"] {
        let ended = run_to_end(&[flag]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(!ended.stdout.is_empty() && ended.stderr.is_empty(), "{}", ended.stderr);
    }
}

#[test]
fn an_address_in_use_is_69_and_named() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    for (flag, free) in [("--listen", "--admin"), ("--admin", "--listen")] {
        let data = path(&dir, "data");
        let ended = run_to_end(&[flag, &taken, free, "127.0.0.1:0", "--data", &data]);
        assert_eq!(ended.code, Some(69), "{flag}: {}", ended.stderr);
        assert!(ended.stderr.contains(&taken), "{flag}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "nothing is ready");
    }
}

#[test]
fn a_second_gateway_on_the_same_address_is_69() {
    let gateway = Gateway::start();
    let taken = gateway.ready().client_address().to_owned();
    let dir = TempDir::new().unwrap();
    let data = path(&dir, "data");
    let ended = run_to_end(&["--listen", &taken, "--admin", "127.0.0.1:0", "--data", &data]);
    assert_eq!(ended.code, Some(69), "SO_REUSEPORT must not share: {}", ended.stderr);
}

#[test]
fn a_second_process_on_the_same_data_is_74_and_told_why() {
    let gateway = Gateway::start();
    let data = gateway.dir().join("data");
    let data = data.to_str().unwrap();
    let ended = run_to_end(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data]);
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(data), "{}", ended.stderr);
}

#[test]
fn data_in_a_place_that_is_a_file_is_74_and_named() {
    let dir = TempDir::new().unwrap();
    let data = path(&dir, "file");
    std::fs::write(&data, "not a directory").unwrap();
    let ended = run_to_end(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", &data]);
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(ended.stderr.contains(&data), "{}", ended.stderr);
}

#[test]
fn public_addresses_without_a_key_are_78() {
    let ended = run_to_end(&["--listen", "0.0.0.0:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("--jwt-key"), "{}", ended.stderr);
}

#[test]
fn a_key_file_that_is_not_there_is_78_and_named() {
    let dir = TempDir::new().unwrap();
    let key = path(&dir, "no-such-key.pem");
    let ended =
        run_to_end(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--jwt-key", &key]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("no-such-key.pem"), "{}", ended.stderr);
}

#[test]
fn a_key_that_cannot_be_used_is_told_before_an_address_is_tried() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let set = path(&dir, "keys.json");
    std::fs::write(&set, "junk").unwrap();
    let ended = run_to_end(&["--listen", &taken, "--admin", &taken, "--jwks", &set]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("not a JSON Web Key Set"), "{}", ended.stderr);
}

#[test]
fn a_second_sigterm_ends_at_once() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "25000"]);
    let (_ann, _) = throng_tests::client::Client::join(&gateway.url(), "ann", "phone");
    gateway.signal(Signal::TERM);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(gateway.is_running(), "a drain window of 25 s is not over");
    let asked = std::time::Instant::now();
    gateway.signal(Signal::TERM);
    gateway.wait();
    assert!(asked.elapsed() < std::time::Duration::from_secs(5), "{:?}", asked.elapsed());
}
