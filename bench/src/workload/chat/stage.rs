//! The course of a run: everybody comes, groups are made, all shards begin at one moment, messages
//! are said on schedule, and at the end the log is asked what is missing.
//!
//! The shards agree on the beginning through the server: each has a leader, the client that has
//! its number. A shard that is set up has its leader tell the leader of shard 0, who tells all the
//! moment to begin when it has heard from all. So it does not matter whether the shards are of one
//! process.

use std::time::Instant;

use throng_wire::id::{self, Id};

use super::cast::Intent;
use super::client::Phase;
use super::outbox::{Message, Purpose};
use super::speak::nanoseconds;
use super::{BEGIN_AHEAD, CREATED_GRACE, Chat, EXPECTED_PER_STEP, MadeGroup, QUIET, VERIFYING_MAX};
use crate::generator::{Arrivals, ClientId, Counter, Turn};

/// How far a shard is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Clients connect.
    Coming,
    /// Groups are made.
    Creating,
    /// Set up; others are waited for.
    Gathering,
    /// All are set up: the moment is known.
    Waiting(Instant),
    /// Messages are said.
    Saying(Arrivals),
    /// All was said; answers and deliveries come in.
    Draining(Arrivals),
    /// The log is asked what is missing.
    Verifying,
    /// Nothing more is wanted.
    Done,
}

/// What is still to be asked at the end.
#[derive(Debug, Default)]
pub(super) struct Verification {
    /// The next message of the run whose recipients are looked at.
    next_message: u64,
    /// Messages of the run.
    messages: u64,
    /// The next client whose conversations are asked for.
    next_client: usize,
    /// Clients that are being asked.
    asking: Vec<ClientId>,
}

impl Chat {
    /// Does what the present stage wants, and goes on to the next where it may.
    pub(super) fn advance(&mut self, turn: &mut dyn Turn) {
        let now = turn.now();
        match &self.stage {
            Stage::Coming
                if self.connects.next(turn.start()).is_none()
                    && self.known as usize == self.clients.len() =>
            {
                self.begin_creating(turn);
            }
            Stage::Creating if self.is_set_up(now) => self.begin_gathering(turn),
            Stage::Gathering => self.gather(turn),
            Stage::Waiting(at) if *at <= now => {
                let (seed, info) = (self.info.seed, self.info);
                let (shard, shards) = (info.shard as usize, info.shards as usize);
                let messages = Arrivals::new(self.plan.messages, seed, shard, shards);
                (self.began, self.stage) = (Some(*at), Stage::Saying(messages));
            }
            Stage::Coming | Stage::Creating if now > turn.start() + self.plan.setup_max => {
                let (known, all) = (self.known, self.clients.len());
                let groups = self.groups.values().filter(|group| group.conv.is_some()).count();
                self.findings.note(format!(
                    "shard {} is not set up in time: {known} of {all} clients were welcomed, \
                     {groups} groups made",
                    self.info.shard
                ));
                self.stage = Stage::Done;
            }
            Stage::Saying(_) => self.say_due(turn),
            Stage::Draining(_) if self.is_quiet(now) || self.is_over(now) => self.begin_verifying(),
            Stage::Verifying => self.verify(turn),
            _ => {}
        }
    }

    /// When [`Chat::advance`] has something to do again, if no event comes before.
    pub(super) fn next_advance(&self, now: Instant) -> Option<Instant> {
        match &self.stage {
            Stage::Waiting(at) => Some(*at),
            Stage::Saying(messages) => Some(self.began? + messages.peek().1),
            Stage::Done => None,
            _ => Some(now + QUIET / 4),
        }
    }

    fn begin_creating(&mut self, turn: &mut dyn Turn) {
        self.stage = Stage::Creating;
        let groups: Vec<_> = self.cast.own_groups().collect();
        self.news_at = turn.now();
        for group in &groups {
            let owner = self.cast.client(group.owner);
            let state = self.client_mut(owner);
            state.talk.get_or_insert_default().to_create.push_back(group.number);
            let members = group.members().flat_map(|user| self.cast.clients(user));
            let told = members.filter(|client| self.cast.is_own(*client) && *client != owner);
            self.created_expected += told.count() as u64;
        }
        for group in groups {
            self.pump(turn, self.cast.client(group.owner));
        }
    }

