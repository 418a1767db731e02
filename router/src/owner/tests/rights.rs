//! I8 and roles: who may do what, and that strangers learn nothing.

use std::borrow::Cow;

use throng_store::{AppendOutcome, ConvId, Projection, Role};
use throng_wire::v1;

use crate::limits;
use crate::owner::event::user_id;
use crate::owner::testing::{Bench, Ending, message, message_to, named};
use crate::owner::{Op, Refusal, Span, What, Write};

/// alice owns, adam administers, mary is a member.
fn bench() -> (Bench, ConvId) {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice", "adam", "mary"]);
    let request = bench.change("alice", conv, What::SetRole(named("adam"), Role::Admin));
    assert_eq!(bench.acked(request), (2, false));
    (bench, conv)
}

fn names(all: &[&str]) -> Vec<crate::owner::Named> {
    all.iter().map(|name| named(name)).collect()
}

/// Every operation that names a conversation.
fn operations(bench: &mut Bench, user: &str, conv: ConvId) -> Vec<u64> {
    vec![
        bench.send(user, conv),
        bench.change(user, conv, What::Add(names(&["eve"]))),
        bench.change(user, conv, What::Remove(names(&["mary"]))),
        bench.change(user, conv, What::SetRole(named("mary"), Role::Owner)),
        bench.change(user, conv, What::Rename("mine".into())),
        bench.change(user, conv, What::Leave),
        bench.history(user, conv, Span::After(0), 10),
        bench.ask(user, conv, Op::Delivered(1)),
        bench.ask(user, conv, Op::Read(1)),
        bench.ask(user, conv, Op::Members { after: None, limit: 10 }),
    ]
}

#[test]
fn a_stranger_and_a_conversation_that_is_not_there_get_the_same_answer() {
    let (mut bench, conv) = bench();
    let stranger = operations(&mut bench, "eve", conv);
    let nowhere = operations(&mut bench, "eve", ConvId([0x77; 16]));
    for (one, other) in stranger.into_iter().zip(nowhere) {
        assert_eq!(bench.refusal(one), Some(Refusal::NotMember));
        assert_eq!(bench.answers[&one], bench.answers[&other]);
    }
}

#[test]
fn a_member_may_send_read_and_leave_and_nothing_else() {
    let (mut bench, conv) = bench();
    for what in [
        What::Add(names(&["eve"])),
        What::Remove(names(&["adam"])),
        What::SetRole(named("mary"), Role::Owner),
        What::Rename("mine".into()),
    ] {
        let request = bench.change("mary", conv, what);
        assert!(matches!(bench.refusal(request), Some(Refusal::NotAllowed(_))));
    }
    let sent = bench.send("mary", conv);
    assert_eq!(bench.acked(sent), (3, false));
    let left = bench.change("mary", conv, What::Leave);
    assert_eq!(bench.acked(left), (4, false));
}

#[test]
fn an_admin_may_add_remove_and_rename_but_not_touch_owners_admins_or_roles() {
    let (mut bench, conv) = bench();
    bench.change("alice", conv, What::SetRole(named("mary"), Role::Admin));
    let remove = |user| What::Remove(names(&[user]));
    for what in [remove("alice"), remove("mary"), What::SetRole(named("mary"), Role::Member)] {
        let request = bench.change("adam", conv, what);
        assert!(matches!(bench.refusal(request), Some(Refusal::NotAllowed(_))));
    }
    for (seq, what) in [
        (4, What::Add(names(&["eve"]))),
        (5, What::Remove(names(&["eve"]))),
        (6, What::Rename("ours".into())),
    ] {
        let request = bench.change("adam", conv, what);
        assert_eq!(bench.acked(request), (seq, false));
    }
}

#[test]
fn a_group_keeps_an_owner_while_it_has_members() {
    let (mut bench, conv) = bench();
    let demoted = What::SetRole(named("alice"), Role::Member);
    for what in [What::Leave, What::Remove(names(&["alice"])), demoted] {
        let request = bench.change("alice", conv, what);
        assert!(matches!(bench.refusal(request), Some(Refusal::NotAllowed(_))));
    }
    let heir = bench.change("alice", conv, What::SetRole(named("mary"), Role::Owner));
    assert_eq!(bench.acked(heir), (3, false));
    let left = bench.change("alice", conv, What::Leave);
    assert_eq!(bench.acked(left), (4, false));
}

#[test]
fn the_last_member_may_leave() {
    let mut bench = Bench::new();
    let conv = bench.group(&["alice"]);
    let left = bench.change("alice", conv, What::Leave);
    assert_eq!(bench.acked(left), (2, false));
    let after = bench.send("alice", conv);
    assert_eq!(bench.refusal(after), Some(Refusal::NotMember));
}

