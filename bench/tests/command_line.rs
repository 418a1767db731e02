//! The program as scripts use it: exit codes and the JSON result.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use support::real::{Scripted, echo};

const PROGRAM: &str = env!("CARGO_BIN_EXE_throng-bench");

fn bench(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

fn exit(arguments: &[&str]) -> i32 {
    let output = bench(arguments);
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn json_of(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_command_line_that_is_wrong_exits_with_64() {
    assert_eq!(exit(&["flood"]), 64);
    assert_eq!(exit(&["flood", "--url", "ws://127.0.0.1:1/", "--no-such-thing"]), 64);
    assert_eq!(exit(&["flood", "--url", "wss://127.0.0.1:1/"]), 64);
    assert_eq!(exit(&["flood", "--url", "ws://127.0.0.1:1/", "--rate", "0"]), 64);
    assert_eq!(exit(&["flood", "--url", "ws://127.0.0.1:1/", "--silent", "1.5"]), 64);
    let unknown = bench(&["echo", "--url", "ws://127.0.0.1:1/", "--assert", "p99_sm<5"]);
    assert_eq!(unknown.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("p99_sm"));
    assert_eq!(exit(&["--help"]), 0);
}

#[test]
fn a_host_that_cannot_do_it_exits_with_69() {
    let gone = ["flood", "--url", "ws://127.0.0.1:1/", "-q", "--server-pid", "4294967294"];
    assert_eq!(exit(&gone), 69);
    let many = ["flood", "--url", "ws://127.0.0.1:1/", "--connections", "3000000", "--shards", "1"];
    assert_eq!(exit(&many), 69);
}

#[test]
fn thresholds_decide_between_0_and_99() {
    let server = Scripted::start(echo);
    let url = server.url();
    let flood = ["flood", "--url", &url, "--connections", "5", "--hold", "100ms", "-q"];
    let lenient = ["--lateness-max", "10s"];
    let run = |threshold| exit(&[&flood[..], &lenient, &["--assert", threshold]].concat());
    assert_eq!(run("failed==0"), 0);
    assert_eq!(run("established>=6"), 99);
}

#[test]
fn a_generator_that_is_late_exits_with_98() {
    let server = Scripted::start(echo);
    let url = server.url();
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("late.json");
    let flood = ["flood", "--url", &url, "--connections", "5", "--hold", "100ms", "-q"];
    // Nobody is as punctual as that.
    let late = ["--lateness-max", "0.001us", "--json", json.to_str().unwrap()];
    assert_eq!(exit(&[&flood[..], &late].concat()), 98);
    let result = json_of(&json);
    assert_eq!(result["valid"], false);
    assert!(result["invalid"][0].as_str().unwrap().starts_with("generator: "));
}

#[test]
fn a_result_has_what_scripts_rely_on() {
    let server = Scripted::start(echo);
    let url = server.url();
    let dir = tempfile::tempdir().unwrap();
    let [json, hdr, csv] = ["r.json", "r.hdr", "r.csv"].map(|name| dir.path().join(name));
    let pid = std::process::id().to_string();
    let output = bench(&[
        "echo",
        "--url",
        &url,
        "--connections",
        "4",
        "--size",
        "100",
        "--depth",
        "4",
        "--secs",
        "1",
        "--lateness-max",
        "10s",
        "--server-pid",
        &pid,
        "--json",
        json.to_str().unwrap(),
        "--hdr",
        hdr.to_str().unwrap(),
        "--csv",
        csv.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result = json_of(&json);
    assert_eq!(result["schema"], "throng-bench/1");
    assert_eq!((&result["kind"], &result["valid"]), (&"echo".into(), &true.into()));
    assert_eq!(result["established"], 4);
    assert_eq!(result["failed"], serde_json::json!({}));
    for percentile in ["p50", "p90", "p99", "p99_9", "p99_99", "max"] {
        assert!(result["latency_us"]["echo"][percentile].as_f64().unwrap() > 0.0, "{percentile}");
    }
    for side in ["server", "client"] {
        assert!(result[side]["cpu_seconds"].as_f64().unwrap() > 0.0, "{side}");
        assert!(result[side]["rss_bytes"].as_u64().unwrap() > 0, "{side}");
        assert!(result[side]["slab_bytes"].is_u64(), "{side}");
    }
    assert!(result["figures"]["messages_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(result["plan"]["size"], 100);
    assert!(std::fs::read_to_string(hdr).unwrap().contains("echo"));
    assert!(std::fs::read_to_string(csv).unwrap().lines().count() >= 2);
    // Piped: a line for each second.
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(lines.lines().any(|line| line.trim_start().starts_with("1 s  open 4")), "{lines}");
}

/// A coordinator and its address, which is in the line that it prints first.
fn coordinator(arguments: &[&str]) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let address = line.trim().rsplit(' ').next().unwrap().to_owned();
    (child, lines, address)
}

#[test]
fn two_workers_and_their_coordinator_make_one_flood() {
    let server = Scripted::start(echo);
    let json = tempfile::NamedTempFile::new().unwrap();
    let path = json.path().to_str().unwrap();
    let (mut coordinating, lines, address) = coordinator(&[
        "flood",
        "--url",
        &server.url(),
        "--connections",
        "7",
        "--hold",
        "1500ms",
        "-q",
        "--lateness-max",
        "10s",
        "--coordinator",
        "127.0.0.1:0",
        "--workers",
        "2",
        "--json",
        path,
    ]);
    let worker = || Command::new(PROGRAM).args(["--worker", &address]).spawn().unwrap();
    let mut workers = [worker(), worker()];
    let text = std::io::read_to_string(lines).unwrap();
    assert!(coordinating.wait().unwrap().success(), "{text}");
    for worker in &mut workers {
        assert!(worker.wait().unwrap().success());
    }
    let result = json_of(json.path());
    assert_eq!(result["valid"], true, "{result}");
    assert_eq!((&result["established"], &result["plan"]["workers"]), (&7.into(), &2.into()));
    let pids = result["client"]["pids"].as_array().unwrap();
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(result["client"]["cpu_seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_coordinator_whose_worker_refuses_says_why_and_both_exit_with_69() {
    let (coordinating, lines, address) = coordinator(&[
        "flood",
        "--url",
        "ws://127.0.0.1:1/",
        "--connections",
        "3000000",
        "--shards",
        "1",
        "-q",
        "--coordinator",
        "127.0.0.1:0",
        "--workers",
        "1",
    ]);
    assert_eq!(exit(&["--worker", &address]), 69);
    drop(lines);
    let ended = coordinating.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(69));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("refuses") && said.contains("FAIL"), "{said}");
}