    /// All own groups are made, and their members know, or have had time to.
    fn is_set_up(&self, now: Instant) -> bool {
        let wanted = self.cast.own_groups().count();
        let made = self.groups.values().filter(|group| group.conv.is_some()).count();
        let are_told = self.created >= self.created_expected;
        made == wanted && (are_told || now > self.news_at + CREATED_GRACE)
    }

    pub(super) fn group_is_made(&mut self, now: Instant, number: u32, conv: &Id) {
        self.news_at = now;
        let group = self.cast.group(number);
        if let Some(MadeGroup { conv: made, .. }) = self.groups.get_mut(&number) {
            *made = Some(*conv);
        }
        if self.cast.is_within(group) {
            self.within.insert(*conv, group.size * self.cast.devices() - 1);
        }
    }

    fn begin_gathering(&mut self, turn: &mut dyn Turn) {
        self.stage = Stage::Gathering;
        self.gathered.insert(self.info.shard);
        if self.info.shard != 0 {
            let leader = ClientId(self.info.shard);
            self.say_to(turn, leader, 0, Purpose::Ready);
        }
    }

    fn gather(&mut self, turn: &mut dyn Turn) {
        if let Some(at_ns) = self.begin_at_ns {
            self.stage = Stage::Waiting(turn.start() + std::time::Duration::from_nanos(at_ns));
        } else if self.info.shard == 0 && self.gathered.len() as u32 == self.cast.leaders() {
            let at_ns = nanoseconds(turn.now() + BEGIN_AHEAD, turn.start());
            self.begin_at_ns = Some(at_ns);
            for leader in 1..self.cast.leaders() {
                self.say_to(turn, ClientId(0), leader, Purpose::Go(at_ns));
            }
        } else if turn.now() > turn.start() + self.plan.setup_max {
            let (ready, all) = (self.gathered.len(), self.cast.leaders());
            self.findings.note(format!("{ready} of {all} shards were set up in time"));
            self.stage = Stage::Done;
        }
    }

    /// What shards tell each other.
    pub(super) fn hear_control(&mut self, text: &str) {
        match text.split_once(' ') {
            Some(("ready", shard)) => self.gathered.extend(shard.parse::<u32>()),
            Some(("go", at_ns)) => self.begin_at_ns = at_ns.parse().ok().or(self.begin_at_ns),
            _ => {}
        }
    }

    /// Says something to another user.
    fn say_to(&mut self, turn: &mut dyn Turn, client: ClientId, peer: u32, purpose: Purpose) {
        let now_ns = nanoseconds(turn.now(), turn.start());
        let conv = self.direct_conv(client, peer);
        self.say_in(turn, client, (conv, Some(peer), 2), (purpose, now_ns));
    }

    fn say_in(
        &mut self,
        turn: &mut dyn Turn,
        client: ClientId,
        (conv, peer, members): (Id, Option<u32>, u32),
        (purpose, intended_ns): (Purpose, u64),
    ) {
        let talk = self.client_mut(client).talk.get_or_insert_default();
        let place = talk.find_or_begin(&conv);
        let conversation = talk.at(place);
        (conversation.peer, conversation.members) = (peer, members);
        let outbox = conversation.outbox();
        let made =
            if purpose == Purpose::Load { &mut outbox.made } else { &mut outbox.made_others };
        *made += 1;
        let message = Message::new(*made, purpose, intended_ns);
        outbox.push(message);
        talk.speak(place);
        self.pump(turn, client);
    }

