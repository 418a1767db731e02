//! I1-I4 and I8 over kill -9 of the process at random moments: senders retry with the same ids, and
//! the checker looks at everything that everyone sent and saw.

use std::thread;
use std::time::Duration;

use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::random::Random;
use throng_tests::run::Run;

const KILLS: usize = 8;

#[test]
fn nothing_acknowledged_is_lost_by_kills_at_random_moments() {
    let mut random = Random::of_this_run();
    let mut gateway =
        Gateway::start_with(&["--shards", "2", "--ops-burst", "60000", "--ops-per-s", "60000"]);
    let run = Run {
        users: 16,
        groups: 5,
        messages: 120,
        cut_once_in: 60,
        pause_ms: 30,
        listen: Duration::ZERO,
    };
    let started = run.start(&gateway, &mut random);
    for _ in 0..KILLS {
        thread::sleep(Duration::from_millis(150 + random.below(500)));
        gateway.kill_and_restart();
    }
    let outcome = started.finish();
    let most_kills = run.users * 2 * (1 + KILLS / 2);
    assert!(outcome.connections() > most_kills, "the run was over before the kills");
    outcome.assert_good();
    let share = outcome.pushed_share();
    assert!(share > 0.3, "only {share} of what was seen came by push");
}

#[test]
fn a_single_acknowledged_message_survives_a_kill_right_after_its_ack() {
    let mut gateway = Gateway::start();
    let mut convs = Vec::new();
    for round in 0..5 {
        let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
        let conv = ann.create_group(&format!("round {round}"), &["bob"]);
        let seq = ann.say(&conv, "durable");
        convs.push((conv, seq));
        gateway.kill_and_restart();
    }
    let (mut bob, _) = Client::join(&gateway.url(), "bob", "phone");
    for (conv, seq) in convs {
        let page = bob.sync(&conv, seq - 1);
        assert_eq!(page["events"][0]["message"]["text"], "durable", "{page}");
        assert_eq!(page["head"], seq);
    }
}

#[test]
fn a_receiver_hears_of_a_message_whose_sender_was_acknowledged_just_before_the_kill() {
    let mut gateway = Gateway::start();
    let (_bob, welcome) = Client::join(&gateway.url(), "bob", "phone");
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    let seq = ann.say(&conv, "did it arrive?");
    gateway.kill_and_restart();
    let mut bob = Client::connect(&gateway.url()).unwrap();
    let hello = serde_json::json!({"user": "bob", "device": "phone", "cursor": welcome["cursor"]});
    let welcome = bob.hello(&hello)["welcome"].clone();
    let named = welcome["changes"]
        .as_array()
        .unwrap()
        .iter()
        .any(|change| change["conv"] == conv.as_str() && change["head"] == seq);
    assert!(named, "touch, then deliver: {welcome}");
}
