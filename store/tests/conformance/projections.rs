//! Projections give the same lists whatever their order and however often each is applied.

use crate::conformance::Subject;
use crate::fixture::{conv, user};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, TestRunner};
use throng_store::{ConvRow, MemberRow, Projection, Role, Store, UserConvRow, limits};

/// One write to the lists of users 0..3 in conversation `base`, as the event `at` causes it.
fn any_projection() -> impl Strategy<Value = Projection> {
    let fields = (0..5_u8, 0..3_u64, 1..12_u64, 0..12_u64, 0..12_u64);
    fields.prop_map(|(kind, who, at, x, y)| match kind {
        0 => Projection::Conv(conv_row(0, at)),
        1 => Projection::Member { conv: conv(0), row: member_row(who, at, x), at },
        2 => listed(who, at, x),
        3 => Projection::Touch {
            users: (0..=who).map(user).collect(),
            conv: conv(0),
            head_seq: at,
            head_n: at / 2,
            head_at_ms: 1_000 + x,
        },
        _ => Projection::Mark {
            user: user(who),
            conv: conv(0),
            delivered_seq: y,
            read_seq: x,
            read_n: x / 2,
        },
    })
}

fn conv_row(index: u64, at: u64) -> ConvRow {
    ConvRow {
        conv: conv(index),
        direct: false,
        name: format!("name {at}"),
        history_all: at.is_multiple_of(2),
        applied_seq: at,
        applied_n: at / 2,
        member_count: 3,
    }
}

fn member_row(who: u64, at: u64, left: u64) -> MemberRow {
    let name = format!("user {who}");
    MemberRow { user: user(who), name, role: Role::Admin, joined_seq: at, left_seq: left }
}

fn listed(who: u64, at: u64, joined_n: u64) -> Projection {
    Projection::Listed {
        user: user(who),
        conv: conv(0),
        direct: false,
        peer: String::new(),
        joined_seq: at,
        left_seq: 0,
        joined_n,
        big: false,
        created: joined_n > 0,
        at,
    }
}

/// The same projection for another conversation, so that each case has cells of its own.
fn moved(projection: &Projection, to: u64) -> Projection {
    let mut projection = projection.clone();
    match &mut projection {
        Projection::Conv(row) => row.conv = conv(to),
        Projection::Member { conv: at, .. }
        | Projection::Listed { conv: at, .. }
        | Projection::Touch { conv: at, .. }
        | Projection::Mark { conv: at, .. } => *at = conv(to),
    }
    projection
}

type Lists = (Option<ConvRow>, Vec<MemberRow>, Vec<Option<UserConvRow>>);

/// Everything that the projections of a conversation show, as if it were conversation 0.
async fn lists<S: Store>(store: &S, index: u64) -> Lists {
    let mut row = store.conv(conv(index)).await.unwrap();
    row.iter_mut().for_each(|row| row.conv = conv(0));
    let mut users = Vec::new();
    for who in 0..3 {
        let mut row = store.user_conv(user(who), conv(index)).await.unwrap();
        row.iter_mut().for_each(|row| row.conv = conv(0));
        users.push(row);
    }
    (row, store.members(conv(index), None, 9).await.unwrap(), users)
}

pub async fn order_and_repetition_do_not_matter<S: Subject>(subject: S) {
    let store = subject.store();
    let cases = vec(any_projection(), 1..24).prop_flat_map(|writes| {
        let repeats = vec(0..writes.len(), 0..8);
        (Just(writes.clone()), Just(writes).prop_shuffle(), repeats, 1..6_usize)
    });
    let mut runner = TestRunner::new(Cases { failure_persistence: None, ..Cases::default() });
    for case in 0..48 {
        let (straight, mut shuffled, repeats, call) =
            cases.new_tree(&mut runner).unwrap().current();
        let again: Vec<_> = repeats.iter().map(|index| shuffled[*index].clone()).collect();
        shuffled.extend(again);
        let indexes = [2 * case + 1, 2 * case + 2];
        let writes = straight.iter().map(|write| moved(write, indexes[0])).collect();
        store.project(writes).await.unwrap();
        for part in shuffled.chunks(call) {
            let writes = part.iter().map(|write| moved(write, indexes[1])).collect();
            store.project(writes).await.unwrap();
        }
        let seen = [lists(&store, indexes[0]).await, lists(&store, indexes[1]).await];
        assert_eq!(seen[0], seen[1], "{straight:?} and {shuffled:?}");
    }
}

pub async fn the_highest_event_wins_and_marks_only_grow<S: Subject>(subject: S) {
    let store = subject.store();
    let mark = |delivered_seq, read_seq, read_n| Projection::Mark {
        user: user(1),
        conv: conv(0),
        delivered_seq,
        read_seq,
        read_n,
    };
    let touch = |head_seq, head_at_ms| Projection::Touch {
        users: [user(1)].into(),
        conv: conv(0),
        head_seq,
        head_n: head_seq,
        head_at_ms,
    };
    let writes = vec![
        mark(9, 4, 3),
        mark(0, 6, 5),
        mark(3, 5, 4),
        touch(8, 100),
        touch(7, 200),
        touch(8, 150),
        listed(1, 5, 2),
        listed(1, 3, 1),
    ];
    store.project(writes).await.unwrap();
    let row = store.user_conv(user(1), conv(0)).await.unwrap().unwrap();
    assert_eq!((row.delivered_seq, row.read_seq, row.read_n), (9, 6, 5));
    assert_eq!((row.head_seq, row.head_n, row.head_at_ms), (8, 8, 150));
    assert_eq!(row.joined_seq, 5);
}

