//! The checker finds what it must: a small model makes good runs, and every kind of damage to one
//! is found, under the invariant that it breaks.

mod damage;
mod model;

use proptest::prelude::*;

use super::{Invariant, check, not_pushed, pushed_share};
use crate::history::{History, Step};

fn findings(history: &History) -> Vec<Invariant> {
    let mut found: Vec<Invariant> = check(history).iter().map(|found| found.invariant).collect();
    found.sort_unstable();
    found.dedup();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_good_run_has_no_violation(seed: u64, turns in 1..120_usize) {
        let found = check(&model::run(seed, turns));
        prop_assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn in_a_good_run_everything_owed_was_pushed(seed: u64, turns in 1..120_usize) {
        let history = model::run(seed, turns);
        let found = not_pushed(&history);
        prop_assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn every_damage_is_found(seed: u64, turns in 20..120_usize, choice: u64) {
        for (name, damage, broken) in damage::ALL {
            let mut history = model::run(seed, turns);
            if damage(&mut history, choice) {
                let found = findings(&history);
                prop_assert!(found.contains(broken), "{name}: found only {found:?}");
            }
        }
    }
}

/// A damage that never finds a place to act would prove nothing.
#[test]
fn every_damage_acts_on_most_runs() {
    for (name, damage, _) in damage::ALL {
        let acted = (0..50).filter(|seed| damage(&mut model::run(*seed, 100), seed * 7)).count();
        assert!(acted > 25, "{name} acted on {acted} runs of 50");
    }
}

/// Of the devices with one connection: one push less is one finding.
#[test]
fn a_push_that_does_not_come_is_found() {
    let mut tried = 0;
    for seed in 0..20 {
        let history = model::run(seed, 60);
        assert!(not_pushed(&history).is_empty());
        for (client, step) in pushes_to_the_only_connection(&history) {
            let mut damaged = history.clone();
            let taken = damaged.clients[client].steps.remove(step);
            assert_eq!(not_pushed(&damaged).len(), 1, "of {taken:?}");
            tried += 1;
        }
    }
    assert!(tried > 100, "only {tried} pushes");
}

fn pushes_to_the_only_connection(history: &History) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (client, story) in history.clients.iter().enumerate() {
        let is_welcome = |step: &&Step| matches!(step, Step::Connected { .. });
        let is_push = |step: &Step| matches!(step, Step::Saw { pushed: true, .. });
        if story.steps.iter().filter(is_welcome).count() == 1 {
            let steps = story.steps.iter().enumerate();
            found.extend(steps.filter(|(_, step)| is_push(step)).map(|(at, _)| (client, at)));
        }
    }
    found
}

#[test]
fn the_share_of_pushes_counts_an_event_once_for_a_client() {
    let mut history = model::run(3, 60);
    for client in &mut history.clients {
        client.steps.extend_from_within(..);
    }
    let all = |value: bool| {
        let mut history = history.clone();
        for step in history.clients.iter_mut().flat_map(|client| &mut client.steps) {
            if let Step::Saw { pushed, .. } = step {
                *pushed = value;
            }
        }
        pushed_share(&history.clients)
    };
    assert_eq!((all(false), all(true)), (0.0, 1.0));
    let share = pushed_share(&history.clients);
    assert!((0.01..0.99).contains(&share), "{share}");
}
