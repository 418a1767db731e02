//! Watermarks: they only grow, are clamped to the head, and make unread counts exact.

use proptest::prelude::*;
use throng_store::embedded::{Config, Embedded};
use throng_store::{AppendOutcome, ConvId, Projection, Seq, Store, UserId, Watermarks};
use throng_wire::{Protobuf, v1};

use crate::limits;
use crate::owner::event::user_id;
use crate::owner::testing::{Bench, CONV, Ending, named, phone, stored};
use crate::owner::{Op, Refusal, What};

/// (user, delivered, read) of the receipts delivered, and to how many users.
fn receipts(bench: &Bench) -> Vec<(String, Seq, Seq, usize)> {
    let receipt = |delivery: &crate::owner::Delivery| match v1::ServerFrame::decode(&delivery.frame)
        .unwrap()
        .body
    {
        Some(v1::Body::Receipt(receipt)) => {
            let user = receipt.user.to_string();
            Some((user, receipt.delivered, receipt.read, delivery.users.len()))
        }
        _ => None,
    };
    bench.delivered.iter().filter_map(receipt).collect()
}

#[test]
fn a_mark_is_answered_when_it_is_written_and_then_told_to_all() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("alice", conv);
    bench.delivered.clear();
    bench.smooth = false;
    let request = bench.ask("bob", conv, Op::Read(2));
    assert!(!bench.answered_at_all(request) && bench.delivered.is_empty());
    bench.end_projections();
    assert!(bench.is_ok(request));
    assert_eq!(receipts(&bench), [("bob".into(), 2, 2, 2)]);
    assert_eq!(bench.delivered[0].except, Some(phone("bob")));
}

#[test]
fn a_mark_beyond_the_head_is_the_head() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("alice", conv);
    bench.ask("bob", conv, Op::Delivered(1_000));
    bench.ask("bob", conv, Op::Read(1_000));
    assert_eq!(receipts(&bench), [("bob".into(), 2, 0, 2), ("bob".into(), 2, 2, 2)]);
}

#[test]
fn a_mark_that_says_nothing_new_is_answered_and_not_told() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("alice", conv);
    bench.ask("bob", conv, Op::Read(2));
    bench.delivered.clear();
    for op in [Op::Read(2), Op::Read(1), Op::Delivered(2), Op::Delivered(0), Op::Read(0)] {
        let request = bench.ask("bob", conv, op);
        assert!(bench.is_ok(request));
    }
    assert!(bench.delivered.is_empty());
}

#[test]
fn marks_that_come_while_others_are_written_are_one() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    for _ in 0..5 {
        bench.send("alice", conv);
    }
    bench.delivered.clear();
    bench.smooth = false;
    let all: Vec<u64> = (2..=6).map(|seq| bench.ask("bob", conv, Op::Read(seq))).collect();
    bench.end_projections();
    bench.end_projections();
    assert!(all.iter().all(|request| bench.is_ok(*request)));
    let told = receipts(&bench);
    assert_eq!(told, [("bob".into(), 2, 2, 2), ("bob".into(), 6, 6, 2)]);
}

#[test]
fn in_a_group_of_the_limit_all_are_told_and_in_a_larger_one_only_oneself() {
    for (members, told) in [
        (limits::RECEIPT_MEMBERS_MAX, limits::RECEIPT_MEMBERS_MAX),
        (limits::RECEIPT_MEMBERS_MAX + 1, 1),
    ] {
        let names: Vec<String> = (0..members).map(|user| user.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut bench = Bench::new();
        let conv = bench.group(&names);
        bench.ask("1", conv, Op::Read(1));
        assert_eq!(receipts(&bench), [("1".into(), 1, 1, told)]);
    }
}

/// Watermarks (user, delivered, read) as `members` says them.
fn listed(bench: &mut Bench, conv: ConvId) -> Vec<(String, Seq, Seq)> {
    let request = bench.ask("alice", conv, Op::Members { after: None, limit: 10 });
    let Some(v1::Body::Members(page)) = bench.answers.get(&request) else { panic!("not members") };
    let marks = |member: &v1::Member<'_>| (member.user.to_string(), member.delivered, member.read);
    let mut all: Vec<_> = page.items.iter().map(marks).collect();
    all.sort();
    all
}

fn marks(pairs: [(&str, Seq, Seq); 2]) -> [(String, Seq, Seq); 2] {
    pairs.map(|(user, delivered, read)| (user.into(), delivered, read))
}

#[test]
fn who_sends_has_read_up_to_it_and_nobody_is_told() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("bob", conv);
    bench.send("alice", conv);
    assert_eq!(listed(&mut bench, conv), marks([("alice", 3, 3), ("bob", 2, 2)]));
    let again = bench.ask("alice", conv, Op::Read(3));
    assert!(bench.is_ok(again) && receipts(&bench).is_empty());
    let written = bench.projected.iter().any(|one| {
        let Projection::Mark { user, read_seq: 3, read_n: 2, .. } = one else { return false };
        *user == user_id("alice")
    });
    assert!(written);
}

