//! Pages: from memory and from the store the same, within limits, with the right ends.

use throng_store::{ConvId, Row};
use throng_wire::v1;

use crate::limits::{PAGE_READS_MAX, READS_MAX, TAIL_ROWS};
use crate::owner::testing::{Bench, CONV, stored};
use crate::owner::{Op, PageRequest, Refusal, Span};

const HEAD: u64 = 2 * TAIL_ROWS as u64;

fn bench() -> Bench {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], HEAD, HEAD);
    bench
}

#[test]
fn the_newest_come_from_memory_and_older_ones_from_the_store() {
    let mut bench = bench();
    let newest = bench.history("bob", CONV, Span::Before(u64::MAX), 3);
    assert_eq!((bench.seqs(newest), bench.reads), (vec![HEAD - 2, HEAD - 1, HEAD], 0));
    let across = bench.history("bob", CONV, Span::Before(HEAD - TAIL_ROWS as u64 + 3), 3);
    let floor = HEAD - TAIL_ROWS as u64 + 1;
    assert_eq!((bench.seqs(across), bench.reads), (vec![floor - 1, floor, floor + 1], 1));
    let oldest = bench.history("bob", CONV, Span::After(0), 3);
    assert_eq!((bench.seqs(oldest), bench.reads), (vec![1, 2, 3], 2));
}

#[test]
fn has_more_says_whether_there_is_more_in_the_direction_asked() {
    let mut bench = bench();
    for (span, more) in [
        (Span::Before(u64::MAX), true),
        (Span::Before(5), true),
        (Span::Before(4), false),
        (Span::After(0), true),
        (Span::After(HEAD - 4), true),
        (Span::After(HEAD - 3), false),
        (Span::After(HEAD), false),
    ] {
        let page = bench.history("bob", CONV, span, 3);
        assert_eq!(bench.page(page).has_more, more, "{span:?}");
        assert_eq!(bench.page(page).head, HEAD);
    }
}

#[test]
fn a_page_ends_before_it_has_too_many_bytes_but_never_without_an_event() {
    let mut bench = bench();
    let one = {
        let page = bench.history("bob", CONV, Span::After(HEAD - 1), 1);
        let event = &bench.page(page).events[0];
        throng_wire::Protobuf::encoded_len(event)
    };
    let mut seqs = |bytes_max, span| {
        let page = PageRequest { span, limit: 10, bytes_max, bare: false };
        let request = bench.ask("bob", CONV, Op::History(page));
        (bench.seqs(request), bench.page(request).has_more)
    };
    assert_eq!(seqs(3 * one, Span::After(HEAD - 4)), (vec![HEAD - 3, HEAD - 2, HEAD - 1], true));
    assert_eq!(seqs(3 * one - 1, Span::After(HEAD - 4)), (vec![HEAD - 3, HEAD - 2], true));
    assert_eq!(seqs(1, Span::After(HEAD - 4)), (vec![HEAD - 3], true));
    assert_eq!(seqs(2 * one, Span::Before(u64::MAX)), (vec![HEAD - 1, HEAD], true));
}

#[test]
fn a_page_reads_no_more_bytes_than_it_may_have() {
    let mut bench = bench();
    for span in [Span::After(0), Span::Before(100)] {
        let page = PageRequest { span, limit: 100, bytes_max: 1_000, bare: false };
        let before = bench.rows_read;
        let request = bench.ask("bob", CONV, Op::History(page));
        let seqs = bench.seqs(request);
        let body = bench.rows[&CONV][50].body.len();
        let read = bench.rows_read - before;
        assert!(!seqs.is_empty() && seqs.len() < read, "{seqs:?}");
        assert!(read <= 1_000_usize.div_ceil(body) + 1, "{read} rows for {} events", seqs.len());
        assert!(bench.page(request).has_more);
    }
}

#[test]
fn rows_of_several_terms_are_read_until_the_page_is_full() {
    let mut bench = bench();
    let copies: Vec<Row> = bench.rows[&CONV][..20]
        .iter()
        .flat_map(|row| (2..4).map(|epoch| Row { epoch, base: 100, ..row.clone() }))
        .collect();
    bench.rows.get_mut(&CONV).unwrap().extend(copies);
    let page = bench.history("bob", CONV, Span::After(0), 20);
    assert_eq!(bench.seqs(page), (1..=20).collect::<Vec<_>>());
    assert!(bench.reads > 1);
}

/// Conversations of which each can have as many reads under way as one may.
fn slow_bench(convs: &[ConvId]) -> Bench {
    let mut bench = Bench::new();
    for conv in convs {
        stored(&mut bench, *conv, &["alice", "bob"], HEAD, HEAD);
        let newest = bench.history("bob", *conv, Span::Before(u64::MAX), 1);
        assert_eq!(bench.seqs(newest), [HEAD]);
    }
    bench.slow = true;
    bench
}

fn is_overloaded(bench: &mut Bench, conv: ConvId) -> bool {
    let page = bench.history("bob", conv, Span::After(0), 3);
    bench.refusal(page) == Some(Refusal::Overloaded)
}

#[test]
fn as_many_pages_of_a_conversation_are_read_at_a_time_as_allowed_and_not_one_more() {
    let mut bench = slow_bench(&[CONV]);
    assert!((0..READS_MAX).all(|_| !is_overloaded(&mut bench, CONV)));
    assert!(is_overloaded(&mut bench, CONV));
    bench.fail_question();
    assert!(!is_overloaded(&mut bench, CONV));
}

#[test]
fn as_many_pages_of_all_are_read_at_a_time_as_allowed_and_not_one_more() {
    let convs: Vec<ConvId> = (1..=PAGE_READS_MAX.div_ceil(READS_MAX) as u8 + 1)
        .map(|number| ConvId([number; 16]))
        .collect();
    let (last, others) = convs.split_last().unwrap();
    let mut bench = slow_bench(&convs);
    for read in 0..PAGE_READS_MAX {
        assert!(!is_overloaded(&mut bench, others[read / READS_MAX]));
    }
    assert!(is_overloaded(&mut bench, *last));
    // What is in memory is served all the same.
    let newest = bench.history("bob", *last, Span::Before(u64::MAX), 1);
    assert_eq!(bench.seqs(newest), [HEAD]);
    bench.fail_question();
    assert!(!is_overloaded(&mut bench, *last));
}

#[test]
fn an_event_is_its_row() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("alice", conv);
    let page = bench.history("bob", conv, Span::After(1), 1);
    let event = &bench.page(page).events[0];
    assert_eq!(
        (&*event.conv, event.seq, event.time_ms, &*event.sender, &*event.device),
        (&*throng_wire::id::text(&conv.0), 2, bench.now.wall_ms, "alice", "phone")
    );
    assert!(matches!(&event.what, Some(v1::What::Message(message)) if message.kind == "text"));
}

#[test]
fn members_are_paged_without_gap_or_repeat() {
    let all: Vec<String> = (0..10).map(|user| format!("user{user}")).collect();
    let names: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut bench = Bench::new();
    let conv = bench.group(&names);
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let request = bench.ask("user0", conv, Op::Members { after, limit: 4 });
        let Some(v1::Body::Members(page)) = bench.answers.get(&request) else { panic!() };
        seen.extend(page.items.iter().map(|member| member.user.to_string()));
        if page.next.is_empty() {
            break;
        }
        after = Some(crate::owner::event::user_id(&page.next));
    }
    seen.sort_unstable();
    assert_eq!(seen, all);
}
