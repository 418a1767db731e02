//! People talk over a real gateway, and nothing is lost, doubled, out of order or wrong: neither in
//! peace nor when the gateway is killed in the middle and comes back on the same data.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use throng_bench::generator::run::RunPlan;
use throng_bench::generator::{Counter, Metric, RunRecord, ShardInfo, Target, run};
use throng_bench::workload::chat::{Chat, ChatPlan, Encoding, Findings, Manners, Pairs, verdict};

/// Set in a child that is the gateway: its arguments, one a line.
const GATEWAY_ARGUMENTS: &str = "THRONG_BENCH_GATEWAY_ARGUMENTS";

/// Not a test: what a child of this program is. A gateway must be a process to be killed.
#[test]
#[ignore = "is the gateway of the other tests, in a process of its own"]
fn gateway() {
    let Ok(arguments) = std::env::var(GATEWAY_ARGUMENTS) else { return };
    let arguments = std::iter::once("throng-edge").chain(arguments.lines());
    let Ok(throng_edge::config::Asked::Run(settings)) = throng_edge::config::read(arguments) else {
        panic!("the arguments are not understood");
    };
    throng_edge::process::run(*settings).unwrap();
}

/// A gateway that is killed with the value.
struct Gateway {
    child: Child,
    address: String,
}

impl Gateway {
    fn start(data: &Path, listen: &str) -> Self {
        Self::try_start(data, listen).expect("the gateway did not get ready")
    }

    /// On the address of one that was killed: the kernel releases the sockets of a ring some time
    /// after its process is gone.
    fn start_again(data: &Path, listen: &str) -> Self {
        let mut tries = (0..50).filter_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            Self::try_start(data, listen)
        });
        tries.next().expect("the gateway did not get ready again")
    }

    fn try_start(data: &Path, listen: &str) -> Option<Self> {
        let data = data.display();
        let arguments = format!(
            "--listen\n{listen}\n--admin\n127.0.0.1:0\n--shards\n2\n--data\n{data}\n--durability\nos"
        );
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "gateway", "--ignored", "--nocapture"])
            .env(GATEWAY_ARGUMENTS, arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.find_map(|line| {
            let address = line.ok()?.split_once("ws=ws://")?.1.split('/').next()?.to_owned();
            Some(address)
        });
        let mut started = Self { child, address: ready.clone().unwrap_or_default() };
        if ready.is_none() {
            started.kill();
        }
        ready.map(|_| started)
    }

    /// SIGKILL: it has no time for anything.
    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

fn chat(rate: &str, seconds: u64, encoding: Encoding) -> ChatPlan {
    ChatPlan {
        manners: Manners {
            users: 200,
            devices: 1,
            direct: 0.5,
            pairs: Pairs::Random,
            sizes: "2:50%,10:40%,50:10%".parse().unwrap(),
            groups: 40,
            owners_speak: false,
        },
        run: 1,
        encoding,
        text_bytes: 120,
        receipts: true,
        connects: "1000".parse().unwrap(),
        messages: rate.parse().unwrap(),
        duration: Duration::from_secs(seconds),
        setup_max: Duration::from_secs(30),
        drain_max: Duration::from_secs(30),
    }
}

/// Runs it on two shards; `each_second` is told how many seconds have passed.
fn talk(address: &str, plan: ChatPlan, mut each_second: impl FnMut(u64)) -> (RunRecord, Findings) {
    let mut target = Target::at(address.parse().unwrap(), "/v1/ws");
    target.subprotocols.push(plan.encoding.subprotocol().to_owned());
    let clients = plan.manners.users * plan.manners.devices;
    let mut of_run = RunPlan::new(target, clients, plan.duration_max(), Metric::Ack);
    (of_run.shards, of_run.open_loop) = (Some(2), true);
    let (plan, findings) = (Arc::new(plan), Findings::default());
    let make = {
        let findings = findings.clone();
        move |info: ShardInfo| Chat::new(Arc::clone(&plan), info, findings.clone())
    };
    let mut seconds = 0;
    let record = run(&of_run, make, &mut |_| {
        seconds += 1;
        each_second(seconds);
    });
    (record.unwrap(), findings)
}

fn assert_faultless(record: &mut RunRecord, findings: &Findings, intended: u64) {
    let faults = verdict::judge(&mut record.total);
    let total = &record.total;
    let count = |counter| total.count(counter);
    assert!(faults.is_empty(), "{faults:?} {:?} {total:?}", findings.all());
    assert_eq!(count(Counter::Intended), intended);
    assert_eq!(count(Counter::Acked), intended);
    assert_eq!(count(Counter::Delivered), count(Counter::DeliveriesExpected));
    assert!(count(Counter::Delivered) > 2 * intended, "groups have more than one recipient");
    assert_eq!(total.times(Metric::Deliver).unwrap().len(), count(Counter::Delivered));
    assert_eq!(total.times(Metric::Ack).unwrap().len(), intended);
    let last = total.times(Metric::LastMember).unwrap().len();
    assert!(last > 0 && last < intended, "{last}");
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order_among_200_users_in_either_encoding() {
    for encoding in [Encoding::Json, Encoding::Proto] {
        let data = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(data.path(), "127.0.0.1:0");
        let (mut record, findings) = talk(&gateway.address, chat("200", 3, encoding), |_| {});
        assert_faultless(&mut record, &findings, 600);
        assert_eq!(record.total.failures().count(), 0);
    }
}

#[test]
fn a_killed_gateway_that_comes_back_on_its_data_has_lost_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(data.path(), "127.0.0.1:0");
    let address = gateway.address.clone();
    let mut killed = false;
    let (mut record, findings) = talk(&address, chat("100", 6, Encoding::Json), |seconds| {
        if seconds == 4 {
            gateway.kill();
            gateway = Gateway::start_again(data.path(), &address);
            killed = true;
        }
    });
    assert!(killed);
    assert_faultless(&mut record, &findings, 600);
    let failed: u64 = record.total.failures().map(|(.., count)| count).sum();
    assert!(failed >= 200, "every connection was cut: {failed}");
    assert!(record.total.count(Counter::Established) >= 400);
}