#[test]
fn a_mark_made_with_an_own_message_under_way_is_told() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    bench.send("bob", conv);
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    bench.send("alice", conv);
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    let request = bench.ask("bob", conv, Op::Read(3));
    bench.end_projections();
    bench.end_projections();
    assert!(bench.is_ok(request));
    assert_eq!(receipts(&bench), [("bob".into(), 3, 3, 2)]);
    assert_eq!(bench.delivered.last().and_then(|told| told.except), Some(phone("bob")));
}

#[test]
fn a_mark_known_already_is_answered_when_it_is_written() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.smooth = false;
    bench.send("alice", conv);
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    let request = bench.ask("alice", conv, Op::Read(2));
    assert!(!bench.answered_at_all(request));
    bench.end_projections();
    assert!(bench.is_ok(request) && receipts(&bench).is_empty());
}

#[test]
fn own_messages_whose_after_work_was_lost_are_read_when_it_is_redone() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 5, 3);
    // Asked before the store has them.
    assert_eq!(listed(&mut bench, CONV), marks([("alice", 5, 5), ("bob", 0, 0)]));
    let read = Watermarks { delivered_seq: 5, read_seq: 5 };
    assert_eq!(bench.marks.get(&(CONV, user_id("alice"))), Some(&read));
}

#[test]
fn watermarks_are_remembered_by_a_later_owner_and_not_told_again() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.send("alice", conv);
    bench.ask("bob", conv, Op::Delivered(2));
    bench.restart();
    bench.delivered.clear();
    let request = bench.ask("bob", conv, Op::Delivered(2));
    assert!(bench.is_ok(request) && receipts(&bench).is_empty());
    bench.ask("bob", conv, Op::Read(1));
    assert_eq!(receipts(&bench), [("bob".into(), 2, 1, 2)]);
    assert_eq!(listed(&mut bench, conv), marks([("alice", 2, 2), ("bob", 2, 1)]));
}

#[test]
fn watermarks_that_cannot_be_read_are_unavailable_and_asked_for_again() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "bob"]);
    bench.deaf = true;
    let members = bench.ask("bob", conv, Op::Members { after: None, limit: 10 });
    let mark = bench.ask("bob", conv, Op::Read(1));
    assert_eq!(bench.refusal(members), Some(Refusal::Unavailable));
    assert_eq!(bench.refusal(mark), Some(Refusal::Unavailable));
    bench.deaf = false;
    assert_eq!(listed(&mut bench, conv), marks([("alice", 0, 0), ("bob", 0, 0)]));
}

#[test]
fn the_ordinal_of_a_row_that_is_not_in_memory_is_read() {
    let mut bench = Bench::new();
    stored(&mut bench, CONV, &["alice", "bob"], 1_000, 1_000);
    let request = bench.ask("bob", CONV, Op::Read(10));
    assert!(bench.is_ok(request));
    let mark = bench.projected.iter().find(|one| matches!(one, Projection::Mark { .. }));
    assert!(matches!(mark, Some(Projection::Mark { read_seq: 10, read_n: 9, .. })));
}

