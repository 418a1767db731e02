//! I6: an edge that breaks the link's rules is told so and harms nobody.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod edge;

use std::os::unix::net::UnixStream as StdUnixStream;

use edge::{Edge, router, send_to, uuid_v7};
use throng_router::Router;
use throng_wire::link::{self, FrameReader, ToEdge, ToRouter};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn hello(versions: (u32, u32)) -> ToRouter<'static> {
    ToRouter::Hello(link::Hello {
        version_min: versions.0,
        version_max: versions.1,
        ..link::Hello::default()
    })
}

fn request(number: u64, bytes: usize) -> ToRouter<'static> {
    let session =
        link::Session { slot: 1, session: 1, user: "alice".into(), device: "phone".into() };
    ToRouter::Request(link::Request {
        request: number,
        session: Some(session),
        frame: vec![0; bytes].into(),
        ..link::Request::default()
    })
}

fn encoded(frames: &[ToRouter<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        frame.encode(&mut out).unwrap();
    }
    out
}

/// Says `input` on a new link; gives the reason with which the router ends it.
async fn reason(router: &Router, input: &[u8]) -> String {
    let stream = StdUnixStream::from(router.connect().unwrap());
    stream.set_nonblocking(true).unwrap();
    let mut stream = UnixStream::from_std(stream).unwrap();
    // The router may close before it has read all.
    let _ = stream.write_all(input).await;
    let mut output = Vec::new();
    let _ = stream.read_to_end(&mut output).await;
    let mut rest = &output[..];
    let mut reader = FrameReader::new();
    let mut reason = String::new();
    while let Some(frame) = reader.next(&mut rest).unwrap() {
        if let ToEdge::Bye(bye) = ToEdge::decode(frame).unwrap() {
            reason = bye.reason.into_owned();
        }
    }
    reason
}

#[tokio::test]
async fn every_breach_ends_the_link_with_its_reason_and_others_notice_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (router, _store) = router(dir.path()).await;
    let mut good = Edge::connect(&router).await;
    good.register(1, "alice", "phone", "").await;
    let current = (link::VERSION_MIN, link::VERSION_MAX);
    for (input, expected) in [
        (encoded(&[request(1, 1)]), "begins with hello"),
        (encoded(&[hello((90, 91))]), "no version in common"),
        (encoded(&[hello(current), hello(current)]), "said already"),
        (encoded(&[hello(current), request(1, 1), request(1, 1)]), "under way"),
        (vec![0xff; 64], "bytes"),
        (vec![0, 0, 0, 1, 99], "unknown kind"),
    ] {
        let reason = reason(&router, &input).await;
        assert!(reason.contains(expected), "{reason:?} does not say {expected:?}");
    }
    let ack = good.ack(1, "alice", send_to("bob", &uuid_v7(1), "hi")).await;
    assert_eq!(ack.seq, 2);
    router.shutdown().await;
}
