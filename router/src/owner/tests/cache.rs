//! I6: memory for conversations is bounded, and what is let go comes back as it was.

use throng_store::ConvId;

use crate::limits::{KNOWN_IDS_AGE_MS, KNOWN_IDS_KEPT, Limits};
use crate::owner::known::{KnownIds, Verdict};
use crate::owner::testing::{Bench, START_MS, row_of};
use crate::owner::{Adopt, Settings};

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
    just.prune(later);
    assert_eq!(just.find(first.sender, &first.client_msg_id, 0), Verdict::At(1));
    let mut beyond = known(KNOWN_IDS_KEPT as u64 + 1);
    beyond.prune(later);
    assert_eq!((beyond.len(), beyond.floor()), (KNOWN_IDS_KEPT, 2));
    assert_eq!(beyond.find(first.sender, &first.client_msg_id, 0), Verdict::Ask(2));
}

#[test]
fn young_ids_stay_however_many_there_are() {
    let mut known = known(KNOWN_IDS_KEPT as u64 + 100);
    known.prune(row_of(1).created_at_ms + KNOWN_IDS_AGE_MS);
    assert_eq!(known.floor(), 1);
}