#[test]
fn a_touch_goes_to_each_member_up_to_the_limit_and_beyond_to_nobody() {
    for (members, touched) in
        [(limits::TOUCH_MEMBERS_MAX, true), (limits::TOUCH_MEMBERS_MAX + 1, false)]
    {
        let names: Vec<String> = (0..members).map(|user| user.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut bench = Bench::new();
        let conv = bench.group(&names);
        bench.send("1", conv);
        let touch = |one: &Projection| matches!(one, Projection::Touch { head_seq: 2, .. });
        let big = |one: &Projection| matches!(one, Projection::Listed { big: true, .. });
        assert_eq!(bench.projected.iter().any(touch), touched);
        assert_eq!(bench.projected.iter().any(big), !touched);
    }
}

#[test]
fn growing_beyond_the_limit_marks_every_members_list_and_shrinking_unmarks_it() {
    let names: Vec<String> = (0..limits::TOUCH_MEMBERS_MAX).map(|user| user.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = Bench::new();
    let conv = bench.group(&names);
    for (what, expected) in
        [(What::Add(vec![named("eve")]), true), (What::Remove(vec![named("eve")]), false)]
    {
        bench.projected.clear();
        bench.change("0", conv, what);
        let listed = bench.projected.iter().filter_map(|one| match one {
            Projection::Listed { user, big, left_seq: 0, .. } => Some((*user, *big)),
            _ => None,
        });
        let listed: std::collections::BTreeMap<UserId, bool> = listed.collect();
        assert!(names.iter().all(|name| listed.get(&user_id(name)) == Some(&expected)));
    }
}

// ------------------------------------------------------------ unread counts against an oracle

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Read(usize, Seq),
    Leave(usize),
    Join(usize),
    Rename,
    Restart,
}

const USERS: [&str; 4] = ["ann", "ben", "cid", "dot"];

/// Members besides: with one user less the group is not big, with all of them it is.
const SILENT: usize = limits::TOUCH_MEMBERS_MAX + 1 - USERS.len();

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = 0..USERS.len();
    let step = prop_oneof![
        6 => user.clone().prop_map(Step::Send),
        3 => (user.clone(), 0..40_u64).prop_map(|(user, seq)| Step::Read(user, seq)),
        1 => (1..USERS.len()).prop_map(Step::Leave),
        1 => (1..USERS.len()).prop_map(Step::Join),
        1 => Just(Step::Rename),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The lists of conversations, as a store has them.
struct Lists {
    store: Embedded,
    runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Lists {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(Config::new(dir.path())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { store, runtime, _dir: dir }
    }

    /// How much each user has not read, once all that is projected is there; `None` who has left.
    fn unread(&self, bench: &mut Bench, conv: ConvId) -> [Option<u64>; 4] {
        let projected = std::mem::take(&mut bench.projected);
        self.runtime.block_on(self.store.project(projected)).unwrap();
        USERS.map(|name| {
            let row = self.runtime.block_on(self.store.user_conv(user_id(name), conv)).unwrap()?;
            if row.left_seq != 0 {
                return None;
            }
            let head_n = if row.big { head_n(bench, name, conv) } else { row.head_n };
            Some(head_n.saturating_sub(row.read_n))
        })
    }
}

fn head_n(bench: &mut Bench, user: &str, conv: ConvId) -> u64 {
    let request = bench.ask(user, conv, Op::Head { event: false });
    bench.heads[&request].as_ref().unwrap().n
}

/// What the log is, kept the simple way: for each event whether it counts.
#[derive(Default)]
struct Oracle {
    counts: Vec<bool>,
    joined: [Seq; 4],
    read: [Seq; 4],
}

impl Oracle {
    fn all_unread(&self) -> [Option<u64>; 4] {
        std::array::from_fn(|user| (self.joined[user] > 0).then(|| self.unread(user)))
    }

    fn unread(&self, user: usize) -> u64 {
        let from = self.read[user].max(self.joined[user]) as usize;
        self.counts[from.min(self.counts.len())..].iter().filter(|counts| **counts).count() as u64
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn unread_is_the_messages_after_the_read_mark_the_own_ones_and_the_joining(steps in steps()) {
        let mut bench = Bench::new();
        let silent: Vec<String> = (0..SILENT).map(|number| number.to_string()).collect();
        let silent = silent.iter().map(String::as_str);
        let members: Vec<&str> = USERS.into_iter().chain(silent).collect();
        let conv = bench.group(&members);
        let lists = Lists::new();
        let mut oracle = Oracle { counts: vec![false], joined: [1; 4], read: [0; 4] };
        for (number, step) in steps.into_iter().enumerate() {
            // Ids of different moments, so that none repeats.
            bench.pass(1);
            let head = oracle.counts.len() as Seq;
            match step {
                Step::Send(user) if oracle.joined[user] > 0 => {
                    bench.send(USERS[user], conv);
                    oracle.counts.push(true);
                    oracle.read[user] = head + 1;
                }
                Step::Read(user, seq) if oracle.joined[user] > 0 => {
                    bench.ask(USERS[user], conv, Op::Read(seq));
                    oracle.read[user] = oracle.read[user].max(seq.min(head));
                }
                Step::Leave(user) if oracle.joined[user] > 0 => {
                    bench.change(USERS[user], conv, What::Leave);
                    oracle.joined[user] = 0;
                    oracle.counts.push(false);
                }
                Step::Join(user) if oracle.joined[user] == 0 => {
                    bench.change(USERS[0], conv, What::Add(vec![named(USERS[user])]));
                    oracle.counts.push(false);
                    oracle.joined[user] = oracle.counts.len() as Seq;
                }
                Step::Rename => {
                    bench.change(USERS[0], conv, What::Rename(format!("name {number}").into()));
                    oracle.counts.push(false);
                }
                Step::Restart => bench.restart(),
                _ => continue,
            }
            prop_assert_eq!(lists.unread(&mut bench, conv), oracle.all_unread());
        }
    }
}
