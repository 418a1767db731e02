//! I3: one (conversation, sender, id) has at most one seq, exact at the edges.

use throng_store::{AppendOutcome, Seq};

use crate::limits;
use crate::owner::Refusal;
use crate::owner::testing::{
    Bench, CONV, Ending, START_MS, create, message, message_to, msg_id, stored,
};
use throng_store::ConvId;
use throng_wire::id;

#[test]
fn a_retry_gets_the_first_result() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    let id = bench.fresh_id();
    let first = bench.ask("alice", conv, message("alice", id, "hi"));
    bench.send("bob", conv);
    let again = bench.ask("alice", conv, message("alice", id, "hi"));
    assert_eq!((bench.acked(first), bench.acked(again)), ((2, false), (2, true)));
    bench.restart();
    let later = bench.ask("alice", conv, message("alice", id, "hi"));
    assert_eq!(bench.acked(later), (2, true));
}

#[test]
fn the_same_id_with_other_content_is_refused_and_of_another_sender_is_new() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    let id = bench.fresh_id();
    bench.ask("alice", conv, message("alice", id, "hi"));
    let other = bench.ask("alice", conv, message("alice", id, "ho"));
    assert_eq!(bench.refusal(other), Some(Refusal::IdReused));
    let bob = bench.ask("bob", conv, message("bob", id, "hi"));
    assert_eq!(bench.acked(bob), (3, false));
}

#[test]
fn a_second_copy_waits_for_the_first_ones_result() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    bench.send("bob", conv);
    // Both in one batch, and both while it is in flight.
    let id = bench.fresh_id();
    let copies: Vec<u64> =
        (0..2).map(|_| bench.ask("alice", conv, message("alice", id, "hi"))).collect();
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    let third = bench.ask("alice", conv, message("alice", id, "hi"));
    assert!(!copies.iter().any(|copy| bench.answered_at_all(*copy)));
    bench.smooth = true;
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    assert_eq!(
        copies.iter().map(|copy| bench.acked(*copy)).collect::<Vec<_>>(),
        [(3, false), (3, true)]
    );
    assert_eq!(bench.acked(third), (3, true));
    assert_eq!(bench.rows[&conv].len(), 3);
}

#[test]
fn an_id_two_minutes_ahead_passes_and_a_millisecond_more_does_not() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    let mut at = |ahead_ms| {
        let id = msg_id(bench.now.wall_ms + ahead_ms, 99);
        let request = bench.ask("alice", conv, message("alice", id, "hi"));
        bench.refusal(request)
    };
    assert_eq!(at(limits::CLOCK_AHEAD_MS_MAX), None);
    assert_eq!(at(limits::CLOCK_AHEAD_MS_MAX + 1), Some(Refusal::Clock));
}

#[test]
fn an_id_a_day_old_passes_and_a_millisecond_more_does_not() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    let mut at = |age_ms| {
        let id = msg_id(bench.now.wall_ms - age_ms, 99);
        let request = bench.ask("alice", conv, message("alice", id, "hi"));
        bench.refusal(request)
    };
    assert_eq!(at(limits::ID_AGE_MS_MAX), None);
    assert_eq!(at(limits::ID_AGE_MS_MAX + 1), Some(Refusal::ExpiredId));
}

/// A stored log of which the newest `TAIL_ROWS` are loaded, a millisecond apart.
fn long_log(head: Seq) -> (Bench, u64) {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], head, head);
    let oldest_loaded = bench.rows[&CONV][head as usize - limits::TAIL_ROWS].created_at_ms;
    (bench, oldest_loaded)
}

#[test]
fn an_id_newer_than_the_oldest_loaded_row_and_two_minutes_needs_no_read() {
    let (mut bench, oldest) = long_log(1_000);
    let newer = msg_id(oldest + limits::CLOCK_AHEAD_MS_MAX + 1, 1);
    let request = bench.ask("bob", CONV, message("bob", newer, "hi"));
    assert_eq!((bench.acked(request), bench.reads), ((1_001, false), 0));
}

