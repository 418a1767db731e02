//! SIGTERM: not ready, a hint to every client over the window, all that was under way answered, 0.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use throng_tests::client::{Client, Refused};
use throng_tests::gateway::Gateway;
use throng_tests::random::Random;
use throng_tests::run::Run;
use throng_tests::{http, ids};

/// From being told to the close. Who comes back at the moment in the hint is never cut off.
const GRACE: Duration = Duration::from_secs(2);

#[test]
fn clients_are_told_and_closed_with_4000_and_the_process_ends_with_0() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "2000", "--shards", "2"]);
    let mut clients: Vec<Client> = (0..20)
        .map(|number| Client::join(&gateway.url(), &format!("user-{number}"), "phone").0)
        .collect();
    let asked = Instant::now();
    gateway.signal(Signal::TERM);
    let mut moments = Vec::new();
    for client in &mut clients {
        let hint = client.pushed_with("reconnect");
        assert_eq!(hint["reason"], "drain", "{hint}");
        let after_ms = hint["after_ms"].as_u64().unwrap_or(0);
        assert!(u128::from(after_ms) < GRACE.as_millis(), "{hint}");
        moments.push(after_ms);
    }
    moments.sort_unstable();
    moments.dedup();
    assert!(moments.len() > 10, "20 clients come back at {moments:?} ms");
    for client in &mut clients {
        assert_eq!(client.closed_within(GRACE * 2).code, Some(4000));
        assert!(asked.elapsed() >= GRACE, "closed after {:?}", asked.elapsed());
    }
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn it_is_not_ready_from_the_first_moment_and_alive_to_the_last() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "4000"]);
    let (_ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let admin = gateway.ready().admin_address().to_owned();
    gateway.signal(Signal::TERM);
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let status = http::get(&admin, "/readyz").status;
        if status == 503 {
            break;
        }
        assert!(Instant::now() < deadline, "still {status} after 2 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(http::get(&admin, "/healthz").status, 200);
    assert!(gateway.is_running());
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn everybody_new_is_told_503_while_it_drains() {
    let gateway = Gateway::start_with(&["--drain-window-ms", "3000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    gateway.signal(Signal::TERM);
    ann.pushed_with("reconnect");
    let address = gateway.ready().client_address();
    // Ann stays for two seconds.
    for _ in 0..10 {
        let answer = http::get(address, "/readyz");
        assert_eq!(answer.status, 503, "{}", answer.head);
        assert!(answer.head.contains("\r\nRetry-After: "), "{}", answer.head);
        assert!(answer.head.contains("\r\nConnection: close"), "{}", answer.head);
        match Client::connect(&gateway.url()) {
            Err(Refused::Status(status)) => assert_eq!(status, 503),
            Err(Refused::Broken(error)) => panic!("no answer: {error}"),
            Ok(_) => panic!("a new connection while draining"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_was_acknowledged_while_draining_is_there_afterwards() {
    let mut gateway = Gateway::start_with(&["--drain-window-ms", "1500", "--ops-burst", "5000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &[]);
    gateway.signal(Signal::TERM);
    let mut acked = Vec::new();
    for number in 0..2_000 {
        let text = number.to_string();
        let fields = json!({"conv": conv, "client_msg_id": ids::fresh(), "text": text});
        let request = ann.request("send", &fields);
        match ann.answer(request) {
            Ok(answer) if answer.get("ack").is_some() => {
                acked.push((answer["ack"]["seq"].as_u64().unwrap(), number.to_string()));
            }
            Ok(_) => {}
            Err(_) => break,
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(!acked.is_empty());
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.restart();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let mut after = 0;
    let mut log = Vec::new();
    loop {
        let page = ann.sync(&conv, after);
        for event in page["events"].as_array().cloned().unwrap_or_default() {
            after = event["seq"].as_u64().unwrap();
            if let Some(text) = event["message"]["text"].as_str() {
                log.push((after, text.to_owned()));
            }
        }
        if !page["has_more"].as_bool().unwrap_or(false) {
            break;
        }
    }
    assert!(acked.iter().all(|entry| log.contains(entry)), "{acked:?}\n{log:?}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let mut gateway = Gateway::start_with(&["--drain-window-ms", "60000"]);
        let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
        gateway.signal(Signal::TERM);
        // It was heard. From here the client would be given two seconds.
        ann.pushed_with("reconnect");
        assert!(gateway.is_running());
        gateway.signal(second);
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(gateway.log().contains("told twice to stop"), "{}", gateway.log());
        assert!(ann.closed_within(Duration::from_secs(5)).code != Some(4000), "not orderly");
    }
}

/// Neither the window of 10 s nor the grace of a client is waited for. The store's last sync may be
/// slow where others use the disk, so one try of three has to be fast.
#[test]
fn without_clients_it_ends_at_once() {
    let end = |_| {
        let mut gateway = Gateway::start();
        let asked = Instant::now();
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait().code(), Some(0));
        asked.elapsed()
    };
    let tries: Vec<Duration> = (0..3).map(end).collect();
    assert!(tries.iter().any(|took| *took < GRACE), "{tries:?}: nobody is to be told");
}

/// I1-I4 over stops while everybody is busy: whoever was not answered tries again after the
/// restart.
#[test]
fn nothing_acknowledged_is_lost_by_stops_under_load() {
    const STOPS: usize = 4;
    let mut random = Random::of_this_run();
    let mut gateway = Gateway::start_with(&[
        "--shards",
        "2",
        "--drain-window-ms",
        "200",
        "--ops-burst",
        "60000",
        "--ops-per-s",
        "60000",
    ]);
    let run = Run {
        users: 16,
        groups: 5,
        messages: 120,
        cut_once_in: 0,
        pause_ms: 30,
        listen: Duration::ZERO,
    };
    let started = run.start(&gateway, &mut random);
    for _ in 0..STOPS {
        std::thread::sleep(Duration::from_millis(150 + random.below(400)));
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.wait().code(), Some(0), "{}", gateway.log());
        gateway.restart();
    }
    let outcome = started.finish();
    let most_stops = run.users * 2 * (1 + STOPS / 2);
    assert!(outcome.connections() > most_stops, "the run was over before the stops");
    outcome.assert_good();
}
