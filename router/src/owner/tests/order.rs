//! I2: one connection's writes to one conversation succeed in their order.

use throng_store::AppendOutcome;

use crate::limits;
use crate::owner::testing::{Bench, Ending, message, msg_id};
use crate::owner::{Op, Order, Refusal};

#[test]
fn after_a_failure_those_behind_fail_until_a_new_beginning() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    // One append in flight; then the queue is filled by somebody else, so that 2 is refused.
    bench.send_ordered("alice", conv, 1, true);
    for _ in 0..limits::WAITING_MAX {
        bench.send("bob", conv);
    }
    let second = bench.send_ordered("alice", conv, 2, false);
    assert_eq!(bench.refusal(second), Some(Refusal::Overloaded));
    bench.smooth = true;
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    let third = bench.send_ordered("alice", conv, 3, false);
    assert_eq!(bench.refusal(third), Some(Refusal::AfterFailed));
    let again = bench.send_ordered("alice", conv, 4, true);
    let next = bench.send_ordered("alice", conv, 5, false);
    assert!(bench.acked(again).0 + 1 == bench.acked(next).0);
}

#[test]
fn a_refusal_for_good_holds_nobody_up() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send_ordered("alice", conv, 1, true);
    let order = Some(Order { number: 2, first: false });
    let old = msg_id(bench.now.wall_ms - 2 * limits::ID_AGE_MS_MAX, 1);
    let refused = bench.ask_ordered("alice", conv, message("alice", old, "x"), order);
    assert_eq!(bench.refusal(refused), Some(Refusal::ExpiredId));
    let next = bench.send_ordered("alice", conv, 3, false);
    assert_eq!(bench.acked(next), (3, false));
}

#[test]
fn what_was_refused_for_good_before_it_came_takes_its_place() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    bench.send_ordered("alice", conv, 1, true);
    let order = |number| Some(Order { number, first: false });
    let too_large = Refusal::TooLarge("the message is too long");
    // While the first is under way: the refusal is told in its turn, not before.
    let refused = bench.ask_ordered("alice", conv, Op::Refused(too_large), order(2));
    let next = bench.send_ordered("alice", conv, 3, false);
    bench.smooth = true;
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    assert_eq!(bench.refusal(refused), Some(too_large));
    assert_eq!(bench.acked(next), (3, false));
    // Behind one that failed it does not let the next pass.
    let behind = bench.ask_ordered("alice", conv, Op::Refused(too_large), order(5));
    let next = bench.send_ordered("alice", conv, 6, false);
    assert_eq!(
        [behind, next].map(|request| bench.refusal(request)),
        [Some(Refusal::AfterFailed); 2]
    );
}

#[test]
fn a_new_owner_knows_no_order_and_asks_for_a_beginning() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send_ordered("alice", conv, 1, true);
    bench.restart();
    let behind = bench.send_ordered("alice", conv, 2, false);
    assert_eq!(bench.refusal(behind), Some(Refusal::AfterFailed));
    let first = bench.send_ordered("alice", conv, 3, true);
    assert_eq!(bench.acked(first), (3, false));
}

#[test]
fn connections_do_not_hold_each_other_up() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    let alice = bench.send_ordered("alice", conv, 7, false);
    assert_eq!(bench.refusal(alice), Some(Refusal::AfterFailed));
    let bob = bench.send_ordered("bob", conv, 1, true);
    assert_eq!(bench.acked(bob), (2, false));
}
