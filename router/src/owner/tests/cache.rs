//! I6: memory for conversations is bounded, and what is let go comes back as it was.

use throng_store::{ConvId, Row};

use crate::limits::{
    CLOCK_AHEAD_MS_MAX, KNOWN_IDS_AGE_MS, KNOWN_IDS_KEPT, KNOWN_IDS_MAX, LOADS_MAX, Limits,
    SCAN_PAGE_ROWS,
};
use crate::owner::known::{KnownIds, Verdict};
use crate::owner::testing::{Bench, START_MS, message, msg_id, row_of};
use crate::owner::{Adopt, Op, Refusal, Settings};

const CACHE_BYTES: usize = 64 * 1024;

fn bench() -> Bench {
    let limits = Limits { cache_bytes: CACHE_BYTES, ..Limits::default() };
    Bench::with_settings(Settings { limits, adopt: Adopt::AsIs })
}

#[test]
fn unused_conversations_are_let_go_and_loaded_again() {
    let mut bench = bench();
    let convs: Vec<ConvId> = (0..100).map(|_| bench.group(&["alice", "bob"])).collect();
    let gauges = bench.owner.gauges();
    assert!(gauges.conversations < convs.len() && gauges.bytes <= CACHE_BYTES);
    for conv in convs {
        let request = bench.send("bob", conv);
        assert_eq!(bench.acked(request), (2, false));
    }
    assert!(bench.owner.counters().loads > 100);
}

#[test]
fn a_conversation_in_which_something_is_under_way_stays() {
    let mut bench = bench();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    let request = bench.send("alice", conv);
    bench.smooth = true;
    for _ in 0..100 {
        bench.group(&["alice", "bob"]);
    }
    bench.end_append(crate::owner::testing::Ending::Becomes(throng_store::AppendOutcome::Ok));
    assert_eq!(bench.acked(request), (2, false));
    assert!(bench.owner.is_idle());
}

#[test]
fn a_sender_whose_conversation_was_let_go_begins_anew() {
    let mut bench = bench();
    let conv = bench.group(&["alice", "bob"]);
    let sent = bench.send_ordered("alice", conv, 1, true);
    assert_eq!(bench.acked(sent), (2, false));
    for _ in 0..100 {
        bench.group(&["alice", "bob"]);
    }
    // Nothing was under way, so the edge says `first`; whoever does not is not let past.
    let behind = bench.send_ordered("alice", conv, 2, false);
    assert_eq!(bench.refusal(behind), Some(Refusal::AfterFailed));
    let first = bench.send_ordered("alice", conv, 3, true);
    assert_eq!(bench.acked(first), (3, false));
}

fn known(rows: u64) -> KnownIds {
    let mut known = KnownIds::above(0);
    for seq in 1..=rows {
        known.push(&row_of(seq));
    }
    known
}

#[test]
fn as_many_ids_as_are_kept_stay_and_old_ones_beyond_are_forgotten() {
    let later = START_MS + KNOWN_IDS_AGE_MS;
    let first = row_of(1);
    let mut just = known(KNOWN_IDS_KEPT as u64);
    just.prune(later, KNOWN_IDS_AGE_MS);
    assert_eq!(just.seq_of(first.sender, &first.client_msg_id), Some(1));
    let mut beyond = known(KNOWN_IDS_KEPT as u64 + 1);
    beyond.prune(later, KNOWN_IDS_AGE_MS);
    assert_eq!((beyond.len(), beyond.floor()), (KNOWN_IDS_KEPT, 2));
    let rows = SCAN_PAGE_ROWS;
    let verdict = beyond.find(first.sender, &first.client_msg_id, 0, later);
    assert_eq!(verdict, Verdict::Ask { below: 2, rows });
}

#[test]
fn young_ids_stay_however_many_there_are() {
    let mut known = known(KNOWN_IDS_KEPT as u64 + 100);
    known.prune(row_of(1).created_at_ms + KNOWN_IDS_AGE_MS, KNOWN_IDS_AGE_MS);
    assert_eq!(known.floor(), 1);
}

/// `rows` rows, one in a millisecond, of ids made when they were created.
fn known_in_time(rows: u64) -> KnownIds {
    let mut known = known(0);
    for seq in 1..=rows {
        let client_msg_id = msg_id(START_MS + seq, seq);
        known.push(&Row { created_at_ms: START_MS + seq, client_msg_id, ..row_of(seq) });
    }
    known
}

