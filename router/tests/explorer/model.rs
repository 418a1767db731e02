//! The model: what can happen, and what must never be.
//!
//! An owner's epoch is its place in the order of taking. Every step is one moment: a row reaches a
//! replica, a replica answers, a fence read is answered. A step that never comes is a row that is
//! lost, or an owner that died; one that comes late is a late row, or an owner that was paused.

use std::fmt;

use crate::rules::{Choices, Epochs, Rules, Seen, bit};

pub(crate) const OWNERS_MAX: usize = 4;
pub(crate) const SEQS_MAX: usize = 3;
const REPLICAS: usize = 3;
const NOBODY: u8 = u8::MAX;

/// How large the model is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) in_flight: u8,
    pub(crate) owners: u8,
    pub(crate) seqs: u8,
    pub(crate) messages: u8,
}

/// What must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// I1: an acknowledged message is not at its seq for an owner or a quorum of readers.
    Gone,
    /// I3: a message is acknowledged at two seqs.
    Twice,
    /// I2: a log has a seq, or acknowledges one, and not the one before.
    Gap,
    /// I7: an owner serves something else than what was committed.
    ServedOther,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    #[default]
    Out,
    Reading,
    /// The tail is read, a fence read is awaited.
    Read,
    /// Rows are being written again, or it serves; what is not committed is in flight.
    Serving,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Owner {
    phase: Phase,
    /// Rows of the first answer, and who gave it.
    seen: u16,
    from: u8,
    log: [u8; SEQS_MAX],
    head: u8,
    committed: u8,
    /// First seq that it assigns itself.
    base: u8,
}

/// A row that was sent: its message, 0 = it was not, and what its writer had committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Sent {
    message: u8,
    acked: u8,
}

/// Everything at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct State {
    replicas: [u16; REPLICAS],
    owners: [Owner; OWNERS_MAX],
    sent: [[Sent; SEQS_MAX]; OWNERS_MAX],
    /// What was acknowledged at each seq.
    acked: [u8; SEQS_MAX],
    /// The newest epoch.
    epoch: u8,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Take { epoch: u8 },
    Answer { replica: u8, epoch: u8 },
    Fence { epoch: u8 },
    Append { epoch: u8, seq: u8, message: u8 },
    Arrive { epoch: u8, seq: u8, replica: u8 },
    Commit { epoch: u8 },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Take { epoch } => write!(f, "an owner takes over with epoch {epoch}"),
            Self::Answer { replica, epoch } => {
                write!(f, "replica {replica} answers the tail read of epoch {epoch}")
            }
            Self::Fence { epoch } => write!(f, "epoch {epoch} ends its taking over"),
            Self::Append { epoch, seq, message } => {
                write!(f, "epoch {epoch} sends message {message} as row ({seq}, {epoch})")
            }
            Self::Arrive { epoch, seq, replica } => {
                write!(f, "row ({seq}, {epoch}) reaches replica {replica}")
            }
            Self::Commit { epoch } => write!(f, "epoch {epoch} commits what is at a quorum"),
        }
    }
}

/// Every step from a state: where it leads, or what it breaks.
pub(crate) type Next = Vec<(Step, State, Option<Broken>)>;

/// A model with its rules.
pub(crate) struct Model {
    size: Size,
    rules: Rules,
    choices: Choices,
}

fn at(number: u8) -> usize {
    usize::from(number) - 1
}

impl State {
    pub(crate) fn first() -> Self {
        let owner = Owner {
            phase: Phase::Out,
            seen: 0,
            from: NOBODY,
            log: [0; SEQS_MAX],
            head: 0,
            committed: 0,
            base: 0,
        };
        Self {
            replicas: [0; REPLICAS],
            owners: [owner; OWNERS_MAX],
            sent: Default::default(),
            acked: [0; SEQS_MAX],
            epoch: 0,
        }
    }

