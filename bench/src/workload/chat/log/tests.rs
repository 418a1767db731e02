use super::*;

fn entry(seq: u64, client: u32, counter: u64) -> Entry {
    let stamp = Stamp { tag: 1, client, counter, intended_ns: 0, handed_ns: 0 };
    Entry { seq, time_ms: 1000 + seq, said: Said::Message(stamp) }
}

/// Two senders take turns.
fn stream(count: u64) -> Vec<Entry> {
    (1..=count).map(|seq| entry(seq, (seq % 2) as u32, seq.div_ceil(2))).collect()
}

/// Pushes a stream: (what was taken, faults, missing at the end).
fn push(entries: &[Entry]) -> (Vec<u64>, Faults, u64) {
    let (mut log, mut taken, mut faults) = (Log::default(), Vec::new(), Faults::default());
    for entry in entries {
        let seen = log.pushed(*entry, &mut taken);
        faults.doubled += seen.doubled;
        faults.reordered += seen.reordered;
    }
    (taken.iter().map(|entry| entry.seq).collect(), faults, log.missing())
}

#[test]
fn an_undamaged_stream_has_no_fault() {
    let (taken, faults, missing) = push(&stream(200));
    assert_eq!((taken, missing), ((1..=200).collect(), 0));
    assert!(faults.is_empty());
}

#[test]
fn every_dropped_event_is_missing() {
    for dropped in 0..19 {
        let mut damaged = stream(20);
        damaged.remove(dropped);
        let (taken, _, missing) = push(&damaged);
        assert_eq!((taken.len(), missing), (dropped, 20 - dropped as u64));
    }
}

#[test]
fn a_message_that_is_in_the_log_twice_is_found_wherever_it_is() {
    for (first, again) in (0..18).flat_map(|first| (first + 1..20).map(move |at| (first, at))) {
        let mut damaged = stream(20);
        damaged[again].said = damaged[first].said;
        let (_, faults, _) = push(&damaged);
        assert!(!faults.is_empty(), "{first} again at {again}");
        if first % 2 == again % 2 {
            assert!(faults.doubled >= 1);
        }
    }
}

#[test]
fn two_messages_of_a_sender_in_the_wrong_order_are_found() {
    for at in 0..18 {
        let mut damaged = stream(20);
        (damaged[at].said, damaged[at + 2].said) = (damaged[at + 2].said, damaged[at].said);
        let (_, faults, _) = push(&damaged);
        assert_eq!(faults, Faults { doubled: 0, reordered: 1 }, "{at}");
    }
}

#[test]
fn a_clock_that_goes_back_is_found() {
    let mut damaged = stream(20);
    damaged[10].time_ms = 1;
    assert_eq!(push(&damaged).1.reordered, 1);
}

#[test]
fn the_same_event_pushed_again_is_known_and_no_fault() {
    let mut twice = stream(20);
    twice.extend(stream(20));
    let (taken, faults, _) = push(&twice);
    assert_eq!(taken.len(), 20);
    assert!(faults.is_empty());
}

#[test]
fn a_hole_is_filled_by_a_page_and_counted_once() {
    let (mut log, mut taken) = (Log::default(), Vec::new());
    let stream = stream(10);
    for entry in stream.iter().filter(|entry| ![4, 5].contains(&entry.seq)) {
        assert!(log.pushed(*entry, &mut taken).is_empty());
    }
    assert_eq!((log.cursor(), log.missing()), (3, 7));
    for entry in &stream[3..7] {
        assert!(log.paged(*entry, &mut taken).is_empty());
    }
    assert!(log.page_ended(10, 1));
    assert!(!log.page_ended(10, 1));
    assert_eq!(taken, stream);
}

#[test]
fn the_hole_before_an_own_first_message_is_no_lost_push() {
    let (mut log, mut taken) = (Log::default(), Vec::new());
    log.acknowledged(entry(2, 1, 1), &mut taken);
    assert_eq!((taken.len(), log.missing()), (0, 2));
    log.paged(Entry { seq: 1, time_ms: 900, said: Said::Other }, &mut taken);
    assert_eq!((log.page_ended(2, 1), log.cursor(), taken.len()), (false, 2, 2));
}

#[test]
fn what_was_before_a_member_joined_is_not_missing() {
    let mut log = Log::default();
    log.heard_of(12);
    assert_eq!(log.missing(), 12);
    log.page_ended(12, 13);
    assert_eq!(log.missing(), 0);
}

#[test]
fn aside_is_bounded_and_what_did_not_fit_stays_missing() {
    let (mut log, mut taken) = (Log::default(), Vec::new());
    for entry in &stream(ASIDE_MAX as u64 + 3)[1..] {
        log.pushed(*entry, &mut taken);
    }
    log.pushed(stream(1)[0], &mut taken);
    assert_eq!(taken.len(), ASIDE_MAX + 1);
    assert_eq!(log.missing(), 2);
}