pub async fn watermarks_come_in_the_order_asked_and_are_zero_where_there_are_none<S: Subject>(
    subject: S,
) {
    let store = subject.store();
    let mark = |who, index, seq| Projection::Mark {
        user: user(who),
        conv: conv(index),
        delivered_seq: seq + 1,
        read_seq: seq,
        read_n: seq,
    };
    store.project(vec![mark(1, 0, 5), mark(2, 0, 7), mark(1, 1, 9)]).await.unwrap();
    let found = store.watermarks(conv(0), vec![user(2), user(3), user(1)]).await.unwrap();
    let found: Vec<_> = found.iter().map(|of| (of.delivered_seq, of.read_seq)).collect();
    assert_eq!(found, [(8, 7), (0, 0), (6, 5)]);
}

pub async fn nothing_before_joining_counts_as_unread<S: Subject>(subject: S) {
    let store = subject.store();
    store.project(vec![listed(1, 5, 11)]).await.unwrap();
    let row = store.user_conv(user(1), conv(0)).await.unwrap().unwrap();
    assert_eq!((row.read_seq, row.read_n), (0, 11));
}

pub async fn what_is_said_of_the_joining_outlives_later_writes_that_do_not_know_it<S: Subject>(
    subject: S,
) {
    let mut big = listed(1, 5, 0);
    if let Projection::Listed { at, big, .. } = &mut big {
        (*at, *big) = (9, true);
    }
    let store = subject.store();
    let orders = [(listed(1, 5, 11), big.clone()), (big, listed(1, 5, 11))];
    for (index, (first, second)) in (0..).zip(orders) {
        store.project(vec![moved(&first, index)]).await.unwrap();
        store.project(vec![moved(&second, index)]).await.unwrap();
        let row = store.user_conv(user(1), conv(index)).await.unwrap().unwrap();
        assert_eq!((row.joined_seq, row.big, row.read_n, row.created), (5, true, 11, true));
    }
}

pub async fn a_conversation_is_in_a_list_once_its_user_is_a_member<S: Subject>(subject: S) {
    let store = subject.store();
    let head = Projection::Touch {
        users: [user(1)].into(),
        conv: conv(0),
        head_seq: 4,
        head_n: 4,
        head_at_ms: 1,
    };
    store.project(vec![head]).await.unwrap();
    assert_eq!(store.user_conv(user(1), conv(0)).await.unwrap(), None);
    store.project(vec![listed(1, 1, 0)]).await.unwrap();
    assert_eq!(store.user_conv(user(1), conv(0)).await.unwrap().unwrap().head_seq, 4);
}

pub async fn lists_page_without_a_gap_or_a_repeat<S: Subject>(subject: S) {
    let store = subject.store();
    let mut writes: Vec<_> = (0..7).map(|index| moved(&listed(1, 1, 0), index)).collect();
    writes.extend((0..7).map(|who| Projection::Member {
        conv: conv(0),
        row: member_row(who, 1, 0),
        at: 1,
    }));
    store.project(writes).await.unwrap();
    let (mut convs, mut users) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let after = convs.last().copied();
        let page = store.user_convs(user(1), after, 2).await.unwrap();
        convs.extend(page.iter().map(|row| row.conv));
        let after = users.last().copied();
        let page = store.members(conv(0), after, 2).await.unwrap();
        users.extend(page.iter().map(|row| row.user));
    }
    assert_eq!(convs, (0..7).map(conv).collect::<Vec<_>>());
    assert_eq!(users, (0..7).map(user).collect::<Vec<_>>());
    assert_eq!(store.member(conv(0), user(6)).await.unwrap(), Some(member_row(6, 1, 0)));
    assert_eq!(store.member(conv(0), user(7)).await.unwrap(), None);
    assert_eq!(store.member(conv(1), user(6)).await.unwrap(), None);
    assert!(store.user_convs(user(1), Some(conv(6)), 2).await.unwrap().is_empty());
    assert!(store.user_convs(user(1), None, 0).await.unwrap().is_empty());
}

pub async fn a_call_with_more_cells_than_the_queue_holds_is_done_too<S: Subject>(subject: S) {
    let store = subject.store();
    for count in [limits::QUEUE_CELLS as u64, limits::QUEUE_CELLS as u64 + 1] {
        let touch = Projection::Touch {
            users: (0..count).map(user).collect(),
            conv: conv(0),
            head_seq: count,
            head_n: count,
            head_at_ms: count,
        };
        store.project(vec![touch, listed(count - 1, 1, 0)]).await.unwrap();
        let row = store.user_conv(user(count - 1), conv(0)).await.unwrap().unwrap();
        assert_eq!(row.head_seq, count);
    }
}