    /// The same for all states that differ only in the names of replicas and messages.
    pub(crate) fn canonical(&self) -> Self {
        const ORDERS: [[usize; 3]; 6] =
            [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        let named = self.with_messages_named();
        let renamed = ORDERS.map(|order| named.with_replicas(order));
        renamed.into_iter().min().unwrap_or(named)
    }

    /// Replica i becomes replica `order[i]`.
    fn with_replicas(&self, order: [usize; REPLICAS]) -> Self {
        let mut other = *self;
        for (replica, rows) in self.replicas.iter().enumerate() {
            other.replicas[order[replica]] = *rows;
        }
        for owner in other.owners.iter_mut().filter(|owner| owner.from != NOBODY) {
            owner.from = order[usize::from(owner.from)] as u8;
        }
        other
    }

    /// Messages are numbered as they first appear among the rows.
    fn with_messages_named(&self) -> Self {
        let mut names = [0; 8];
        let mut last = 0;
        for sent in self.sent.iter().flatten().filter(|sent| sent.message != 0) {
            let name = &mut names[usize::from(sent.message)];
            if *name == 0 {
                last += 1;
                *name = last;
            }
        }
        let mut other = *self;
        let sent = other.sent.iter_mut().flatten().map(|sent| &mut sent.message);
        let logs = other.owners.iter_mut().flat_map(|owner| &mut owner.log);
        for message in sent.chain(logs).chain(&mut other.acked) {
            *message = names[usize::from(*message)];
        }
        other
    }

    fn send(&mut self, epoch: u8, seq: u8) {
        let owner = self.owners[at(epoch)];
        self.sent[at(epoch)][at(seq)] =
            Sent { message: owner.log[at(seq)], acked: owner.committed };
    }

    fn leave(&mut self, epoch: u8) {
        let owner = &mut self.owners[at(epoch)];
        // Its rows say its base for ever.
        *owner = Owner { phase: Phase::Gone, base: owner.base, ..Self::first().owners[0] };
    }

    /// Up to where the owner's rows are at a quorum.
    fn at_quorum(&self, epoch: u8) -> u8 {
        let owner = &self.owners[at(epoch)];
        let is = |seq: u8| {
            let there = self.replicas.iter().filter(|rows| **rows & bit(epoch, seq) != 0);
            there.count() >= 2
        };
        (owner.committed + 1..=owner.head).take_while(|seq| is(*seq)).last().unwrap_or(0)
    }

    fn acknowledge(&mut self, epoch: u8, up_to: u8) -> Option<Broken> {
        let owner = &mut self.owners[at(epoch)];
        let (from, log) = (owner.committed, owner.log);
        owner.committed = up_to;
        for seq in from + 1..=up_to {
            let message = log[at(seq)];
            let here = self.acked[at(seq)];
            if here != 0 && here != message {
                return Some(Broken::Gone);
            }
            if here == 0 && self.acked.contains(&message) {
                return Some(Broken::Twice);
            }
            if seq > 1 && self.acked[at(seq - 1)] == 0 {
                return Some(Broken::Gap);
            }
            self.acked[at(seq)] = message;
        }
        None
    }
}

impl Model {
    pub(crate) fn new(size: Size, rules: Rules) -> Self {
        Self { size, rules, choices: Choices::new(rules.dead) }
    }

    pub(crate) fn next(&mut self, state: &State) -> Next {
        let mut next = Vec::new();
        if state.epoch < self.size.owners {
            let mut taken = *state;
            taken.epoch += 1;
            taken.owners[at(taken.epoch)].phase = Phase::Reading;
            next.push((Step::Take { epoch: taken.epoch }, taken, None));
        }
        for epoch in 1..=state.epoch {
            match state.owners[at(epoch)].phase {
                Phase::Reading => self.answers(state, epoch, &mut next),
                Phase::Read => self.ends_taking(state, epoch, &mut next),
                Phase::Serving => {
                    self.appends(state, epoch, &mut next);
                    self.commits(state, epoch, &mut next);
                }
                Phase::Out | Phase::Gone => {}
            }
            self.arrivals(state, epoch, &mut next);
        }
        for (_, state, broken) in &mut next {
            *broken = broken.or_else(|| self.broken_for_readers(state));
        }
        next
    }

    fn answers(&mut self, state: &State, epoch: u8, next: &mut Next) {
        let first = state.owners[at(epoch)].from;
        for replica in (0..REPLICAS as u8).filter(|replica| *replica != first) {
            let mut answered = *state;
            let owner = &mut answered.owners[at(epoch)];
            owner.seen |= state.replicas[usize::from(replica)];
            owner.from = replica;
            if first != NOBODY {
                self.adopt(&mut answered, epoch);
                if !self.rules.fence_after_tail {
                    let broken = self.serve(&mut answered, epoch);
                    next.push((Step::Answer { replica, epoch }, answered, broken));
                    continue;
                }
            }
            next.push((Step::Answer { replica, epoch }, answered, None));
        }
    }