#[test]
fn a_direct_conversation_keeps_its_members() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "bob", id);
    bench.ask("alice", conv, op);
    for what in [
        What::Leave,
        What::Add(names(&["eve"])),
        What::Remove(names(&["bob"])),
        What::Rename("ours".into()),
        What::SetRole(named("bob"), Role::Owner),
    ] {
        let request = bench.change("alice", conv, what);
        assert!(matches!(bench.refusal(request), Some(Refusal::NotAllowed(_))));
    }
}

#[test]
fn a_direct_conversation_with_oneself_has_one_member() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "alice", id);
    let request = bench.ask("alice", conv, op);
    assert_eq!(bench.acked(request), (2, false));
    assert_eq!(bench.convs[&conv].member_count, 1);
}

#[test]
fn nobody_makes_a_direct_conversation_of_others() {
    let mut bench = Bench::new();
    let id = bench.fresh_id();
    let (_, op) = message_to("eve", "bob", id);
    let (conv_of_others, _) = message_to("alice", "bob", id);
    let request = bench.ask("eve", conv_of_others, op);
    assert_eq!(bench.refusal(request), Some(Refusal::NotMember));
    assert!(bench.rows.is_empty());
}

#[test]
fn a_change_that_changes_nothing_makes_no_event() {
    let (mut bench, conv) = bench();
    for what in [
        What::Add(names(&["mary", "adam"])),
        What::Remove(names(&["eve"])),
        What::SetRole(named("mary"), Role::Member),
        What::Rename("group".into()),
    ] {
        let request = bench.change("alice", conv, what);
        assert!(bench.is_ok(request));
    }
    assert_eq!(bench.rows[&conv].len(), 2);
}

#[test]
fn what_an_event_under_way_will_have_done_is_answered_when_that_is_committed() {
    let (mut bench, conv) = bench();
    bench.smooth = false;
    bench.send("mary", conv);
    let renamed = bench.change("alice", conv, What::Rename("ours".into()));
    let again = bench.change("adam", conv, What::Rename("ours".into()));
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    assert!(!bench.answered_at_all(again));
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    assert_eq!(bench.acked(renamed), (4, false));
    assert!(bench.is_ok(again));
}

#[test]
fn a_change_that_changed_nothing_is_judged_anew_when_it_is_repeated() {
    let (mut bench, conv) = bench();
    let id = bench.fresh_id();
    let rename = |name: &str| {
        let what = What::Rename(name.into());
        Op::Write(Write { client_msg_id: id, digest: [1; 8], what })
    };
    let first = bench.ask("alice", conv, rename("group"));
    bench.change("adam", conv, What::Rename("ours".into()));
    let second = bench.ask("alice", conv, rename("group"));
    assert!(bench.is_ok(first));
    assert_eq!(bench.acked(second), (4, false));
}

#[test]
fn who_left_gets_the_first_result_of_what_they_sent_and_nothing_else() {
    let (mut bench, conv) = bench();
    let id = bench.fresh_id();
    let sent = bench.ask("mary", conv, message("mary", id, "hi"));
    bench.change("mary", conv, What::Leave);
    let again = bench.ask("mary", conv, message("mary", id, "hi"));
    assert_eq!((bench.acked(sent), bench.acked(again)), ((3, false), (3, true)));
    let other = bench.ask("mary", conv, message("mary", id, "ho"));
    assert_eq!(bench.refusal(other), Some(Refusal::IdReused));
    let of_another = bench.ask("eve", conv, message("eve", id, "hi"));
    assert_eq!(bench.refusal(of_another), Some(Refusal::NotMember));
    let new = bench.send("mary", conv);
    assert_eq!(bench.refusal(new), Some(Refusal::NotMember));
    bench.restart();
    let later = bench.ask("mary", conv, message("mary", id, "hi"));
    assert_eq!(bench.acked(later), (3, true));
}

fn listed(bench: &mut Bench, user: &str, conv: ConvId) -> Vec<String> {
    let request = bench.ask(user, conv, Op::Members { after: None, limit: 10 });
    let Some(v1::Body::Members(page)) = bench.answers.get(&request) else {
        panic!("not members: {:?}", bench.refusal(request))
    };
    let mut names: Vec<String> = page.items.iter().map(|item| item.user.to_string()).collect();
    names.sort_unstable();
    names
}

#[test]
fn members_are_those_of_committed_events() {
    let (mut bench, conv) = bench();
    let before = listed(&mut bench, "mary", conv);
    bench.smooth = false;
    bench.change("alice", conv, What::Add(names(&["eve"])));
    bench.change("alice", conv, What::Remove(names(&["mary"])));
    assert_eq!(listed(&mut bench, "mary", conv), before);
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    bench.fence_now();
    assert_eq!(listed(&mut bench, "mary", conv), ["adam", "alice", "eve", "mary"]);
    bench.smooth = true;
    bench.end_append(Ending::Becomes(AppendOutcome::Ok));
    assert_eq!(listed(&mut bench, "alice", conv), ["adam", "alice", "eve"]);
}

