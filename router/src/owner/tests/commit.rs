//! I1, I7: what is acknowledged, delivered or served is committed; outcomes decide, nothing else.

use throng_store::{AppendOutcome, FenceOutcome};

use crate::limits;
use crate::owner::testing::{Bench, Ending};
use crate::owner::{Refusal, Span};

const OK: Ending = Ending::Becomes(AppendOutcome::Ok);
const UNKNOWN: Ending = Ending::Becomes(AppendOutcome::Unknown);

/// A group of two, and from now on a store that answers by hand.
fn bench() -> (Bench, throng_store::ConvId) {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.delivered.clear();
    bench.smooth = false;
    (bench, conv)
}

#[test]
fn an_ack_waits_for_the_append_and_for_a_fence_read_after_it() {
    let (mut bench, conv) = bench();
    let request = bench.send("alice", conv);
    assert!(!bench.answered_at_all(request));
    bench.end_append(OK);
    assert!(!bench.answered_at_all(request));
    bench.fence_now();
    assert_eq!(bench.acked(request), (2, false));
}

#[test]
fn a_fence_read_that_began_before_the_append_returned_releases_nothing() {
    let (mut bench, conv) = bench();
    let other = {
        bench.smooth = true;
        let other = bench.group(&["alice", "carol"]);
        bench.smooth = false;
        other
    };
    let first = bench.send("alice", conv);
    bench.end_append(OK);
    assert!(bench.owner.wants_fence());
    bench.owner.fence_begins();
    let second = bench.send("alice", other);
    bench.end_append(OK);
    let mut out = Vec::new();
    bench.owner.fenced(bench.now, FenceOutcome::Held, &mut out);
    bench.run(out);
    assert!(bench.answered_at_all(first));
    assert!(!bench.answered_at_all(second));
    bench.fence_now();
    assert!(bench.answered_at_all(second));
}

#[test]
fn nothing_uncommitted_is_served() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    let page = bench.history("bob", conv, Span::After(0), 10);
    assert_eq!(bench.seqs(page), [1]);
    assert_eq!(bench.page(page).head, 1);
    bench.end_append(OK);
    bench.fence_now();
    let page = bench.history("bob", conv, Span::After(0), 10);
    assert_eq!(bench.seqs(page), [1, 2]);
}

#[test]
fn lists_are_touched_before_anything_is_delivered() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    bench.end_append(OK);
    bench.fence_now();
    assert_eq!(bench.projecting.len(), 1);
    assert!(bench.delivered.is_empty());
    bench.end_projections();
    assert_eq!(bench.delivered_seqs(), [2]);
}

#[test]
fn one_append_is_in_flight_and_what_arrives_meanwhile_is_the_next() {
    let (mut bench, conv) = bench();
    let first = bench.send("alice", conv);
    let rest: Vec<u64> = (0..5).map(|_| bench.send("bob", conv)).collect();
    assert_eq!(bench.appends.len(), 1);
    assert_eq!(bench.end_append(OK).rows.len(), 1);
    bench.fence_now();
    assert_eq!(bench.acked(first), (2, false));
    let batch = bench.end_append(OK);
    assert_eq!(batch.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
    assert_eq!(batch.rows[0].acked, 2);
    bench.fence_now();
    let seqs: Vec<u64> = rest.iter().map(|request| bench.acked(*request).0).collect();
    assert_eq!(seqs, [3, 4, 5, 6, 7]);
}

#[test]
fn a_batch_is_as_large_as_the_store_takes_and_no_larger() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    for _ in 0..limits::BATCH_ROWS_MAX {
        bench.send("alice", conv);
    }
    bench.end_append(OK);
    bench.fence_now();
    // A batch ends where a direct conversation's two first rows would no longer fit.
    assert_eq!(bench.end_append(OK).rows.len(), limits::BATCH_ROWS_MAX - 1);
    bench.fence_now();
    assert_eq!(bench.end_append(OK).rows.len(), 1);
}

#[test]
fn as_many_writes_wait_as_the_limit_says_and_one_more_is_refused() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    let last = (0..limits::WAITING_MAX).map(|_| bench.send("alice", conv)).last().unwrap();
    let beyond = bench.send("alice", conv);
    assert!(!bench.answered_at_all(last));
    assert_eq!(bench.refusal(beyond), Some(Refusal::Overloaded));
}

#[test]
fn an_unknown_outcome_is_answered_with_the_same_rows_until_it_is_known() {
    let (mut bench, conv) = bench();
    let request = bench.send("alice", conv);
    let first = bench.end_append(UNKNOWN);
    assert!(bench.appends.is_empty());
    bench.pass(limits::RETRY_MS_MAX);
    let again = bench.end_append(OK);
    assert_eq!(first.rows, again.rows);
    bench.fence_now();
    assert_eq!(bench.acked(request), (2, false));
}

