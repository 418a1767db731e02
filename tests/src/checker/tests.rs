//! The checker finds what it must: a small model makes good runs, and every kind of damage to one
//! is found, under the invariant that it breaks.

mod damage;
mod model;

use proptest::prelude::*;

use super::{Invariant, check};
use crate::history::History;

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
