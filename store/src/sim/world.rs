//! The core: requests, the steps in which they come about, and what each step does.
//!
//! Order of calls: [`World::begin`] gives the steps that are possible from then on, and
//! [`World::happens`] those that a step makes possible. Each may be taken once, in any order, or
//! never; the world does not choose. A request ends with its step [`Kind::Tell`] or
//! [`Kind::Expire`], whichever is first, and what it had on its way goes on all the same.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::replica::{Key, Replica, Serial, Value};
use crate::{Epoch, Seq};

/// Replicas of every cell, and how many make a quorum.
pub(super) const REPLICAS: usize = 3;
const QUORUM: usize = 2;

/// What is asked.
pub(super) enum Request {
    /// Write these cells.
    Write(Vec<(Key, Value)>),
    /// Read the cells that are picked.
    Read(Wants),
    /// Read one cell with serial consistency, and write it if it is what it was.
    Serial(Key, Option<Change>),
}

/// Picks cells.
pub(super) type Wants = Box<dyn Fn(&Key) -> bool + Send>;

/// A conditional write.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Number of the conditional write that made the present value; 0 = there is none.
    pub(super) expected: u64,
    /// The new one.
    pub(super) value: Serial,
}

/// What came of it.
pub(super) enum Outcome {
    /// Every cell is at a quorum.
    Written,
    /// What a quorum had.
    Read(Replica),
    /// The decision, and what it left at a quorum.
    Serial { applied: bool, version: u64, value: Option<Serial> },
    /// No answer in time.
    Unknown,
}

pub(super) type Reply = Box<dyn FnOnce(Outcome) + Send>;

/// A request that ended: who is to be told what.
pub(super) type Finished = (Reply, Outcome);

/// Something that may happen next.
#[derive(Clone, Debug)]
pub struct Step {
    /// The request that it is of, numbered from 1 in the order of asking.
    pub request: u64,
    /// What happens.
    pub kind: Kind,
    what: What,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cell of a write reaches a replica.
    Arrive {
        /// Which, 0 to 2.
        replica: usize,
    },
    /// A replica answers a read with what it has at this moment.
    Answer {
        /// Which, 0 to 2.
        replica: usize,
    },
    /// A conditional write, or a serial read, is decided.
    Decide,
    /// The outcome reaches who asked.
    Tell,
    /// Who asked gives up waiting.
    Expire,
}

#[derive(Clone, Debug)]
enum What {
    Nothing,
    /// The cell with this place in its write.
    Cell(usize, Arc<(Key, Value)>),
    Decision(Key, Option<Change>),
}

impl Step {
    /// Of a row that arrives: its key.
    #[must_use]
    pub fn row(&self) -> Option<(Seq, Epoch)> {
        match &self.what {
            What::Cell(_, cell) => match cell.0 {
                Key::Row(_, seq, epoch) => Some((seq, epoch)),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} ", self.request)?;
        match self.kind {
            Kind::Arrive { replica } => write!(f, "reaches {replica}")?,
            Kind::Answer { replica } => write!(f, "{replica} answers")?,
            Kind::Decide => f.write_str("is decided")?,
            Kind::Tell => f.write_str("ends")?,
            Kind::Expire => f.write_str("expires")?,
        }
        match &self.what {
            What::Nothing => Ok(()),
            What::Cell(_, cell) => write!(f, " {}", cell.0),
            What::Decision(key, change) => {
                write!(f, " {key}{}", if change.is_some() { " changes" } else { "" })
            }
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row(_, seq, epoch) => write!(f, "row ({seq}, {epoch})"),
            Self::Dirty(window, _) => write!(f, "dirty ({}, {})", window.epoch, window.window),
            Self::Closed(window) => write!(f, "closed ({}, {})", window.epoch, window.window),
            Self::Projection(key) => write!(f, "{:?}", key.table),
            Self::Moment => f.write_str("moment"),
            Self::Renewal(incarnation) => write!(f, "renewal of {incarnation}"),
            Self::Router(router) => write!(f, "router {}", router.0),
            Self::Partition(partition) => write!(f, "partition {partition}"),
        }
    }
}

/// How far a request is.
enum Progress {
    /// Which replicas have each cell.
    Writing(Vec<[bool; REPLICAS]>),
    Reading {
        wants: Wants,
        answers: usize,
        seen: Replica,
    },
    Deciding,
    Decided {
        applied: bool,
        version: u64,
        value: Option<Serial>,
        at: [bool; REPLICAS],
    },
    Done(Outcome),
}

struct Asked {
    progress: Progress,
    reply: Reply,
}

/// Everything.
#[derive(Default)]
pub(super) struct World {
    replicas: [Replica; REPLICAS],
    /// What conditional writes have decided, and how many of them.
    decided: BTreeMap<Key, (u64, Serial)>,
    under_way: BTreeMap<u64, Asked>,
    last: u64,
}

impl World {
    /// Takes a request. Gives what can happen now.
    pub(super) fn begin(&mut self, request: Request, reply: Reply) -> Vec<Step> {
        self.last += 1;
        let id = self.last;
        let step = |kind, what| Step { request: id, kind, what };
        let mut steps = vec![step(Kind::Expire, What::Nothing)];
        let progress = match request {
            Request::Write(cells) if cells.is_empty() => {
                steps.push(step(Kind::Tell, What::Nothing));
                Progress::Done(Outcome::Written)
            }
            Request::Write(cells) => {
                let arrived = vec![[false; REPLICAS]; cells.len()];
                for (place, cell) in cells.into_iter().enumerate() {
                    steps.extend(arrivals(id, place, cell));
                }
                Progress::Writing(arrived)
            }
            Request::Read(wants) => {
                let answer = |replica| step(Kind::Answer { replica }, What::Nothing);
                steps.extend((0..REPLICAS).map(answer));
                Progress::Reading { wants, answers: 0, seen: Replica::default() }
            }
            Request::Serial(key, change) => {
                steps.push(step(Kind::Decide, What::Decision(key, change)));
                Progress::Deciding
            }
        };
        self.under_way.insert(id, Asked { progress, reply });
        steps
    }

