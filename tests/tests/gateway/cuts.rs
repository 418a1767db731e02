//! I1-I4 and I8 with 32 senders in shared groups whose connections are cut at random.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use throng_tests::checker;
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::history::{ClientHistory, History, Step};
use throng_tests::participant::Participant;
use throng_tests::random::Random;

const FINISH_LIMIT: Duration = Duration::from_secs(60);

/// A run of senders: each user has two devices, and each of them sends its share to all groups at
/// random.
pub(crate) struct Run {
    pub(crate) users: usize,
    pub(crate) groups: usize,
    /// Messages of each device.
    pub(crate) messages: usize,
    /// Cut the connection after about every nth turn; 0 never.
    pub(crate) cut_once_in: u64,
    /// Longest pause between two messages of a device.
    pub(crate) pause_ms: u64,
}

impl Run {
    pub(crate) fn sent(&self) -> usize {
        self.users * 2 * self.messages
    }

    fn user(number: usize) -> String {
        format!("user-{number}")
    }

    /// Everybody is in the first group; each user misses one of the others.
    pub(crate) fn create_groups(&self, gateway: &Gateway) -> Vec<String> {
        let (mut creator, _) = Client::join(&gateway.url(), "user-0", "creator");
        let create = |group: usize| {
            let is_in = |user: &usize| group == 0 || user % self.groups != group;
            let users: Vec<String> = (1..self.users).filter(is_in).map(Self::user).collect();
            let members: Vec<&str> = users.iter().map(String::as_str).collect();
            creator.create_group(&format!("group {group}"), &members)
        };
        (0..self.groups).map(create).collect()
    }

    fn groups_of(&self, user: usize, convs: &[String]) -> Vec<String> {
        let is_in = |group: usize| group == 0 || user == 0 || user % self.groups != group;
        let groups = convs.iter().enumerate().filter(|(group, _)| is_in(*group));
        groups.map(|(_, conv)| conv.clone()).collect()
    }

    pub(crate) fn start(
        &self,
        gateway: &Gateway,
        convs: &[String],
        random: &mut Random,
    ) -> Vec<JoinHandle<Participant>> {
        let mut threads = Vec::new();
        for user in 0..self.users {
            for device in ["phone", "laptop"] {
                let participant =
                    Participant::new(gateway.address(), &Self::user(user), device, random.split());
                let plan = Plan {
                    groups: self.groups_of(user, convs),
                    messages: self.messages,
                    cut_once_in: self.cut_once_in,
                    pause_ms: self.pause_ms,
                    random: random.split(),
                };
                threads.push(thread::spawn(move || plan.carry_out(participant)));
            }
        }
        threads
    }

    pub(crate) fn finish(
        &self,
        threads: Vec<JoinHandle<Participant>>,
        gateway: &Gateway,
        convs: &[String],
    ) -> History {
        let mut history = History::default();
        let join = |thread: JoinHandle<Participant>| thread.join().expect("no sender failed");
        let participants: Vec<Participant> = threads.into_iter().map(join).collect();
        for mut participant in participants {
            participant.finish(FINISH_LIMIT);
            history.clients.push(participant.into_history());
        }
        for user in 0..self.users {
            let mut reader =
                Participant::new(gateway.address(), &Self::user(user), "reader", Random::seeded(7));
            reader.finish(FINISH_LIMIT);
            for conv in self.groups_of(user, convs) {
                history.logs.push(reader.read_log(&conv));
            }
            history.clients.push(reader.into_history());
        }
        history
    }
}

struct Plan {
    groups: Vec<String>,
    messages: usize,
    cut_once_in: u64,
    pause_ms: u64,
    random: Random,
}

impl Plan {
    fn carry_out(mut self, mut participant: Participant) -> Participant {
        for number in 0..self.messages {
            let group = usize::try_from(self.random.below(self.groups.len() as u64)).unwrap();
            participant.say(&self.groups[group], &format!("message {number}"));
            participant.step(Duration::from_millis(1 + self.random.below(self.pause_ms)));
            if self.cut_once_in > 0 && self.random.one_in(self.cut_once_in) {
                participant.cut();
            }
        }
        participant.finish(FINISH_LIMIT);
        participant
    }
}

/// The checker finds nothing, and the run was one: every message is in the log once.
pub(crate) fn assert_run(history: &History, sent: usize) {
    checker::assert_good(history);
    let acked = |client: &ClientHistory| {
        client.steps.iter().filter(|step| matches!(step, Step::Acked { .. })).count()
    };
    let answered: usize = history.clients.iter().map(acked).sum();
    assert_eq!(answered, sent, "every message was acknowledged in the end");
    let mut damaged = history.clone();
    for view in &mut damaged.logs {
        view.events.pop();
        view.head -= 1;
    }
    assert!(!checker::check(&damaged).is_empty(), "the same run with a lost event is found");
}

/// How often any client was welcomed.
pub(crate) fn connections(history: &History) -> usize {
    let steps = history.clients.iter().flat_map(|client| &client.steps);
    steps.filter(|step| **step == Step::Connected).count()
}

#[test]
fn cut_connections_lose_double_reorder_and_leak_nothing() {
    let mut random = Random::of_this_run();
    let gateway =
        Gateway::start_with(&["--shards", "4", "--ops-burst", "60000", "--ops-per-s", "60000"]);
    let run = Run { users: 16, groups: 5, messages: 60, cut_once_in: 12, pause_ms: 15 };
    let convs = run.create_groups(&gateway);
    let senders = run.start(&gateway, &convs, &mut random);
    let history = run.finish(senders, &gateway, &convs);
    assert!(connections(&history) > 2 * 32, "hardly anything was cut");
    assert_run(&history, run.sent());
}