    /// Says what is due. When the time is over the rest is drained.
    fn say_due(&mut self, turn: &mut dyn Turn) {
        loop {
            let (Stage::Saying(messages), Some(began)) = (&mut self.stage, self.began) else {
                return;
            };
            let (_, moment) = messages.peek();
            if moment >= self.plan.duration {
                let messages = messages.clone();
                self.news_at = self.news_at.max(began + self.plan.duration);
                self.stage = Stage::Draining(messages);
                return;
            }
            let Some((number, intended)) = messages.take_due(began, turn.now()) else { return };
            turn.count(Counter::Intended, 1);
            turn.act(intended);
            self.unsettled += 1;
            let intended_ns = nanoseconds(intended, turn.start());
            let load = (Purpose::Load, intended_ns);
            match self.cast.message(number) {
                Intent::Direct { sender, peer } => {
                    let conv = self.direct_conv(sender, peer);
                    self.say_in(turn, sender, (conv, Some(peer), 2), load);
                }
                Intent::Group { sender, group } => {
                    let made = self.groups.get(&group).and_then(|group| group.conv);
                    let size = self.cast.group(group).size;
                    // Known, as all groups of the shard were made.
                    let Some(conv) = made else { continue };
                    self.say_in(turn, sender, (conv, None, size), load);
                }
            }
        }
    }

    fn direct_conv(&self, client: ClientId, peer: u32) -> Id {
        id::direct_conv(&self.cast.name(self.cast.user(client)), &self.cast.name(peer))
    }

    fn is_quiet(&self, now: Instant) -> bool {
        self.unsettled == 0 && now > self.news_at + QUIET
    }

    fn is_over(&self, now: Instant) -> bool {
        self.began.is_some_and(|at| now > at + self.plan.duration + self.plan.drain_max)
    }

    fn begin_verifying(&mut self) {
        if let Stage::Draining(messages) = &self.stage {
            let (messages, _) = messages.peek();
            self.verification = Verification { messages, ..Verification::default() };
            self.stage = Stage::Verifying;
        }
    }

    /// First the conversations that clients should know of, then all are asked for.
    fn verify(&mut self, turn: &mut dyn Turn) {
        let end =
            (self.verification.next_message + EXPECTED_PER_STEP).min(self.verification.messages);
        for number in self.verification.next_message..end {
            self.expect(number);
        }
        self.verification.next_message = end;
        if end < self.verification.messages && !self.is_over(turn.now()) {
            return;
        }
        let mut asking = std::mem::take(&mut self.verification.asking);
        asking.retain(|client| self.is_asking(*client));
        while asking.len() < VERIFYING_MAX && self.verification.next_client < self.clients.len() {
            let client = self.client(self.verification.next_client);
            self.verification.next_client += 1;
            if let Some(talk) = &mut self.client_mut(client).talk {
                (0..talk.conversations.len() as u32).for_each(|place| talk.ask(place));
                asking.push(client);
                self.pump(turn, client);
            }
        }
        let is_verified = asking.is_empty() && self.is_quiet(turn.now());
        self.verification.asking = asking;
        if is_verified || self.is_over(turn.now()) {
            self.stage = Stage::Done;
        }
    }

    /// Whether a client's questions are still to be answered.
    fn is_asking(&self, client: ClientId) -> bool {
        let state = &self.clients[self.place(client)];
        let waits =
            state.talk.as_ref().is_some_and(|talk| talk.is_asking || !talk.unsynced.is_empty());
        waits && state.phase != Phase::Gone
    }

    /// Makes the own recipients of a direct message know its conversation, so that it is asked for
    /// even if they never heard of it.
    fn expect(&mut self, number: u64) {
        let Intent::Direct { sender, peer } = self.cast.message(number) else { return };
        let others = self.cast.clients(self.cast.user(sender));
        let recipients = self.cast.clients(peer).chain(others);
        let own: Vec<_> = recipients.filter(|client| self.cast.is_own(*client)).collect();
        if own.is_empty() {
            return;
        }
        let conv = self.direct_conv(sender, peer);
        for client in own {
            self.client_mut(client).talk.get_or_insert_default().find_or_begin(&conv);
        }
    }

    /// Events that are known of and did not come.
    pub(super) fn missing(&self) -> u64 {
        let talks = self.clients.iter().filter_map(|client| client.talk.as_ref());
        talks.flat_map(|talk| &talk.conversations).map(|conv| conv.log.missing()).sum()
    }
}
