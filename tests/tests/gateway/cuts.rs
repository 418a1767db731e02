//! I1-I4 and I8 with senders in shared groups and direct conversations while members come and go:
//! once with connections that are cut at random, once with connections that last.

use std::time::Duration;

use throng_tests::checker;
use throng_tests::gateway::Gateway;
use throng_tests::random::Random;
use throng_tests::run::Run;

const UNLIMITED: [&str; 4] = ["--ops-burst", "60000", "--ops-per-s", "60000"];
/// From the last answer of a run to the last push.
const PUSH_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn cut_connections_lose_double_reorder_and_leak_nothing() {
    let mut random = Random::of_this_run();
    let gateway = Gateway::start_with(&[&["--shards", "4"], &UNLIMITED[..]].concat());
    let run = Run {
        users: 16,
        groups: 5,
        messages: 60,
        cut_once_in: 12,
        pause_ms: 15,
        listen: Duration::ZERO,
    };
    let outcome = run.start(&gateway, &mut random).finish();
    assert!(outcome.connections() > 2 * 32, "hardly anything was cut");
    outcome.assert_good();
    let share = outcome.pushed_share();
    assert!(share > 0.4, "only {share} of what was seen came by push");
}

/// With every event's push awaited, nothing that a client asks for hides one that did not come.
#[test]
fn connections_that_last_are_pushed_every_event() {
    let mut random = Random::of_this_run();
    let gateway = Gateway::start_with(&[&["--shards", "2"], &UNLIMITED[..]].concat());
    let run = Run {
        users: 8,
        groups: 3,
        messages: 40,
        cut_once_in: 0,
        pause_ms: 30,
        listen: PUSH_WITHIN,
    };
    let outcome = run.start(&gateway, &mut random).finish();
    outcome.assert_good();
    assert_eq!(outcome.connections(), outcome.history.clients.len(), "none was lost");
    let missing = checker::not_pushed(&outcome.history);
    assert!(
        missing.is_empty(),
        "{} of\n{}",
        missing.len(),
        missing[..missing.len().min(5)].join("\n")
    );
}
