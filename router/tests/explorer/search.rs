//! Breadth first: every state once, and the shortest way to the first that must not be.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use crate::model::{Broken, Model, Size, State, Step};
use crate::rules::Rules;

/// What must not be, and how it comes about.
pub(crate) struct Found {
    pub(crate) broken: Broken,
    steps: Vec<Step>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?} after {} steps:", self.broken, self.steps.len())?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:4}. {step}", number + 1)?;
        }
        Ok(())
    }
}

/// States in the order in which they were found, each with the one that it was found from.
struct Seen {
    states: Vec<(State, u32)>,
    /// By hash, the next number where that is taken by another state.
    places: HashMap<u64, u32>,
    hasher: BuildHasherDefault<DefaultHasher>,
}

impl Seen {
    fn add(&mut self, state: State, from: u32) {
        let mut hash = self.hasher.hash_one(state);
        while let Some(place) = self.places.get(&hash) {
            if self.states[*place as usize].0 == state {
                return;
            }
            hash = hash.wrapping_add(1);
        }
        self.places.insert(hash, self.states.len() as u32);
        self.states.push((state, from));
    }

    /// The states on the way to one of them, from the first.
    fn way(&self, mut place: u32) -> Vec<State> {
        let mut way = vec![self.states[place as usize].0];
        while place != 0 {
            place = self.states[place as usize].1;
            way.push(self.states[place as usize].0);
        }
        way.reverse();
        way
    }
}

/// How many states there are, or were until something was found.
pub(crate) fn search(size: Size, rules: Rules) -> (usize, Option<Found>) {
    let mut model = Model::new(size, rules);
    let mut seen =
        Seen { states: Vec::new(), places: HashMap::new(), hasher: BuildHasherDefault::default() };
    seen.add(State::first().canonical(), 0);
    let mut place = 0;
    while let Some((state, _)) = seen.states.get(place).copied() {
        for (_, next, broken) in model.next(&state) {
            if let Some(broken) = broken {
                let steps = retrace(&mut model, &seen.way(place as u32), broken);
                return (seen.states.len(), Some(Found { broken, steps }));
            }
            seen.add(next.canonical(), place as u32);
        }
        place += 1;
    }
    (seen.states.len(), None)
}

/// The steps of a way, with replicas and messages that keep their names.
fn retrace(model: &mut Model, way: &[State], broken: Broken) -> Vec<Step> {
    let mut state = State::first();
    let mut steps = Vec::new();
    for wanted in &way[1..] {
        let next = model.next(&state).into_iter();
        let (step, next, _) = { next }.find(|(_, next, _)| next.canonical() == *wanted).unwrap();
        steps.push(step);
        state = next;
    }
    let last = model.next(&state).into_iter();
    steps.extend({ last }.find(|(_, _, found)| *found == Some(broken)).map(|(step, ..)| step));
    steps
}