#[test]
fn where_memory_is_scarce_young_ids_are_forgotten_and_later_ones_are_new_without_a_read() {
    let rows = KNOWN_IDS_KEPT as u64 + 10;
    let (sender, now_ms) = (row_of(1).sender, START_MS + rows);
    let mut all = known_in_time(rows);
    all.prune(now_ms, KNOWN_IDS_AGE_MS);
    assert_eq!(all.floor(), 1);
    let mut known = known_in_time(rows);
    known.prune(now_ms, 0);
    assert_eq!((known.len(), known.floor()), (KNOWN_IDS_KEPT, 11));
    let find = |made_ms, number| known.find(sender, &msg_id(made_ms, number), made_ms, now_ms);
    assert_eq!(find(START_MS + 11, 11), Verdict::At(11));
    assert_eq!(find(START_MS + 11, 99), Verdict::New);
    let ask = Verdict::Ask { below: 11, rows: SCAN_PAGE_ROWS };
    assert_eq!([find(START_MS + 10, 10), find(START_MS + 10, 99)], [ask; 2]);
}

#[test]
fn where_rows_below_are_not_known_their_ids_may_be_from_the_future() {
    let mut known = KnownIds::above(100);
    for seq in 101..=101 + KNOWN_IDS_KEPT as u64 {
        let client_msg_id = msg_id(START_MS, seq);
        known.push(&Row { created_at_ms: START_MS, client_msg_id, ..row_of(seq) });
    }
    known.prune(START_MS, 0);
    let find = |made_ms| {
        let verdict = known.find(row_of(1).sender, &msg_id(made_ms, 1), made_ms, START_MS);
        verdict == Verdict::New
    };
    let latest_ms = START_MS + CLOCK_AHEAD_MS_MAX;
    assert_eq!([find(latest_ms), find(latest_ms + 1)], [false, true]);
}

#[test]
fn ids_of_busy_conversations_take_no_more_memory_than_there_is_and_retries_are_found() {
    const MESSAGES: usize = KNOWN_IDS_KEPT + 500;
    let run = |cache_bytes| {
        let limits = Limits { cache_bytes, ..Limits::default() };
        let mut bench = Bench::with_settings(Settings { limits, adopt: Adopt::AsIs });
        let conv = bench.group(&["alice", "bob"]);
        let id = bench.fresh_id();
        let first = bench.ask("alice", conv, message("alice", id, "x"));
        assert_eq!(bench.acked(first), (2, false));
        for _ in 0..MESSAGES {
            bench.pass(1);
            bench.send("bob", conv);
        }
        let (reads, bytes) = (bench.reads, bench.owner.gauges().bytes);
        let again = bench.ask("alice", conv, message("alice", id, "x"));
        assert_eq!(bench.acked(again), (2, true));
        assert_eq!(reads, 0, "new messages need no read");
        (bytes, bench.reads)
    };
    let (plenty, no_reads) = run(64 * 1024 * 1024);
    let (scarce, some_reads) = run(CACHE_BYTES);
    assert!(no_reads == 0 && some_reads > 0);
    assert!(plenty - scarce >= 500 * 100, "{plenty} {scarce}");
}

#[test]
fn as_many_young_ids_as_memory_is_for_stay_and_one_more_takes_the_place_of_the_oldest() {
    let mut known = known(0);
    let mut row = row_of(1);
    let now_ms = row.created_at_ms;
    let mut push_to = |known: &mut KnownIds, len: usize| {
        while known.len() < len {
            row.client_msg_id[8..].copy_from_slice(&row.seq.to_be_bytes());
            known.push(&row);
            row.seq += 1;
        }
    };
    push_to(&mut known, KNOWN_IDS_MAX);
    known.prune(now_ms, KNOWN_IDS_AGE_MS);
    assert_eq!((known.len(), known.floor()), (KNOWN_IDS_MAX, 1));
    push_to(&mut known, KNOWN_IDS_MAX + 1);
    known.prune(now_ms, KNOWN_IDS_AGE_MS);
    assert_eq!((known.len(), known.floor()), (KNOWN_IDS_MAX, 2));
    // Reading would only make room for what was let go.
    assert_eq!(known.find(row.sender, &[0; 16], 0, now_ms), Verdict::TooFar);
}

#[test]
fn as_many_conversations_are_loaded_at_a_time_as_allowed_and_not_one_more() {
    let conv = |number: u64| {
        let mut id = [7; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        ConvId(id)
    };
    let mut bench = Bench::new();
    bench.slow = true;
    let is_refused = |bench: &mut Bench, number| {
        let request = bench.ask("bob", conv(number), Op::Head { event: false });
        bench.heads.get(&request).is_some_and(|head| *head == Err(Refusal::Overloaded))
    };
    assert!((0..LOADS_MAX as u64).all(|number| !is_refused(&mut bench, number)));
    assert!(is_refused(&mut bench, u64::MAX));
    assert!(!is_refused(&mut bench, 0), "it is being loaded already");
    bench.fail_question();
    assert!(!is_refused(&mut bench, u64::MAX));
}
