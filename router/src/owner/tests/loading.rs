//! What an owner does with what an earlier one left.

use throng_store::{AppendOutcome, FenceOutcome, Projection};

use crate::limits;
use crate::owner::testing::{Bench, CONV, EPOCH, Ending, stored};
use crate::owner::{Adopt, Refusal, Span};

#[test]
fn a_conversation_serves_only_after_a_fence_read_that_began_later() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.smooth = false;
    let page = bench.history("bob", CONV, Span::After(0), 10);
    assert!(!bench.answered_at_all(page));
    bench.fence_now();
    assert_eq!(bench.seqs(page), [1, 2, 3, 4, 5]);
}

#[test]
fn projections_that_are_behind_are_applied_and_what_they_lack_is_delivered() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 3);
    bench.history("bob", CONV, Span::After(0), 10);
    assert_eq!(bench.convs[&CONV].applied_seq, 5);
    assert_eq!(bench.convs[&CONV].applied_n, 4);
    assert_eq!(bench.delivered_seqs(), [4, 5]);
    let touched = |projection: &Projection| match projection {
        Projection::Touch { head_seq: 5, users, .. } => users.len() == 2,
        _ => false,
    };
    assert!(bench.projected.iter().any(touched));
}

#[test]
fn a_log_without_projections_gets_them_all_however_long_it_is() {
    let mut bench = Bench::new();
    let head = 3 * limits::SCAN_PAGE_ROWS as u64;
    stored(&mut bench, CONV, &["alice", "bob"], head, 0);
    bench.recover(CONV);
    let request = bench.send("bob", CONV);
    assert_eq!(bench.acked(request), (head + 1, false));
    assert_eq!(bench.convs[&CONV].applied_seq, head + 1);
    assert_eq!(bench.members.len(), 2);
}

#[test]
fn projections_that_are_up_to_date_are_left_alone() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.history("bob", CONV, Span::After(0), 10);
    assert!(bench.projected.is_empty() && bench.delivered.is_empty());
}

#[test]
fn rows_that_may_not_be_at_a_quorum_are_written_again_before_anything_is_served() {
    let mut bench = Bench::with(Adopt::Rewrite);
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    // The last two were sent when 3 was committed.
    for row in &mut bench.rows.get_mut(&CONV).unwrap()[3..] {
        row.acked = 3;
    }
    bench.smooth = false;
    let page = bench.history("bob", CONV, Span::After(0), 10);
    let written = bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    let keys: Vec<_> = written.rows.iter().map(|row| (row.seq, row.epoch, row.base)).collect();
    assert_eq!(keys, [(4, EPOCH, 6), (5, EPOCH, 6)]);
    assert!(!bench.answered_at_all(page));
    bench.fence_now();
    bench.fence_now();
    assert_eq!(bench.seqs(page), [1, 2, 3, 4, 5]);
    let request = bench.send("bob", CONV);
    let next = bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    assert_eq!((next.rows[0].seq, next.rows[0].acked, next.rows[0].base), (6, 5, 6));
    bench.fence_now();
    assert_eq!(bench.acked(request), (6, false));
}

/// A group of which an earlier owner sent the last two rows and did not see them committed.
fn adopting() -> Bench {
    let mut bench = Bench::with(Adopt::Rewrite);
    stored(&mut bench, CONV, &["alice", "bob"], 5, 3);
    for row in &mut bench.rows.get_mut(&CONV).unwrap()[3..] {
        row.acked = 3;
    }
    bench.smooth = false;
    bench
}

#[test]
fn a_fence_read_for_rows_written_again_commits_nothing_that_returned_after_it_began() {
    let mut bench = adopting();
    let request = bench.send("bob", CONV);
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    bench.owner.fence_begins();
    // Bob's message is sent only now, or it is under way and ends before the read does.
    if !bench.appends.is_empty() {
        bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    }
    let mut out = Vec::new();
    bench.owner.fenced(bench.now, FenceOutcome::Held, &mut out);
    bench.run(out);
    assert!(!bench.answered_at_all(request));
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    assert!(!bench.answered_at_all(request));
    bench.fence_now();
    assert_eq!(bench.acked(request), (6, false));
}

