//! A recorded run: users with two devices each write to shared groups and to each other while a
//! [`steward`] changes who is in the groups, with connections cut at random. What everybody did and
//! saw, with every member's final reading, is the [`History`] for the checker.
//!
//! Order of calls: [`Run::start`], whatever the test does to the gateway meanwhile, then
//! [`Started::finish`], then [`Outcome::assert_good`].

mod roster;
mod steward;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::checker;
use crate::client::Client;
use crate::gateway::{Address, Gateway};
use crate::history::{ClientHistory, History, Step};
use crate::ids;
use crate::participant::Participant;
use crate::random::Random;

use roster::Roster;

/// The devices that read every log in the end, and do nothing else.
const READER: &str = "reader";
const FINISH_LIMIT: Duration = Duration::from_secs(60);
/// Of the messages, one in so many goes to another user and not to a group.
const DIRECT_ONCE_IN: u64 = 6;
/// The group whose members see all of it, whenever they joined.
const OPEN_GROUP: usize = 1;

/// What is done in a run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Users with two devices. The last quarter are those whose memberships change.
    pub users: usize,
    /// Groups. Everybody starts in the first; each user misses one of the others.
    pub groups: usize,
    /// Messages of each device.
    pub messages: usize,
    /// Cut the connection after about every nth turn; 0 never.
    pub cut_once_in: u64,
    /// Longest pause between two messages of a device.
    pub pause_ms: u64,
    /// How long everybody goes on listening when all is said.
    pub listen: Duration,
}

/// A run under way.
#[derive(Debug)]
pub struct Started {
    run: Run,
    address: Address,
    threads: Vec<JoinHandle<Vec<Participant>>>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Outcome {
    /// All that was done and seen.
    pub history: History,
    run: Run,
}

/// Counts the threads that still have something to do; each counts itself down, also by a panic.
#[derive(Debug)]
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Run {
    fn user(number: usize) -> String {
        format!("user-{number}")
    }

    /// Those whose memberships change.
    fn guests(&self) -> Vec<String> {
        (self.users - self.users / 4..self.users).map(Self::user).collect()
    }

    /// Creates the groups and starts all threads.
    #[must_use]
    pub fn start(self, gateway: &Gateway, random: &mut Random) -> Started {
        let rosters = self.create_groups(gateway);
        let convs: Vec<String> = rosters.iter().map(|roster| roster.conv.clone()).collect();
        let busy = Arc::new(AtomicUsize::new(self.users * 2 + 1));
        let mut threads = Vec::new();
        for number in 0..self.users {
            for device in ["phone", "laptop"] {
                let (address, user) = (gateway.address(), Self::user(number));
                let participant = Participant::new(address, &user, device, random.split());
                let sender = Sender {
                    run: self,
                    number,
                    groups: self.groups_of(number, &convs),
                    random: random.split(),
                };
                let busy = Busy(Arc::clone(&busy));
                threads.push(thread::spawn(move || vec![sender.carry_out(participant, busy)]));
            }
        }
        let mut steward = steward::Steward::new(&self, gateway.address(), rosters, random);
        threads.push(thread::spawn(move || {
            steward.carry_out(Busy(busy));
            steward.into_participants()
        }));
        Started { run: self, address: gateway.address(), threads }
    }

    fn is_founder(&self, user: usize, group: usize) -> bool {
        group == 0 || user == 0 || user % self.groups != group
    }

    fn create_groups(&self, gateway: &Gateway) -> Vec<Roster> {
        let (mut creator, _) = Client::join(&gateway.url(), &Self::user(0), "creator");
        let mut create = |group: usize| {
            let is_in = |user: &usize| self.is_founder(*user, group);
            let members: Vec<String> = (1..self.users).filter(is_in).map(Self::user).collect();
            let history = if group == OPEN_GROUP { "all" } else { "joined" };
            let name = format!("group {group}");
            let id = ids::fresh();
            let ack = creator.ask_for(
                "ack",
                "create_group",
                &json!({"name": name, "members": members, "history": history, "client_msg_id": id}),
            );
            let conv = ack["conv"].as_str().expect("an ack names the conversation");
            Roster::new(conv, &Self::user(0), &members)
        };
        (0..self.groups).map(&mut create).collect()
    }

    /// Guests write to all groups, whether they are in them or not.
    fn groups_of(&self, user: usize, convs: &[String]) -> Vec<String> {
        let is_guest = user >= self.users - self.users / 4;
        let groups = convs.iter().enumerate();
        let groups = groups.filter(|(group, _)| is_guest || self.is_founder(user, *group));
        groups.map(|(_, conv)| conv.clone()).collect()
    }
}

impl Started {
    /// Waits for all threads; then every device catches up, and every user reads every log.
    #[must_use]
    pub fn finish(self) -> Outcome {
        let mut history = History::default();
        let join = |thread: JoinHandle<Vec<Participant>>| thread.join().expect("no thread failed");
        let participants: Vec<Participant> = self.threads.into_iter().flat_map(join).collect();
        for mut participant in participants {
            participant.finish(FINISH_LIMIT);
            history.clients.push(participant.into_history());
        }
        for user in 0..self.run.users {
            let (address, random) = (self.address.clone(), Random::seeded(7));
            let mut reader = Participant::new(address, &Run::user(user), READER, random);
            reader.finish(FINISH_LIMIT);
            for conv in reader.listed() {
                history.logs.push(reader.read_log(&conv));
            }
            history.clients.push(reader.into_history());
        }
        Outcome { history, run: self.run }
    }
}

struct Sender {
    run: Run,
    number: usize,
    groups: Vec<String>,
    random: Random,
}

impl Sender {
    fn carry_out(mut self, mut participant: Participant, busy: Busy) -> Participant {
        for message in 0..self.run.messages {
            self.say(&mut participant, &format!("message {message}"));
            participant.step(Duration::from_millis(1 + self.random.below(self.run.pause_ms)));
            if self.run.cut_once_in > 0 && self.random.one_in(self.run.cut_once_in) {
                participant.cut();
            }
        }
        participant.empty_outbox(FINISH_LIMIT);
        let others = Arc::clone(&busy.0);
        drop(busy);
        listen(&others, self.run.listen, || participant.step(Duration::from_millis(10)));
        participant
    }

