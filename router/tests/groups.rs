//! A group over the link: made, changed, read, and closed to strangers.

mod edge;

use edge::{Edge, router, send, uuid_v7};
use throng_wire::v1;

fn create(id: &str, members: &[&str]) -> v1::Op<'static> {
    v1::Op::CreateGroup(v1::CreateGroup {
        name: "friends".into(),
        members: members.iter().map(|name| (*name).to_owned().into()).collect(),
        client_msg_id: id.to_owned().into(),
        history: "".into(),
    })
}

#[tokio::test]
async fn members_come_and_go_and_strangers_learn_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    for (slot, user) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        edge.register(slot, user, "phone", "").await;
    }
    let id = uuid_v7(1);
    let group = edge.ack(1, "alice", create(&id, &["bob"])).await;
    let again = edge.ack(1, "alice", create(&id, &["bob"])).await;
    assert_eq!((group.seq, again.seq, again.duplicate), (1, 1, true));
    assert_eq!(edge.event().await.0, [2]);

    let conv = group.conv.to_string();
    assert_eq!(edge.error(3, "carol", send(&conv, &uuid_v7(2), "let me in")).await, "forbidden");
    let add = v1::Op::AddMembers(v1::ChangeMembers {
        conv: conv.clone().into(),
        members: vec!["carol".into()],
        client_msg_id: uuid_v7(3).into(),
    });
    assert_eq!(edge.ack(1, "alice", add).await.seq, 2);
    assert_eq!(edge.heard(2, 2).await, [2, 3]);
    assert_eq!(edge.ack(3, "carol", send(&conv, &uuid_v7(4), "hello")).await.seq, 3);
    assert_eq!(edge.heard(3, 2).await, [1, 2]);

    let members = v1::MembersRequest { conv: conv.clone().into(), ..v1::MembersRequest::default() };
    let v1::Body::Members(page) = edge.ask(3, "carol", v1::Op::Members(members)).await else {
        panic!("not members")
    };
    let mut roles: Vec<(&str, &str)> =
        page.items.iter().map(|member| (&*member.user, &*member.role)).collect();
    roles.sort_unstable();
    assert_eq!(roles, [("alice", "owner"), ("bob", "member"), ("carol", "member")]);
    router.shutdown().await;
}

#[tokio::test]
async fn one_sync_answers_for_all_conversations_in_the_order_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let mut convs = Vec::new();
    for number in 0..5 {
        let group = edge.ack(1, "alice", create(&uuid_v7(number), &[])).await;
        edge.ack(1, "alice", send(&group.conv, &uuid_v7(100 + number), "hi")).await;
        convs.push(group.conv.to_string());
    }
    let of_others = "11111111-1111-4111-8111-111111111111".to_owned();
    convs.insert(2, of_others);
    let position = |conv: &String| v1::Position { conv: conv.clone().into(), after: 1 };
    let request = v1::SyncRequest { convs: convs.iter().map(position).collect(), limit: 10 };
    let answer = edge.ask(1, "alice", v1::Op::Sync(request)).await;
    let v1::Body::Sync(sync) = answer else { panic!("not a sync: {answer:?}") };
    let pages: Vec<(String, usize, u64)> = sync
        .convs
        .iter()
        .map(|page| (page.conv.to_string(), page.events.len(), page.head))
        .collect();
    let expected: Vec<(String, usize, u64)> = convs
        .iter()
        .enumerate()
        .map(|(index, conv)| if index == 2 { (conv.clone(), 0, 0) } else { (conv.clone(), 1, 2) })
        .collect();
    assert_eq!(pages, expected);
    router.shutdown().await;
}

#[tokio::test]
async fn a_large_group_is_listed_by_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    let names: Vec<String> = (0..80).map(|user| format!("user{user}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    edge.register(1, "alice", "phone", "").await;
    let welcome = edge.register(2, "user7", "phone", "").await;
    let group = edge.ack(1, "alice", create(&uuid_v7(1), &names)).await;
    edge.ack(1, "alice", send(&group.conv, &uuid_v7(2), "hi")).await;
    edge.told(&group.conv, 2).await;
    let request = v1::Op::Conversations(v1::ConversationsRequest::default());
    let v1::Body::Conversations(page) = edge.ask(2, "user7", request).await else {
        panic!("not a list")
    };
    let item = &page.items[0];
    assert_eq!((&*item.name, item.head, item.unread), ("friends", 2, 1));
    assert_eq!(item.last_event.as_ref().map(|event| event.seq), Some(2));
    let resumed = edge.register(3, "user7", "laptop", &welcome.cursor).await;
    assert_eq!(resumed.changes.iter().map(|change| change.head).collect::<Vec<_>>(), [2]);
    router.shutdown().await;
}
