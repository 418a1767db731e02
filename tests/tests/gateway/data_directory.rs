//! The data directory says who may use it: one process, a build that knows its format, and only a
//! directory that is the gateway's own. A refusal is 74, says what to do, and touches nothing.

use std::fs;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use throng_tests::client::Client;
use throng_tests::gateway::{Ended, Gateway, run_to_end};

fn start_on(data: &std::path::Path) -> Ended {
    let data = data.to_str().unwrap();
    run_to_end(&["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data])
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "0"]);
    gateway.signal(Signal::TERM);
    gateway.wait();
    let data = gateway.dir().join("data");
    let format = data.join("FORMAT");
    let ours = fs::read_to_string(&format).unwrap();
    let newer = ours.replace('1', "2");
    assert_ne!(ours, newer);
    fs::write(&format, &newer).unwrap();
    let ended = start_on(&data);
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert!(
        ended.stderr.contains('2') && ended.stderr.contains(data.to_str().unwrap()),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_to_string(&format).unwrap(), newer);
    fs::write(&format, ours).unwrap();
    gateway.restart();
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    let ended = start_on(dir.path());
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    let left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["thesis.txt"]);
}

#[test]
fn an_empty_directory_and_one_that_is_missing_are_taken() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let gateway = Gateway::start_in(dir, &[]);
    assert!(gateway.dir().join("data/FORMAT").exists());
    assert!(Gateway::start().dir().join("data/FORMAT").exists());
}

#[test]
fn the_lock_of_a_killed_process_is_no_obstacle() {
    let mut gateway = Gateway::start();
    for _ in 0..3 {
        gateway.kill_and_restart();
    }
}

#[test]
fn groups_roles_names_and_the_log_survive_a_clean_stop() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "0"]);
    let (mut ann, first) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &["bob", "cid"]);
    let role = json!({"conv": conv, "user": "bob", "role": "admin"});
    ann.ask_for("ack", "set_role", &role);
    ann.ask_for("ack", "rename", &json!({"conv": conv, "name": "coffee"}));
    ann.say(&conv, "kept");
    let state = |client: &mut Client| {
        let page = client.sync(&conv, 0);
        let members = client.ask_for("members", "members", &json!({"conv": conv}));
        let listed = client.ask_for("conversations", "conversations", &json!({}));
        (page["events"].clone(), members, listed["items"][0]["name"].clone())
    };
    let before = state(&mut ann);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.restart();
    let (mut ann, second) = Client::join(&gateway.url(), "ann", "phone");
    assert_eq!(state(&mut ann), before);
    assert_eq!(before.2, "coffee");
    assert_eq!(second["log_id"], first["log_id"], "the same log");
}