    /// To a group; or to the neighbour who writes back, or to one who writes to somebody else.
    fn say(&mut self, participant: &mut Participant, text: &str) {
        if self.random.one_in(DIRECT_ONCE_IN) {
            let peer = match self.random.one_in(2) {
                true => self.number ^ 1,
                false => (self.number + 2) % self.run.users,
            };
            participant.say_to(&Run::user(peer), text);
        } else {
            let group = usize::try_from(self.random.below(self.groups.len() as u64)).unwrap();
            participant.say(&self.groups[group], text);
        }
    }
}

/// Goes on until nobody has anything to do any more, and `longer`.
fn listen(busy: &AtomicUsize, longer: Duration, mut turn: impl FnMut()) {
    while busy.load(Ordering::Acquire) > 0 {
        turn();
    }
    let end = Instant::now() + longer;
    while Instant::now() < end {
        turn();
    }
}

impl Outcome {
    /// The checker finds nothing, and the run was one: all messages were answered for good, only
    /// guests were refused any, there were guests outside and inside, and a lost event is found.
    ///
    /// # Panics
    /// When it was not so.
    pub fn assert_good(&self) {
        checker::assert_good(&self.history);
        let (mut acked, mut refused) = (0, 0);
        for client in self.history.clients.iter().filter(|client| client.device != steward::DEVICE)
        {
            let refusals = count(client, |step| matches!(step, Step::Refused { .. }));
            let is_guest = self.run.guests().contains(&client.user);
            assert!(refusals == 0 || is_guest, "{}: {refusals} messages refused", client.user);
            refused += refusals;
            acked += count(client, |step| matches!(step, Step::Acked { .. }));
        }
        let said = self.run.users * 2 * self.run.messages;
        assert_eq!(acked + refused, said, "every message was answered in the end");
        assert!(refused > 0, "no guest was outside a group when they wrote to it");
        self.assert_membership_changed();
        self.assert_a_lost_event_is_found();
    }

    fn assert_membership_changed(&self) {
        let times = |key: &str| {
            let events = self.history.logs.iter().flat_map(|view| &view.events);
            events.filter(|event| !event.what["member"][key].is_null()).count()
        };
        let (left, joined) = (times("left"), times("role"));
        assert!(left > 0 && joined > 0, "{left} times somebody left, {joined} joined");
    }

    fn assert_a_lost_event_is_found(&self) {
        let mut damaged = self.history.clone();
        for view in &mut damaged.logs {
            view.events.pop();
            view.head -= 1;
        }
        assert!(!checker::check(&damaged).is_empty(), "the same run with a lost event is found");
    }

    /// Of what the devices saw, the share that was pushed to them. The readers of the end do not
    /// count: they came to ask.
    #[must_use]
    pub fn pushed_share(&self) -> f64 {
        checker::pushed_share(self.history.clients.iter().filter(|client| client.device != READER))
    }

    /// How often any client was welcomed.
    #[must_use]
    pub fn connections(&self) -> usize {
        let is_welcome = |step: &Step| matches!(step, Step::Connected { .. });
        self.history.clients.iter().map(|client| count(client, is_welcome)).sum()
    }
}

fn count(client: &ClientHistory, is_wanted: impl Fn(&Step) -> bool) -> usize {
    client.steps.iter().filter(|step| is_wanted(step)).count()
}
