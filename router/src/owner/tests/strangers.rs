//! I8: strangers cost one read each, load nothing, and are answered alike wherever they ask.

use throng_store::ConvId;
use throng_wire::id::group_conv;

use crate::limits::{MEMBER_READS_MAX, WAITING_MAX};
use crate::owner::testing::{Bench, create, message, message_to, named};
use crate::owner::{Op, Order, Refusal, Span, What};

const NOWHERE: ConvId = ConvId([0x77; 16]);

fn page(bench: &mut Bench, user: &str, conv: ConvId) -> u64 {
    bench.history(user, conv, Span::Before(u64::MAX), 1)
}

fn first(number: u64) -> Option<Order> {
    Some(Order { number, first: true })
}

fn next(number: u64) -> Option<Order> {
    Some(Order { number, first: false })
}

#[test]
fn a_stranger_costs_one_read_and_no_memory_wherever_the_conversation_is() {
    let mut bench = Bench::new();
    let at_rest = bench.group(&["alice", "bob"]);
    bench.restart();
    let in_memory = bench.group(&["alice", "bob"]);
    let gauges = bench.owner.gauges();
    for (asked, conv) in [in_memory, at_rest, NOWHERE, at_rest].into_iter().enumerate() {
        let sent = bench.send("eve", conv);
        let read = page(&mut bench, "eve", conv);
        assert_eq!([sent, read].map(|one| bench.refusal(one)), [Some(Refusal::NotMember); 2]);
        assert_eq!(bench.member_reads, 2 * (asked + 1));
    }
    assert_eq!(bench.owner.gauges(), gauges);
}

#[test]
fn a_member_of_what_is_in_memory_costs_no_read() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("bob", conv);
    page(&mut bench, "bob", conv);
    assert_eq!(bench.member_reads, 0);
    bench.restart();
    page(&mut bench, "bob", conv);
    page(&mut bench, "bob", conv);
    assert_eq!(bench.member_reads, 1);
}

#[test]
fn who_is_added_while_it_is_read_is_let_in() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.slow = true;
    let early = page(&mut bench, "eve", conv);
    bench.change("alice", conv, What::Add(vec![named("eve")]));
    bench.members.clear();
    bench.end_question();
    assert_eq!(bench.seqs(early), [2]);
}

#[test]
fn a_read_that_fails_is_unavailable_to_all_who_wait_for_it() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.restart();
    bench.slow = true;
    let asked = [page(&mut bench, "bob", conv), bench.send("bob", conv)];
    assert_eq!(bench.questions.len(), 1);
    bench.fail_question();
    assert_eq!(asked.map(|one| bench.refusal(one)), [Some(Refusal::Unavailable); 2]);
}

#[test]
fn what_waits_is_taken_in_its_order() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.restart();
    bench.slow = true;
    let sent = [
        bench.send_ordered("bob", conv, 1, true),
        bench.send_ordered("bob", conv, 2, false),
        bench.send_ordered("bob", conv, 3, false),
    ];
    // Whether bob is a member, then the conversation.
    bench.end_question();
    bench.end_question();
    assert_eq!(sent.map(|one| bench.acked(one).0), [2, 3, 4]);
}

#[test]
fn what_follows_a_creation_needs_no_membership() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let conv = ConvId(group_conv("alice", &id));
    bench.slow = true;
    let created = bench.ask_ordered("alice", conv, create(id, &["bob"]), first(1));
    let id = bench.fresh_id();
    let sent = bench.ask_ordered("alice", conv, message("alice", id, "hi"), next(2));
    while !bench.questions.is_empty() {
        bench.end_question();
    }
    assert_eq!([created, sent].map(|one| bench.acked(one).0), [1, 2]);
    assert_eq!(bench.member_reads, 0);
}

#[test]
fn a_write_that_was_refused_for_good_does_not_hold_up_the_creation_behind_it() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "bob", id);
    bench.slow = true;
    let too_large = Refusal::TooLarge("too large");
    let refused = bench.ask_ordered("alice", conv, Op::Refused(too_large), first(1));
    let sent = bench.ask_ordered("alice", conv, op, next(2));
    while !bench.questions.is_empty() {
        bench.end_question();
    }
    assert_eq!(bench.refusal(refused), Some(too_large));
    assert_eq!(bench.acked(sent), (2, false));
}

#[test]
fn nobody_waits_longer_than_they_said() {
    let mut bench = Bench::new();
    bench.slow = true;
    let asked = page(&mut bench, "eve", NOWHERE);
    bench.pass(9_999);
    assert!(!bench.answered_at_all(asked));
    bench.pass(1);
    assert_eq!(bench.refusal(asked), Some(Refusal::Unavailable));
    bench.end_question();
    assert!(bench.owner.is_idle());
}

#[test]
fn as_many_users_are_read_at_a_time_as_allowed_and_not_one_more() {
    let mut bench = Bench::new();
    bench.slow = true;
    let mut is_refused = |user: usize| {
        let asked = page(&mut bench, &user.to_string(), NOWHERE);
        bench.refusal(asked) == Some(Refusal::Overloaded)
    };
    assert!(!(0..MEMBER_READS_MAX).any(&mut is_refused));
    assert!(is_refused(MEMBER_READS_MAX));
    assert!(!is_refused(0), "it is being read already");
}

#[test]
fn as_many_requests_of_a_user_wait_as_allowed_and_not_one_more() {
    let mut bench = Bench::new();
    bench.slow = true;
    let mut is_refused = |_: usize| {
        let asked = page(&mut bench, "eve", NOWHERE);
        bench.refusal(asked) == Some(Refusal::Overloaded)
    };
    assert!(!(0..WAITING_MAX).any(&mut is_refused));
    assert!(is_refused(WAITING_MAX));
}