#[test]
fn who_is_being_added_hears_nothing_before_that_is_committed() {
    let (mut bench, conv) = bench();
    bench.smooth = false;
    bench.change("alice", conv, What::Add(names(&["eve"])));
    bench.delivered.clear();
    bench.ask("adam", conv, Op::Read(2));
    bench.recover(conv);
    bench.end_projections();
    assert!(!bench.delivered.is_empty());
    let eve = user_id("eve");
    assert!(bench.delivered.iter().all(|delivery| !delivery.users.contains(&eve)));
}

#[test]
fn adding_some_who_are_there_adds_the_others_once() {
    let (mut bench, conv) = bench();
    bench.change("alice", conv, What::Add(names(&["mary", "eve", "eve", "bob"])));
    let page = bench.history("eve", conv, Span::After(2), 1);
    let Some(v1::What::Member(change)) = &bench.page(page).events[0].what else { panic!() };
    let mut users: Vec<Cow<'_, str>> = change.users.clone();
    users.sort_unstable();
    assert_eq!(users, ["bob", "eve"]);
}

#[test]
fn as_many_members_as_allowed_and_one_more_is_refused() {
    let all: Vec<String> = (0..limits::GROUP_MEMBERS_MAX).map(|user| user.to_string()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let mut bench = Bench::new();
    let conv = bench.group(&all[..all.len() - 1]);
    let last = bench.change("0", conv, What::Add(names(&all[all.len() - 1..])));
    assert_eq!(bench.acked(last), (2, false));
    let beyond = bench.change("0", conv, What::Add(names(&["eve"])));
    assert!(matches!(bench.refusal(beyond), Some(Refusal::TooLarge(_))));
    let id = bench.fresh_id();
    let mut more: Vec<&str> = all[1..].to_vec();
    more.push("eve");
    let conv = ConvId(throng_wire::id::group_conv("0", &id));
    let created = bench.ask("0", conv, crate::owner::testing::create(id, &more));
    assert!(matches!(bench.refusal(created), Some(Refusal::TooLarge(_))));
}

#[test]
fn members_see_events_from_their_own_joining_on_and_nothing_after_leaving() {
    let (mut bench, conv) = bench();
    bench.send("alice", conv);
    bench.change("alice", conv, What::Add(names(&["eve"])));
    bench.send("alice", conv);
    let page = bench.history("eve", conv, Span::After(0), 10);
    assert_eq!((bench.seqs(page), bench.page(page).min_seq), (vec![4, 5], 4));
    bench.change("eve", conv, What::Leave);
    let page = bench.history("eve", conv, Span::After(0), 10);
    assert_eq!(bench.refusal(page), Some(Refusal::NotMember));
    bench.send("alice", conv);
    bench.change("alice", conv, What::Add(names(&["eve"])));
    let page = bench.history("eve", conv, Span::Before(u64::MAX), 10);
    assert_eq!((bench.seqs(page), bench.page(page).min_seq), (vec![8], 8));
}

#[test]
fn the_same_rights_hold_after_loading() {
    let (mut bench, conv) = bench();
    bench.change("alice", conv, What::Add(names(&["eve"])));
    bench.change("alice", conv, What::Remove(names(&["mary"])));
    bench.restart();
    let page = bench.history("eve", conv, Span::After(0), 10);
    assert_eq!(bench.page(page).min_seq, 3);
    let mary = bench.send("mary", conv);
    assert_eq!(bench.refusal(mary), Some(Refusal::NotMember));
    let adam = bench.change("adam", conv, What::Rename("ours".into()));
    assert_eq!(bench.acked(adam), (5, false));
}

#[test]
fn who_is_removed_hears_of_that_and_of_nothing_later() {
    let (mut bench, conv) = bench();
    bench.delivered.clear();
    bench.change("alice", conv, What::Remove(names(&["mary"])));
    bench.send("alice", conv);
    let heard: Vec<bool> =
        bench.delivered.iter().map(|delivery| delivery.users.contains(&user_id("mary"))).collect();
    assert_eq!(heard, [true, false]);
}

#[test]
fn a_group_counts_for_who_created_it_and_for_nobody_who_was_added() {
    let mut bench = Bench::new();
    bench.group(&["alice", "bob"]);
    let id = bench.fresh_id();
    let (conv, op) = message_to("alice", "carol", id);
    bench.ask("alice", conv, op);
    let listed = |projection: &Projection| match projection {
        Projection::Listed { user, created, .. } => Some((*user, *created)),
        _ => None,
    };
    let listed: Vec<_> = bench.projected.iter().filter_map(listed).collect();
    let counted: Vec<_> = listed.iter().filter(|(_, created)| *created).collect();
    assert_eq!((listed.len(), counted), (4, vec![&(user_id("alice"), true)]));
}