#[test]
fn an_id_of_exactly_that_time_needs_one() {
    let (mut bench, oldest) = long_log(1_000);
    let edge = msg_id(oldest + limits::CLOCK_AHEAD_MS_MAX, 1);
    let request = bench.ask("bob", CONV, message("bob", edge, "hi"));
    assert_eq!((bench.acked(request), bench.reads), ((1_001, false), 1));
}

#[test]
fn an_id_far_down_is_found() {
    let (mut bench, _) = long_log(1_000);
    let id = msg_id(START_MS - 1_000_000, 1);
    bench.rows.get_mut(&CONV).unwrap()[9].client_msg_id = id;
    let digest = bench.rows[&CONV][9].digest;
    let mut op = message("alice", id, "hi");
    if let crate::owner::Op::Write(write) = &mut op {
        write.digest = digest;
    }
    let request = bench.ask("alice", CONV, op);
    assert_eq!(bench.acked(request), (10, true));
}

/// A log of `head` rows of one moment, `age_ms` ago, and its oldest row's id.
fn burst(head: usize, age_ms: u64) -> (Bench, id::Id) {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], head as Seq, head as Seq);
    let created_at_ms = START_MS - age_ms;
    let id = msg_id(created_at_ms, 1);
    let rows = bench.rows.get_mut(&CONV).unwrap();
    rows.iter_mut().for_each(|row| row.created_at_ms = created_at_ms);
    rows[1].client_msg_id = id;
    rows[1].digest = *b"hi\0\0\0\0\0\0";
    (bench, id)
}

#[test]
fn old_rows_are_searched_up_to_the_limit_and_one_more_means_sync_first() {
    let search = |head| {
        let (mut bench, id) = burst(head, limits::KNOWN_IDS_AGE_MS + 1);
        let request = bench.ask("bob", CONV, message("bob", id, "hi"));
        (bench.refusal(request), bench.reads)
    };
    let pages = (limits::SCAN_ROWS_MAX - limits::TAIL_ROWS).div_ceil(limits::SCAN_PAGE_ROWS);
    assert_eq!(search(limits::SCAN_ROWS_MAX), (None, pages));
    assert_eq!(search(limits::SCAN_ROWS_MAX + 1), (Some(Refusal::SyncFirst), pages));
}

#[test]
fn a_refused_search_is_not_made_again() {
    let (mut bench, id) = burst(2 * limits::SCAN_ROWS_MAX, limits::KNOWN_IDS_AGE_MS + 1);
    bench.ask("bob", CONV, message("bob", id, "hi"));
    let (reads, bytes) = (bench.reads, bench.owner.gauges().bytes);
    for _ in 0..3 {
        let request = bench.ask("bob", CONV, message("bob", id, "hi"));
        assert_eq!(bench.refusal(request), Some(Refusal::SyncFirst));
    }
    assert_eq!((bench.reads, bench.owner.gauges().bytes), (reads, bytes));
}

#[test]
fn one_search_serves_all_late_messages_of_a_client_and_is_forgotten_afterwards() {
    let (mut bench, _) = burst(limits::SCAN_ROWS_MAX, limits::KNOWN_IDS_AGE_MS + 1);
    let made_ms = START_MS - limits::KNOWN_IDS_AGE_MS - 1;
    let late = |bench: &mut Bench, number| {
        let request = bench.ask("bob", CONV, message("bob", msg_id(made_ms, number), "hi"));
        assert!(!bench.acked(request).1);
        bench.reads
    };
    let reads = late(&mut bench, 2);
    assert_eq!(late(&mut bench, 3), reads);
    let searched = bench.owner.gauges().bytes;
    bench.pass(limits::KNOWN_IDS_AGE_MS);
    bench.send("alice", CONV);
    assert!(bench.owner.gauges().bytes < searched / 2);
}

