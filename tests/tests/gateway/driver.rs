//! The shards' kernel interface: what is asked for is taken and named everywhere, and a host that
//! refuses io_uring still runs a gateway.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use throng_tests::client::Client;
use throng_tests::gateway::{Ended, Gateway, run_to_end};
use throng_tests::http;
use throng_tests::refusal::without_io_uring;

/// The line of the log about the choice.
fn choice(gateway: &Gateway) -> String {
    let log = gateway.log();
    let mut lines = log.lines().filter(|line| line.contains("driver "));
    let line = lines.next().unwrap_or_else(|| panic!("nothing of a driver in:\n{log}"));
    assert_eq!(lines.next(), None, "one line");
    line.to_owned()
}

fn talk(gateway: &Gateway) {
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    ann.say(&conv, "hello");
    while bob.pushed_with("event")["message"]["text"] != "hello" {}
}

#[test]
fn what_is_asked_for_is_taken_and_named() {
    for driver in ["epoll", "io_uring"] {
        let gateway = Gateway::start_with(&["--driver", driver]);
        assert_eq!(gateway.ready().field("driver"), driver);
        assert!(choice(&gateway).contains(&format!("driver {driver}: asked for")));
        let metrics = http::get(gateway.ready().admin_address(), "/metrics").body;
        let sample = format!("throng_edge_driver{{driver=\"{driver}\"}} 1");
        assert!(metrics.lines().any(|line| line == sample), "{sample} not in:\n{metrics}");
        talk(&gateway);
    }
}

#[test]
fn auto_takes_io_uring_where_the_host_has_it() {
    let gateway = Gateway::start_with(&["--driver", "auto"]);
    assert_eq!(gateway.ready().field("driver"), "io_uring");
    assert!(choice(&gateway).contains("driver io_uring"));
}

#[test]
fn auto_takes_epoll_where_the_host_refuses_io_uring_and_says_why() {
    let gateway = without_io_uring(|| Gateway::start_with(&["--driver", "auto"]));
    assert_eq!(gateway.ready().field("driver"), "epoll");
    let choice = choice(&gateway);
    for part in ["driver epoll", "EPERM", "Seccomp:2", "profile"] {
        assert!(choice.contains(part), "{part} not in {choice}");
    }
    talk(&gateway);
}

#[test]
fn io_uring_that_is_asked_for_and_refused_is_69_and_the_other_driver_is_named() {
    let arguments = ["--driver", "io_uring", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let ended: Ended = without_io_uring(|| run_to_end(&arguments));
    assert_eq!(ended.code, Some(69), "{}", ended.stderr);
    assert!(ended.stderr.contains("--driver epoll"), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}

#[test]
fn another_driver_is_64_and_the_three_are_named() {
    let ended = run_to_end(&["--driver", "kqueue"]);
    assert_eq!(ended.code, Some(64), "{}", ended.stderr);
    for driver in ["auto", "io_uring", "epoll"] {
        assert!(ended.stderr.contains(driver), "{}", ended.stderr);
    }
}

/// Of the files that a process may open a quarter (1,280 at most) is its own, 8 are the shard's,
/// and 128 are for refusals and the like: 164 of 400 are left for clients.
const FILES: u64 = 400;
const CAPACITY: usize = 164;

#[test]
fn over_epoll_the_process_limit_of_files_is_the_capacity_and_one_more_client_is_refused() {
    let gateway = Gateway::start_with_files(FILES, &["--driver", "epoll", "--shards", "1"]);
    let at = gateway.ready().client_address().to_owned();
    let count = |name: &str| {
        let metrics = http::get(gateway.ready().admin_address(), "/metrics").body;
        let samples: BTreeMap<&str, &str> =
            metrics.lines().filter_map(|line| line.rsplit_once(' ')).collect();
        samples[format!("throng_{name}{{shard=\"0\"}}").as_str()].parse::<f64>().unwrap() as usize
    };
    let clients: Vec<_> = (0..CAPACITY).map(|_| TcpStream::connect(&at).unwrap()).collect();
    let deadline = Instant::now() + Duration::from_secs(10);
    while count("edge_connections") < CAPACITY {
        assert!(Instant::now() < deadline, "{} of {CAPACITY}", count("edge_connections"));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(count("edge_refused_total"), 0);
    assert_eq!(http::get(&at, "/healthz").status, 503, "one too many");
    assert_eq!((count("edge_refused_total"), count("edge_accept_failures_total")), (1, 0));
    drop(clients);
    while count("edge_connections") > 0 {
        assert!(Instant::now() < deadline, "{} stay", count("edge_connections"));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(http::get(&at, "/healthz").status, 200);
}
