//! Adds, removes and adds again the guests of a run, gives and takes roles, and lets guests leave,
//! one change after the other, in the name of the owner, of members who may be admins by then, and
//! of the guests. It alone changes groups, so it knows how each change must be answered.

use std::sync::Arc;
use std::time::Duration;

use super::roster::{Answer, Change, Roster};
use super::{Busy, FINISH_LIMIT, Run, listen};
use crate::gateway::Address;
use crate::history::Step;
use crate::participant::Participant;
use crate::random::Random;

/// The device by which all whom the steward speaks for are connected.
pub(super) const DEVICE: &str = "steward";
/// Changes in a run at least, however soon the others are done.
const CHANGES_MIN: usize = 20;

pub(super) struct Steward {
    /// The owner, two others, the guests.
    participants: Vec<Participant>,
    guests: Vec<String>,
    rosters: Vec<Roster>,
    cut_once_in: u64,
    listen: Duration,
    random: Random,
}

impl Steward {
    pub(super) fn new(
        run: &Run,
        address: Address,
        rosters: Vec<Roster>,
        random: &mut Random,
    ) -> Self {
        let guests = run.guests();
        let users = (0..3).map(Run::user).chain(guests.iter().cloned());
        let device =
            |user: String| Participant::new(address.clone(), &user, DEVICE, random.split());
        let participants = users.map(device).collect();
        let random = random.split();
        let (cut_once_in, listen) = (run.cut_once_in, run.listen);
        Self { participants, guests, rosters, cut_once_in, listen, random }
    }

    pub(super) fn carry_out(&mut self, busy: Busy) {
        let mut changes = 0;
        while changes < CHANGES_MIN || busy.count() > 1 {
            self.change();
            self.hear();
            changes += 1;
        }
        let others = Arc::clone(&busy.0);
        drop(busy);
        listen(&others, self.listen, || self.hear());
    }

    pub(super) fn into_participants(self) -> Vec<Participant> {
        self.participants
    }

    fn hear(&mut self) {
        for participant in &mut self.participants {
            participant.step(Duration::from_millis(1));
        }
    }

    fn pick(&mut self, length: usize) -> usize {
        usize::try_from(self.random.below(length as u64)).unwrap()
    }

    fn change(&mut self) {
        let group = self.pick(self.rosters.len());
        let guest = self.pick(self.guests.len());
        let guest = self.guests[guest].clone();
        match self.random.below(10) {
            0..=4 => self.add_or_remove(group, &guest),
            5 | 6 => {
                let other = 1 + self.pick(2);
                let who = if self.random.one_in(2) { guest } else { Run::user(other) };
                let role = if self.random.one_in(2) { "admin" } else { "member" };
                let asker = if self.random.one_in(4) { 1 + self.pick(2) } else { 0 };
                if self.rosters[group].role(&who).is_some() {
                    self.ask(asker, group, Change::SetRole(&who, role));
                }
            }
            7 => {
                let leaving = 3 + self.pick(self.guests.len());
                self.ask(leaving, group, Change::Leave);
            }
            _ => {
                let asker = self.pick(self.participants.len());
                let may_be_done = self.random.one_in(2);
                let change = if may_be_done { Change::Add(&guest) } else { Change::Remove(&guest) };
                self.ask(asker, group, change);
            }
        }
    }

    /// By the owner, what changes something.
    fn add_or_remove(&mut self, group: usize, guest: &str) {
        let is_member = self.rosters[group].role(guest).is_some();
        let change = if is_member { Change::Remove(guest) } else { Change::Add(guest) };
        self.ask(0, group, change);
    }

    fn ask(&mut self, asker: usize, group: usize, change: Change<'_>) {
        let (participant, roster) = (&mut self.participants[asker], &mut self.rosters[group]);
        match change {
            Change::Add(user) => participant.add_member(&roster.conv, user),
            Change::Remove(user) => participant.remove_member(&roster.conv, user),
            Change::SetRole(user, role) => participant.set_role(&roster.conv, user, role),
            Change::Leave => participant.leave(&roster.conv),
        }
        participant.step(Duration::from_millis(1));
        if self.cut_once_in > 0 && self.random.one_in(self.cut_once_in) {
            participant.cut();
        }
        participant.empty_outbox(FINISH_LIMIT);
        let expected = roster.make(participant.user(), change);
        let answer = participant.steps().iter().rev().find_map(answer);
        let asked = (participant.user(), &roster.conv, change);
        assert_eq!(answer, Some(Ok(expected)), "{asked:?}");
    }
}

/// What a step says about a change; another refusal than `forbidden` by its code.
fn answer(step: &Step) -> Option<Result<Answer, &str>> {
    match step {
        Step::Acked { .. } => Some(Ok(Answer::Done)),
        Step::Unchanged { .. } => Some(Ok(Answer::Unchanged)),
        Step::Refused { code, .. } if code == "forbidden" => Some(Ok(Answer::Forbidden)),
        Step::Refused { code, .. } => Some(Err(code)),
        _ => None,
    }
}