#[test]
fn a_busy_conversation_that_was_just_loaded_takes_new_messages_and_knows_the_last_ones() {
    let head = 2 * limits::SCAN_ROWS_MAX;
    let (mut bench, id) = burst(head, 1_000);
    let new = bench.send("bob", CONV);
    assert_eq!(bench.acked(new), (head as Seq + 1, false));
    let again = bench.ask("alice", CONV, message("alice", id, "hi"));
    assert_eq!(bench.acked(again), (2, true));
    assert_eq!(bench.reads, (head - limits::TAIL_ROWS).div_ceil(limits::SCAN_PAGE_ROWS));
}

#[test]
fn rows_from_a_clock_that_was_ahead_keep_nobody_from_writing() {
    let head = 2 * limits::SCAN_ROWS_MAX;
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], head as Seq, head as Seq);
    for row in &mut bench.rows.get_mut(&CONV).unwrap()[10..] {
        row.created_at_ms = START_MS + 3_600_000;
    }
    let new = bench.send("bob", CONV);
    assert_eq!(bench.acked(new), (head as Seq + 1, false));
}

#[test]
fn a_search_that_the_store_does_not_answer_may_be_retried() {
    let (mut bench, oldest) = long_log(1_000);
    let warm = bench.send("alice", CONV);
    assert_eq!(bench.acked(warm), (1_001, false));
    bench.deaf = true;
    let id = msg_id(oldest, 1);
    let request = bench.ask("bob", CONV, message("bob", id, "hi"));
    assert_eq!(bench.refusal(request), Some(Refusal::Unavailable));
    bench.deaf = false;
    let request = bench.ask("bob", CONV, message("bob", id, "hi"));
    assert_eq!(bench.acked(request), (1_002, false));
}

#[test]
fn the_first_direct_message_makes_the_conversation_once() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "bob", id);
    let first = bench.ask("alice", conv, op.clone());
    let again = bench.ask("alice", conv, op);
    assert_eq!((bench.acked(first), bench.acked(again)), ((2, false), (2, true)));
    let id = bench.fresh_id();
    let (same, op) = message_to("bob", "alice", id);
    let reply = bench.ask("bob", same, op);
    assert_eq!((same, bench.acked(reply)), (conv, (3, false)));
}

#[test]
fn a_retried_creation_finds_the_group_however_long_it_is() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let conv = ConvId(id::group_conv("alice", &id));
    bench.ask("alice", conv, create(id, &["bob"]));
    for _ in 0..2 * limits::TAIL_ROWS {
        bench.send("bob", conv);
    }
    bench.restart();
    let again = bench.ask("alice", conv, create(id, &["bob"]));
    assert_eq!((bench.acked(again), bench.reads), ((1, true), 1));
    let mut other = create(id, &["carol"]);
    if let crate::owner::Op::Write(write) = &mut other {
        write.digest = [9; 8];
    }
    let other = bench.ask("alice", conv, other);
    assert_eq!(bench.refusal(other), Some(Refusal::IdReused));
}

#[test]
fn as_many_groups_as_allowed_are_created_and_one_more_is_refused() {
    let mut bench = Bench::new();
    bench.created_groups = limits::CREATED_GROUPS_MAX - 1;
    bench.group(&["alice", "bob"]);
    bench.created_groups = limits::CREATED_GROUPS_MAX;
    for _ in 0..2 {
        let id = bench.fresh_id();
        let conv = ConvId(id::group_conv("alice", &id));
        let request = bench.ask("alice", conv, create(id, &["bob"]));
        assert!(matches!(bench.refusal(request), Some(Refusal::TooLarge(_))));
    }
    assert_eq!(bench.counts, 1, "who tries again is not counted again");
}

#[test]
fn who_created_as_many_groups_as_allowed_still_writes_to_anybody_new() {
    let mut bench = Bench::new();
    bench.created_groups = limits::CREATED_GROUPS_MAX;
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "bob", id);
    let request = bench.ask("alice", conv, op);
    assert_eq!((bench.acked(request), bench.counts), ((2, false), 0));
}
