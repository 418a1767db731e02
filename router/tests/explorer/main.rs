//! I1, I2, I3, I7: the rules of the log, in every interleaving of a small model.
//!
//! Owners take over from each other, may be paused at any point and go on later as if nothing had
//! happened, and write rows that reach each of three replicas early, late or never (`model`). The
//! search is breadth first (`search`), so that what it finds is the shortest way to it. With the
//! rules as they are (`rules`) it finds nothing; without any one of them it must find something.
//!
//! A larger model, by hand: `THRONG_EXPLORE=2,3,3,2 cargo test --release -p throng-router --test
//! explorer -- --ignored --nocapture` (rows in flight, owners, seqs, messages).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod model;
mod rules;
mod search;

use std::time::Instant;

use model::{Broken, Size};
use rules::{Dead, Rules};
use search::{Found, search};

fn size([in_flight, owners, seqs, messages]: [u8; 4]) -> Size {
    Size { in_flight, owners, seqs, messages }
}

fn explore(size: Size, rules: Rules) -> Option<Found> {
    let began = Instant::now();
    let (states, found) = search(size, rules);
    println!("{size:?}, {rules:?}: {states} states in {:.1?}", began.elapsed());
    found.inspect(|found| println!("{found}"))
}

fn holds(numbers: [u8; 4]) {
    assert!(explore(size(numbers), Rules::ALL).is_none());
}

fn breaks(numbers: [u8; 4], rules: Rules) -> Broken {
    explore(size(numbers), rules).expect("the model breaks without one of its rules").broken
}

#[test]
fn the_rules_hold_for_three_owners_of_two_seqs() {
    holds([1, 3, 2, 2]);
}

#[test]
fn the_rules_hold_for_two_rows_in_flight() {
    holds([2, 2, 3, 3]);
}

#[test]
#[ignore = "minutes and gigabytes; for larger models by hand"]
fn the_rules_hold_for_the_model_of_the_environment() {
    let text = std::env::var("THRONG_EXPLORE").unwrap_or("1,3,3,3".into());
    let numbers: Vec<u8> = text.split(',').map(|number| number.parse().unwrap()).collect();
    holds(numbers.try_into().unwrap());
}

#[test]
fn without_writing_adopted_rows_again_an_acknowledged_message_is_gone() {
    let broken = breaks([1, 3, 2, 2], Rules { rewrite: false, ..Rules::ALL });
    assert_eq!(broken, Broken::Gone);
}

#[test]
fn with_a_lease_instead_of_the_fence_read_a_paused_owner_acknowledges_what_nobody_knows() {
    let broken = breaks([1, 3, 2, 2], Rules { fence_at_commit: false, ..Rules::ALL });
    assert_eq!(broken, Broken::ServedOther);
}

#[test]
fn without_base_a_late_row_brings_a_message_twice() {
    let broken = breaks([2, 3, 2, 2], Rules { dead: Dead::Never, ..Rules::ALL });
    assert_eq!(broken, Broken::Twice);
}

#[test]
fn epochs_that_only_grow_along_the_log_do_not_replace_base() {
    let broken = breaks([2, 3, 2, 2], Rules { dead: Dead::IfLowerThanBefore, ..Rules::ALL });
    assert_eq!(broken, Broken::Twice);
}

#[test]
fn with_the_fence_read_before_the_tail_is_read_a_taker_serves_what_is_not_the_log() {
    let broken = breaks([1, 3, 2, 2], Rules { fence_after_tail: false, ..Rules::ALL });
    assert_eq!(broken, Broken::ServedOther);
}
