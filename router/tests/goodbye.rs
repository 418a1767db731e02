//! A link ends between frames: an edge that is slow to read has every answer, then the goodbye.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;

use edge::{Edge, router, send, send_to, uuid_v7};
use throng_wire::link::{self, Answers, FrameReader, ToEdge, ToRouter};
use throng_wire::{Protobuf, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Of the pipe to the edge, bytes: all requests fit, and far less than one write of the router.
const PIPE_BYTES: usize = 16 * 1024;

/// Answers of some 64 KiB each: more than the router's output holds.
const REQUESTS: u64 = 100;

#[tokio::test]
async fn what_was_answered_arrives_whole_before_the_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut writer = Edge::connect(&router).await;
    writer.register(1, "alice", "phone", "").await;
    let text = "x".repeat(16 * 1024);
    let conv = writer.ack(1, "alice", send_to("bob", &uuid_v7(0), &text)).await.conv.into_owned();
    for number in 1..4 {
        writer.ack(1, "alice", send(&conv, &uuid_v7(number), &text)).await;
    }
    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
    router.serve_link(theirs);
    let (mut input, mut output) = tokio::io::split(ours);
    let mut frames = Vec::new();
    ToRouter::Hello(link::Hello {
        version_min: link::VERSION_MIN,
        version_max: link::VERSION_MAX,
        ..link::Hello::default()
    })
    .encode(&mut frames)
    .unwrap();
    for request in 1..=REQUESTS {
        let history = v1::HistoryRequest { conv: conv.as_str().into(), ..Default::default() };
        let op = Some(v1::Op::History(history));
        ToRouter::Request(link::Request {
            request,
            session: Some(link::Session {
                slot: 1,
                session: 1,
                user: "alice".into(),
                device: "phone".into(),
            }),
            frame: v1::ClientFrame { id: None, op }.encode_to_vec().into(),
            ..link::Request::default()
        })
        .encode(&mut frames)
        .unwrap();
    }
    output.write_all(&frames).await.unwrap();
    // The first byte says that the router is in the midst of writing.
    let mut said = vec![input.read_u8().await.unwrap()];
    let read = input.read_to_end(&mut said);
    let ((), read) = tokio::join!(router.shutdown(), read);
    read.unwrap();

    let (mut rest, mut reader, mut answers) = (&said[..], FrameReader::new(), Answers::new());
    let (mut answered, mut ends) = (0, Vec::new());
    while let Some(frame) = reader.next(&mut rest).unwrap() {
        assert!(ends.is_empty(), "nothing follows the goodbye");
        match ToEdge::decode(frame).unwrap() {
            ToEdge::Answer(answer) => {
                let whole = answers.push(answer).unwrap();
                answered += u64::from(whole.is_some_and(|whole| whole.body.len() > 3 * 16 * 1024));
            }
            ToEdge::Bye(bye) => ends.push(bye.reason.into_owned()),
            _ => {}
        }
    }
    assert_eq!((answered, ends), (REQUESTS, vec!["the router stops".to_owned()]));
}