#[test]
fn the_partition_is_given_up_after_as_many_unknown_outcomes_as_the_limit_says() {
    let (mut bench, conv) = bench();
    let in_flight = bench.send("alice", conv);
    let waiting = bench.send("bob", conv);
    for _ in 1..limits::APPEND_ATTEMPTS_MAX {
        bench.end_append(UNKNOWN);
        bench.now.mono_ms += limits::RETRY_MS_MAX;
        let mut out = Vec::new();
        bench.owner.tick(bench.now, &mut out);
        bench.run(out);
    }
    assert_eq!(bench.lost, 0);
    bench.end_append(UNKNOWN);
    assert_eq!(bench.lost, 1);
    assert_eq!(bench.refusal(in_flight), Some(Refusal::Unknown));
    assert!(matches!(bench.refusal(waiting), Some(Refusal::Unavailable | Refusal::Overloaded)));
    let later = bench.send("alice", conv);
    assert_eq!(bench.refusal(later), Some(Refusal::Unavailable));
}

#[test]
fn a_full_queue_of_the_store_is_tried_again_without_counting_as_unknown() {
    let (mut bench, conv) = bench();
    let request = bench.send("alice", conv);
    for _ in 0..2 * limits::APPEND_ATTEMPTS_MAX {
        bench.end_append(Ending::Busy);
        bench.pass(limits::RETRY_MS_MIN);
    }
    bench.end_append(OK);
    bench.fence_now();
    assert_eq!(bench.acked(request), (2, false));
}

#[test]
fn a_fenced_append_stops_at_once() {
    let (mut bench, conv) = bench();
    let in_flight = bench.send("alice", conv);
    let waiting = bench.send("bob", conv);
    bench.end_append(Ending::Becomes(AppendOutcome::Fenced));
    assert_eq!(bench.refusal(in_flight), Some(Refusal::Unknown));
    assert_eq!(bench.refusal(waiting), Some(Refusal::Unavailable));
    assert!(bench.delivered.is_empty());
}

#[test]
fn a_fence_read_that_shows_another_owner_releases_nothing() {
    let (mut bench, conv) = bench();
    let request = bench.send("alice", conv);
    bench.end_append(OK);
    bench.fence = FenceOutcome::Fenced;
    bench.fence_now();
    assert_eq!(bench.refusal(request), Some(Refusal::Unknown));
    let page = bench.history("bob", conv, Span::After(0), 10);
    assert_eq!(bench.refusal(page), Some(Refusal::Unavailable));
    assert!(bench.delivered.is_empty());
}

#[test]
fn a_fence_read_that_failed_is_asked_again() {
    let (mut bench, conv) = bench();
    let request = bench.send("alice", conv);
    bench.end_append(OK);
    bench.fence = FenceOutcome::Unknown;
    bench.fence_now();
    assert!(!bench.answered_at_all(request));
    bench.fence = FenceOutcome::Held;
    bench.fence_now();
    assert_eq!(bench.acked(request), (2, false));
}

#[test]
fn a_write_whose_time_is_over_before_it_was_appended_is_not_appended() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    let late = bench.send("bob", conv);
    bench.pass(9_999);
    assert!(!bench.answered_at_all(late));
    bench.pass(1);
    assert_eq!(bench.refusal(late), Some(Refusal::Overloaded));
    bench.end_append(OK);
    bench.fence_now();
    assert!(bench.appends.is_empty());
}

#[test]
fn times_never_decrease_when_moments_are_behind_those_of_an_earlier_owner() {
    let (mut bench, conv) = bench();
    bench.smooth = true;
    bench.send("alice", conv);
    bench.now.moment_ms -= 60_000;
    bench.send("alice", conv);
    let rows = &bench.rows[&conv];
    assert!(rows.is_sorted_by_key(|row| row.created_at_ms));
    assert_eq!(rows[1].created_at_ms, rows[2].created_at_ms);
}

#[test]
fn the_first_append_of_a_window_is_marked_and_the_window_closed_when_its_work_is_done() {
    let (mut bench, conv) = bench();
    // The group was created in this window.
    bench.send("alice", conv);
    assert_eq!(bench.end_append(OK).dirty, None);
    bench.fence_now();
    bench.pass(limits::WINDOW_MS);
    assert_eq!(bench.closed, 0);
    bench.end_projections();
    bench.pass(1);
    assert_eq!(bench.closed, 1);
    bench.send("alice", conv);
    assert!(bench.end_append(OK).dirty.is_some());
}
