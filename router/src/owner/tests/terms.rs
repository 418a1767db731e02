//! I7: what was asked in a term that is lost decides nothing in the one that follows it.

use throng_store::{AppendOutcome, ConvId, FenceOutcome, Watermarks};
use throng_wire::id::group_conv;
use throng_wire::v1;

use crate::limits;
use crate::owner::event::user_id;
use crate::owner::testing::{Bench, CONV, Ending, create, row_of, stored};
use crate::owner::{Op, Refusal, Span};
use crate::partition::partition_of;

const HEAD: u64 = 300;

/// Another conversation of the same partition.
fn twin(conv: ConvId) -> ConvId {
    let candidate = |number: u64| {
        let mut id = [0x24; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        ConvId(id)
    };
    let is_twin = |other: &ConvId| partition_of(&other.0) == partition_of(&conv.0);
    (0..).map(candidate).find(is_twin).unwrap()
}

/// Has a conversation of two with more events than are kept in memory; an append of its twin, by
/// which the partition can be lost, is under way.
fn bench(conv: ConvId) -> Bench {
    let mut bench = Bench::new();
    for conv in [conv, twin(conv)] {
        stored(&mut bench, conv, &["alice", "bob"], HEAD, HEAD);
    }
    bench.send("bob", twin(conv));
    bench.smooth = false;
    bench.send("alice", twin(conv));
    bench
}

/// The partition is lost, and at once ours again.
fn lose_and_take(bench: &mut Bench, conv: ConvId) {
    bench.end_append(Ending::Becomes(AppendOutcome::Fenced));
    assert_eq!(bench.lost, 1);
    bench.take_again(conv);
}

fn oldest(bench: &mut Bench, conv: ConvId) -> u64 {
    bench.history("bob", conv, Span::After(0), 3)
}

fn newest(bench: &mut Bench, conv: ConvId) -> u64 {
    bench.history("bob", conv, Span::Before(u64::MAX), 1)
}

#[test]
fn a_fence_read_of_a_lost_term_releases_nothing_that_was_loaded_after_it() {
    let mut bench = bench(CONV);
    let before = newest(&mut bench, CONV);
    bench.owner.fence_begins();
    lose_and_take(&mut bench, CONV);
    assert_eq!(bench.refusal(before), Some(Refusal::Unavailable));
    let after = newest(&mut bench, CONV);
    let mut out = Vec::new();
    bench.owner.fenced(bench.now, FenceOutcome::Held, &mut out);
    bench.run(out);
    assert!(!bench.answered_at_all(after));
    bench.fence_now();
    assert_eq!(bench.seqs(after), [HEAD]);
}

#[test]
fn what_waits_for_a_fence_read_in_a_lost_term_is_not_released_by_that_of_the_next() {
    let mut bench = bench(CONV);
    newest(&mut bench, CONV);
    lose_and_take(&mut bench, CONV);
    assert!(!bench.owner.wants_fence());
}

#[test]
fn who_was_a_stranger_in_a_lost_term_is_not_refused_for_that_in_the_next() {
    let mut bench = bench(CONV);
    bench.slow = true;
    let before = newest(&mut bench, CONV);
    lose_and_take(&mut bench, CONV);
    assert_eq!(bench.refusal(before), Some(Refusal::Unavailable));
    let after = newest(&mut bench, CONV);
    let bob = bench.members.remove(&(CONV, user_id("bob"))).unwrap();
    bench.end_question();
    assert!(!bench.answered_at_all(after));
    bench.members.insert((CONV, bob.user), bob);
    bench.end_question();
    bench.end_question();
    bench.fence_now();
    assert_eq!(bench.seqs(after), [HEAD]);
}

#[test]
fn a_loading_of_a_lost_term_is_not_that_of_the_next() {
    let mut bench = bench(CONV);
    bench.slow = true;
    let head = Op::Head { event: false };
    bench.ask("bob", CONV, head.clone());
    lose_and_take(&mut bench, CONV);
    let after = bench.ask("bob", CONV, head);
    bench.end_question();
    assert!(!bench.owner.wants_fence(), "loaded by the answer of an earlier term");
    let row = row_of(HEAD + 1);
    bench.rows.get_mut(&CONV).unwrap().push(row);
    bench.end_question();
    bench.fence_now();
    assert_eq!(bench.heads[&after].as_ref().map(|head| head.seq), Ok(HEAD + 1));
}

#[test]
fn rows_read_in_a_lost_term_are_no_page_of_the_next() {
    let mut bench = bench(CONV);
    newest(&mut bench, CONV);
    bench.fence_now();
    bench.slow = true;
    let before = oldest(&mut bench, CONV);
    lose_and_take(&mut bench, CONV);
    assert_eq!(bench.refusal(before), Some(Refusal::Unavailable));
    bench.slow = false;
    newest(&mut bench, CONV);
    bench.fence_now();
    bench.slow = true;
    // Both are the first read of the conversation in their terms.
    let after = oldest(&mut bench, CONV);
    bench.end_question();
    assert!(!bench.answered_at_all(after));
    bench.end_question();
    assert_eq!(bench.seqs(after), [1, 2, 3]);
}

#[test]
fn a_count_of_a_lost_term_creates_nothing_in_the_next() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (conv, op) = (ConvId(group_conv("alice", &id)), create(id, &["bob"]));
    let twin = twin(conv);
    stored(&mut bench, twin, &["alice", "bob"], HEAD, HEAD);
    bench.send("bob", twin);
    bench.smooth = false;
    bench.send("alice", twin);
    bench.ask("alice", conv, op.clone());
    bench.slow = true;
    bench.fence_now();
    lose_and_take(&mut bench, conv);
    bench.slow = false;
    bench.ask("alice", conv, op);
    bench.slow = true;
    bench.fence_now();
    bench.end_question();
    assert!(bench.appends.is_empty());
    bench.end_question();
    assert_eq!(bench.appends.len(), 1);
}