    fn adopt(&mut self, state: &mut State, epoch: u8) {
        let acked = state.sent.map(|rows| rows.map(|sent| sent.acked));
        let bases = state.owners.map(|owner| owner.base);
        let mask = state.owners[at(epoch)].seen;
        let (epochs, committed): (Epochs, u8) = self.choices.choose(Seen { mask, bases, acked });
        let owner = &mut state.owners[at(epoch)];
        for (seq, writer) in epochs.iter().enumerate().filter(|(_, writer)| **writer != 0) {
            owner.log[seq] = state.sent[at(*writer)][seq].message;
            owner.head = seq as u8 + 1;
        }
        owner.committed = committed;
        owner.base = owner.head + 1;
        owner.phase = Phase::Read;
        (owner.seen, owner.from) = (0, NOBODY);
    }

    fn ends_taking(&self, state: &State, epoch: u8, next: &mut Next) {
        let mut state = *state;
        let broken = if state.epoch == epoch {
            self.serve(&mut state, epoch)
        } else {
            state.leave(epoch);
            None
        };
        next.push((Step::Fence { epoch }, state, broken));
    }

    /// Serves what is committed, and writes again what may not be.
    fn serve(&self, state: &mut State, epoch: u8) -> Option<Broken> {
        let owner = &mut state.owners[at(epoch)];
        owner.phase = Phase::Serving;
        let Owner { log, head, committed, .. } = *owner;
        if log[..usize::from(head)].contains(&0) {
            return Some(Broken::Gap);
        }
        let other = (1..=committed).any(|seq| log[at(seq)] != state.acked[at(seq)]);
        if other {
            return Some(Broken::ServedOther);
        }
        if !self.rules.rewrite {
            return state.acknowledge(epoch, head);
        }
        for seq in committed + 1..=head {
            state.send(epoch, seq);
        }
        None
    }

    fn appends(&self, state: &State, epoch: u8, next: &mut Next) {
        let owner = &state.owners[at(epoch)];
        let adopted = owner.base - 1;
        let free = owner.committed >= adopted
            && owner.head < self.size.seqs
            && owner.head - owner.committed < self.size.in_flight;
        if !free {
            return;
        }
        let known = &owner.log[..usize::from(owner.head)];
        for message in (1..=self.size.messages).filter(|message| !known.contains(message)) {
            let mut sent = *state;
            let owner = &mut sent.owners[at(epoch)];
            owner.head += 1;
            let seq = owner.head;
            owner.log[at(seq)] = message;
            sent.send(epoch, seq);
            next.push((Step::Append { epoch, seq, message }, sent, None));
        }
    }

    fn arrivals(&self, state: &State, epoch: u8, next: &mut Next) {
        for seq in 1..=self.size.seqs {
            if state.sent[at(epoch)][at(seq)].message == 0 {
                continue;
            }
            for replica in 0..REPLICAS {
                if state.replicas[replica] & bit(epoch, seq) == 0 {
                    let mut arrived = *state;
                    arrived.replicas[replica] |= bit(epoch, seq);
                    let replica = replica as u8;
                    next.push((Step::Arrive { epoch, seq, replica }, arrived, None));
                }
            }
        }
    }

    fn commits(&self, state: &State, epoch: u8, next: &mut Next) {
        let up_to = state.at_quorum(epoch);
        if up_to == 0 {
            return;
        }
        let mut state = *state;
        let broken = if self.rules.fence_at_commit && state.epoch != epoch {
            state.leave(epoch);
            None
        } else {
            state.acknowledge(epoch, up_to)
        };
        next.push((Step::Commit { epoch }, state, broken));
    }

    /// What was acknowledged is what every two replicas show.
    fn broken_for_readers(&mut self, state: &State) -> Option<Broken> {
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            let epochs = self.choices.highest(state.replicas[one] | state.replicas[other]);
            for (seq, message) in state.acked.iter().enumerate().filter(|(_, acked)| **acked != 0) {
                let writer = epochs[seq];
                if writer == 0 || state.sent[at(writer)][seq].message != *message {
                    return Some(Broken::Gone);
                }
            }
        }
        None
    }
}