#[test]
fn rows_written_again_mark_a_window_that_stays_open_until_their_after_work_is_done() {
    let mut bench = adopting();
    bench.history("bob", CONV, Span::After(0), 10);
    let written = bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    // The mark of who wrote them first may be nowhere.
    assert_eq!(written.dirty.map(|window| window.epoch), Some(EPOCH));
    bench.fence_now();
    bench.fence_now();
    bench.pass(2 * limits::WINDOW_MS);
    assert_eq!((bench.projecting.len(), bench.closed), (1, 0));
    bench.end_projections();
    assert_eq!(bench.delivered_seqs(), [4, 5]);
    bench.pass(1);
    assert_eq!(bench.closed, 1);
}

#[test]
fn a_row_of_a_later_term_means_that_we_are_not_the_owner() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.rows.get_mut(&CONV).unwrap()[4].epoch = EPOCH + 1;
    let page = bench.history("bob", CONV, Span::After(0), 10);
    assert_eq!(bench.refusal(page), Some(Refusal::Unavailable));
    assert_eq!(bench.lost, 1);
}

#[test]
fn another_owner_seen_while_loading_serves_nothing() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.fence = FenceOutcome::Fenced;
    let page = bench.history("bob", CONV, Span::After(0), 10);
    assert_eq!(bench.refusal(page), Some(Refusal::Unavailable));
}

#[test]
fn a_store_that_does_not_answer_is_asked_again_by_the_next_request() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.deaf = true;
    let first = bench.send("alice", CONV);
    assert_eq!(bench.refusal(first), Some(Refusal::Unavailable));
    bench.deaf = false;
    let second = bench.send("alice", CONV);
    assert_eq!(bench.acked(second), (6, false));
}

#[test]
fn recovery_tells_the_head_again_and_then_says_that_it_is_done() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 4);
    bench.smooth = false;
    bench.recover(CONV);
    bench.fence_now();
    assert_eq!(bench.recovered, []);
    bench.end_projections();
    assert_eq!(bench.recovered, [(CONV, true)]);
    assert_eq!(bench.delivered_seqs(), [5, 5]);
}

#[test]
fn a_recovery_that_could_not_load_says_so() {
    let mut bench = Bench::new();
    bench.deaf = true;
    bench.recover(CONV);
    assert_eq!(bench.recovered, [(CONV, false)]);
}

#[test]
fn a_member_of_whom_a_failed_recovery_left_nothing_in_the_lists_is_let_in() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 0);
    bench.deaf = true;
    bench.recover(CONV);
    bench.deaf = false;
    let request = bench.send("bob", CONV);
    assert_eq!(bench.acked(request), (6, false));
}

#[test]
fn a_second_row_without_the_first_is_no_conversation() {
    let mut bench = Bench::with(Adopt::Rewrite);
    // Both are of one append, of which one row arrived.
    stored(&mut bench, CONV, &["alice", "bob"], 2, 0);
    bench.rows.get_mut(&CONV).unwrap().remove(0);
    bench.rows.get_mut(&CONV).unwrap()[0].acked = 0;
    bench.recover(CONV);
    assert_eq!(bench.recovered, [(CONV, true)]);
    assert!(bench.delivered.is_empty() && bench.projected.is_empty());
}

#[test]
fn recovery_writes_the_conversations_row_again_as_it_may_be_at_one_replica_only() {
    let mut bench = Bench::with(Adopt::Rewrite);
    stored(&mut bench, CONV, &["alice", "bob"], 5, 5);
    bench.rows.get_mut(&CONV).unwrap()[4].acked = 5;
    bench.recover(CONV);
    assert_eq!(bench.recovered, [(CONV, true)]);
    assert_eq!(bench.projected, [Projection::Conv(bench.convs[&CONV].clone())]);
}