#[test]
fn watermarks_read_in_a_lost_term_are_not_those_of_the_next() {
    let mut bench = bench(CONV);
    let members = Op::Members { after: None, limit: 9 };
    newest(&mut bench, CONV);
    bench.fence_now();
    bench.slow = true;
    let before = bench.ask("bob", CONV, members.clone());
    lose_and_take(&mut bench, CONV);
    assert_eq!(bench.refusal(before), Some(Refusal::Unavailable));
    bench.slow = false;
    newest(&mut bench, CONV);
    bench.fence_now();
    bench.slow = true;
    let after = bench.ask("bob", CONV, members);
    bench.end_question();
    assert!(!bench.answered_at_all(after));
    let marks = Watermarks { delivered_seq: 9, read_seq: 9 };
    bench.marks.insert((CONV, user_id("bob")), marks);
    bench.end_question();
    let Some(v1::Body::Members(page)) = bench.answers.get(&after) else { panic!("not members") };
    assert!(page.items.iter().any(|member| (member.delivered, member.read) == (9, 9)));
}

#[test]
fn projections_of_a_lost_term_deliver_nothing_and_close_no_window_in_the_next() {
    let mut bench = bench(CONV);
    bench.smooth = true;
    newest(&mut bench, CONV);
    bench.smooth = false;
    let begin_after_work = |bench: &mut Bench| {
        bench.send("alice", CONV);
        bench.fence_now();
        bench.appends.reverse();
        bench.end_append(Ending::Becomes(AppendOutcome::Ok));
        bench.fence_now();
        assert_eq!(bench.projecting.len(), 1);
        std::mem::take(&mut bench.projecting)
    };
    let before = begin_after_work(&mut bench);
    lose_and_take(&mut bench, CONV);
    let after = begin_after_work(&mut bench);
    bench.delivered.clear();
    bench.projecting = before;
    bench.end_projections();
    bench.pass(2 * limits::WINDOW_MS);
    assert_eq!((bench.delivered_seqs(), bench.closed), (vec![], 0));
    bench.projecting = after;
    bench.end_projections();
    bench.pass(1);
    assert_eq!((bench.delivered_seqs(), bench.closed), (vec![HEAD + 2], 1));
}
