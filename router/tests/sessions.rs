//! The home decides which connection of a device is the newest, and tells it what it missed.

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_wire::{Protobuf as _, v1};

#[tokio::test]
async fn the_newest_connection_of_a_device_wins_and_a_late_goodbye_does_not_harm_it() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut one = Edge::connect(&router).await;
    let mut other = Edge::connect(&router).await;
    one.register(1, "alice", "phone", "").await;
    one.register(2, "bob", "phone", "").await;
    other.register(9, "alice", "phone", "").await;
    assert_eq!(one.evicted().await, (1, 4403));
    one.unregister(1, "alice", "phone").await;
    one.ack(2, "bob", send_to("alice", &uuid_v7(1), "hi")).await;
    assert_eq!(other.event().await.0, [9]);
    router.shutdown().await;
}

#[tokio::test]
async fn a_session_that_is_resumed_does_not_end_the_newer_one_of_its_device() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut one = Edge::connect(&router).await;
    let mut other = Edge::connect(&router).await;
    one.register(2, "bob", "phone", "").await;
    let welcome = other.register(9, "alice", "phone", "").await;
    let (_, failed) = one.resume(1, "alice", "phone", welcome.time_ms).await;
    assert!(failed);
    assert_eq!(one.evicted().await, (1, 4403));
    one.ack(2, "bob", send_to("alice", &uuid_v7(1), "hi")).await;
    assert_eq!(other.event().await.0, [9]);
    router.shutdown().await;
}

#[tokio::test]
async fn a_resumed_session_is_told_what_changed_since_the_moment_its_edge_names() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    let welcome = edge.register(1, "alice", "phone", "").await;
    edge.register(9, "alice", "laptop", "").await;
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    edge.told(&ack.conv, 2).await;
    for (since_ms, sync, count) in [(welcome.time_ms, "resumed", 1), (0, "resync", 0)] {
        let (body, _) = edge.resume(1, "alice", "phone", since_ms).await;
        let frame = v1::ServerFrame::decode(&body).unwrap();
        let Some(v1::Body::Welcome(again)) = frame.body else { panic!("not a welcome") };
        assert_eq!((&*again.sync, again.changes.len()), (sync, count));
    }
    router.shutdown().await;
}

#[tokio::test]
async fn a_lost_link_takes_its_connections_along() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut one = Edge::connect(&router).await;
    {
        let mut other = Edge::connect(&router).await;
        other.register(1, "bob", "phone", "").await;
    }
    one.register(2, "bob", "laptop", "").await;
    one.register(3, "alice", "phone", "").await;
    one.ack(3, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    assert_eq!(one.event().await.0, [2]);
    router.shutdown().await;
}

#[tokio::test]
async fn a_resume_tells_exactly_what_may_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    let welcome = edge.register(2, "bob", "phone", "").await;
    edge.unregister(2, "bob", "phone").await;
    edge.register(9, "alice", "laptop", "").await;
    let ack = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    edge.told(&ack.conv, 2).await;
    let resumed = edge.register(3, "bob", "phone", &welcome.cursor).await;
    assert_eq!(&*resumed.sync, "resumed");
    let changes: Vec<(&str, u64)> =
        resumed.changes.iter().map(|change| (&*change.conv, change.head)).collect();
    assert_eq!((changes, resumed.more), (vec![(&*ack.conv, 2)], false));

    let changes = v1::ChangesRequest { cursor: resumed.cursor.clone(), limit: 10 };
    let v1::Body::Changes(changes) = edge.ask(3, "bob", v1::Op::Changes(changes)).await else {
        panic!("not changes")
    };
    assert_eq!((&*changes.sync, changes.items.len()), ("resumed", 1));
    let nonsense = edge.register(4, "bob", "laptop", "nonsense").await;
    assert_eq!((&*nonsense.sync, nonsense.changes.len()), ("resync", 0));
    router.shutdown().await;
}

#[tokio::test]
async fn a_list_longer_than_a_page_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    let welcome = edge.register(1, "alice", "phone", "").await;
    edge.register(9, "alice", "laptop", "").await;
    for peer in 0..7 {
        let to = format!("peer{peer}");
        let ack = edge.ack(1, "alice", send_to(&to, &uuid_v7(peer), "hi")).await;
        edge.told(&ack.conv, 2).await;
    }
    let (mut heard, mut cursor) = (Vec::new(), welcome.cursor.into_owned());
    loop {
        let request = v1::ChangesRequest { cursor: cursor.clone().into(), limit: 3 };
        let answer = edge.ask(1, "alice", v1::Op::Changes(request)).await;
        let v1::Body::Changes(changes) = answer else { panic!("not changes: {answer:?}") };
        heard.extend(changes.items.iter().map(|item| item.conv.to_string()));
        cursor = changes.cursor.to_string();
        if !changes.more {
            break;
        }
        assert_eq!(changes.items.len(), 3);
    }
    let (mut listed, mut after) = (Vec::new(), String::new());
    loop {
        let request = v1::ConversationsRequest { after: after.clone().into(), limit: 3 };
        let answer = edge.ask(1, "alice", v1::Op::Conversations(request)).await;
        let v1::Body::Conversations(page) = answer else { panic!("not a list: {answer:?}") };
        listed.extend(page.items.iter().map(|item| item.conv.to_string()));
        after = page.next.to_string();
        if after.is_empty() {
            break;
        }
    }
    heard.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed.len(), 7);
    assert_eq!(heard, listed);
    router.shutdown().await;
}

#[tokio::test]
async fn the_list_of_conversations_says_what_is_unread() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut edge = Edge::connect(&router).await;
    edge.register(1, "alice", "phone", "").await;
    edge.register(2, "bob", "phone", "").await;
    let first = edge.ack(1, "alice", send_to("bob", &uuid_v7(1), "one")).await;
    for number in 2..5 {
        edge.ack(1, "alice", send(&first.conv, &uuid_v7(number), "more")).await;
    }
    let read = v1::Mark { conv: first.conv.clone(), seq: 3 };
    assert!(matches!(edge.ask(2, "bob", v1::Op::Read(read)).await, v1::Body::Ok(_)));
    let request = v1::Op::Conversations(v1::ConversationsRequest::default());
    let answer = edge.ask(2, "bob", request).await;
    let v1::Body::Conversations(page) = answer else { panic!("not a list: {answer:?}") };
    let item = &page.items[0];
    assert_eq!(
        (&*item.kind, &*item.peer, item.head, item.read, item.unread),
        ("direct", "alice", 5, 3, 2)
    );
    assert_eq!(item.last_event.as_ref().map(|event| event.seq), Some(5));
    router.shutdown().await;
}
