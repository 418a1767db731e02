//! Ports that run out are named, and not taken for a server's fault. In a network of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use support::real::{Scripted, echo};
use throng_bench::generator::run::{RunPlan, run};
use throng_bench::generator::{Arrival, Cause, Counter, Metric, Target};
use throng_bench::workload::flood::{Flood, FloodPlan, Shares};
use throng_bench::workload::greeting::Greeting;

/// Ports of the network.
const PORTS: u32 = 50;

#[test]
fn clients_beyond_the_ports_fail_for_want_of_a_port() {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: only root may make a network of its own");
        return;
    }
    let mut inner = Command::new("unshare");
    inner.arg("-n").arg(std::env::current_exe().unwrap());
    let output = inner.args(["--exact", "within_the_network", "--ignored"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
#[ignore = "changes the network's ports: run by the other test in a network of its own"]
fn within_the_network() {
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    // The server's own port is of the usual range, and not one of these.
    let server = Scripted::start(echo);
    let range = format!("20000 {}", 20_000 + PORTS - 1);
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", range).unwrap();
    let more = 10;
    let target = Target::at(server.address, "/");
    let mut plan = RunPlan::new(target, PORTS + more, Duration::from_secs(10), Metric::Establish);
    plan.shards = Some(2);
    let flood = FloodPlan {
        arrival: Arrival::Constant { rate: 1000.0 },
        greeting: Greeting::None,
        hold: Duration::from_millis(200),
        mean_life: None,
        shares: Shares::default(),
    };
    let make = move |info| Flood::new(flood.clone(), info, Instant::now());
    let record = run(&plan, make.clone(), &mut |_| {}).unwrap();
    let failures: Vec<_> = record.total.failures().collect();
    assert_eq!(failures, [(Cause::PortsExhausted, 0, u64::from(more))]);
    assert_eq!(record.total.count(Counter::Established), u64::from(PORTS));
    // Another source address has ports of its own.
    plan.target.sources = ["127.0.0.2", "127.0.0.3"].map(|source| source.parse().unwrap()).into();
    let record = run(&plan, make, &mut |_| {}).unwrap();
    assert_eq!(record.total.count(Counter::Failed), 0);
}