    /// A step is taken. Gives what can happen now besides, and who is to be told.
    pub(super) fn happens(&mut self, step: Step) -> (Vec<Step>, Option<Finished>) {
        let id = step.request;
        match (step.kind, step.what) {
            (Kind::Arrive { replica }, What::Cell(place, cell)) => {
                self.replicas[replica].apply(cell.0, &cell.1);
                (self.arrived(id, place, replica), None)
            }
            (Kind::Answer { replica }, _) => (self.answers(id, replica), None),
            (Kind::Decide, What::Decision(key, change)) => (self.decide(id, key, change), None),
            (Kind::Tell, _) => {
                let finished = self.under_way.remove(&id).and_then(|asked| match asked.progress {
                    Progress::Done(outcome) => Some((asked.reply, outcome)),
                    _ => None,
                });
                (Vec::new(), finished)
            }
            _ => {
                let asked = self.under_way.remove(&id);
                (Vec::new(), asked.map(|asked| (asked.reply, Outcome::Unknown)))
            }
        }
    }

    fn arrived(&mut self, id: u64, place: usize, replica: usize) -> Vec<Step> {
        let Some(asked) = self.under_way.get_mut(&id) else { return Vec::new() };
        let outcome = match &mut asked.progress {
            Progress::Writing(cells) => {
                cells[place][replica] = true;
                cells.iter().all(is_quorum).then_some(Outcome::Written)
            }
            Progress::Decided { applied, version, value, at } => {
                at[replica] = true;
                let (applied, version) = (*applied, *version);
                let value = value.clone();
                is_quorum(at).then_some(Outcome::Serial { applied, version, value })
            }
            _ => None,
        };
        finish(id, asked, outcome)
    }

    fn answers(&mut self, id: u64, replica: usize) -> Vec<Step> {
        let Some(asked) = self.under_way.get_mut(&id) else { return Vec::new() };
        let Progress::Reading { wants, answers, seen } = &mut asked.progress else {
            return Vec::new();
        };
        seen.join(&self.replicas[replica].part(wants));
        *answers += 1;
        let outcome = (*answers == QUORUM).then(|| Outcome::Read(std::mem::take(seen)));
        finish(id, asked, outcome)
    }

    /// Decides whoever asked, and whether they still wait or not.
    fn decide(&mut self, id: u64, key: Key, change: Option<Change>) -> Vec<Step> {
        let version = self.decided.get(&key).map_or(0, |(version, _)| *version);
        let applied = change.as_ref().is_some_and(|change| change.expected == version);
        if let Some(change) = change.filter(|_| applied) {
            self.decided.insert(key, (version + 1, change.value));
        }
        let Some((version, value)) = self.decided.get(&key).cloned() else {
            let outcome = Outcome::Serial { applied, version, value: None };
            let asked = self.under_way.get_mut(&id);
            return asked.map_or_else(Vec::new, |asked| finish(id, asked, Some(outcome)));
        };
        if let Some(asked) = self.under_way.get_mut(&id) {
            let value = Some(value.clone());
            asked.progress = Progress::Decided { applied, version, value, at: [false; REPLICAS] };
        }
        arrivals(id, 0, (key, Value::Serial(version, value))).collect()
    }
}

fn arrivals(id: u64, place: usize, cell: (Key, Value)) -> impl Iterator<Item = Step> {
    let cell = Arc::new(cell);
    (0..REPLICAS).map(move |replica| Step {
        request: id,
        kind: Kind::Arrive { replica },
        what: What::Cell(place, Arc::clone(&cell)),
    })
}

fn is_quorum(at: &[bool; REPLICAS]) -> bool {
    at.iter().filter(|there| **there).count() >= QUORUM
}

fn finish(id: u64, asked: &mut Asked, outcome: Option<Outcome>) -> Vec<Step> {
    let Some(outcome) = outcome else { return Vec::new() };
    asked.progress = Progress::Done(outcome);
    vec![Step { request: id, kind: Kind::Tell, what: What::Nothing }]
}
