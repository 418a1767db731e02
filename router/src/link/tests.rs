//! A link between an edge and actors that do not answer.

use std::sync::Arc;
use std::time::SystemTime;

use throng_wire::link::{self, Answers, FrameReader, ToEdge, ToRouter};
use throng_wire::{Protobuf, v1};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};

use super::queue::Links;
use super::serve::{Shared, serve};
use crate::actor::Mailboxes;
use crate::actor::home::HomeMessage;
use crate::actor::owner::OwnerMessage;
use crate::clock::Clock;
use crate::limits::{LINK_REQUEST_BYTES, LINK_REQUESTS, Limits, MAILBOX_BATCHES};

/// The edge's end, and the mailboxes at the other.
struct Rig {
    edge: DuplexStream,
    owners: mpsc::Receiver<OwnerMessage>,
    to_owners: mpsc::Sender<OwnerMessage>,
    _homes: mpsc::Receiver<HomeMessage>,
    _stop: watch::Sender<bool>,
}

impl Rig {
    async fn new() -> Self {
        let (to_owners, owners) = mpsc::channel(MAILBOX_BATCHES);
        let (to_homes, homes) = mpsc::channel(MAILBOX_BATCHES);
        let shared = Shared {
            owners: Mailboxes::new(vec![to_owners.clone()]),
            homes: Mailboxes::new(vec![to_homes]),
            links: Arc::new(Links::default()),
            clock: Clock::new(SystemTime::now, 0),
            limits: Limits::default(),
            log_id: [7; 16],
            incarnation: 1,
        };
        let (edge, router) = duplex(1024 * 1024);
        let stop = watch::Sender::new(false);
        tokio::spawn(serve(router, 1, Arc::new(shared), stop.subscribe()));
        let mut rig = Self { edge, owners, to_owners, _homes: homes, _stop: stop };
        let (version_min, version_max) = (link::VERSION_MIN, link::VERSION_MAX);
        let hello = link::Hello { version_min, version_max, ..link::Hello::default() };
        rig.say(&ToRouter::Hello(hello)).await;
        rig
    }

    async fn say(&mut self, frame: &ToRouter<'_>) {
        let mut out = Vec::new();
        frame.encode(&mut out).unwrap();
        // A link that has ended takes no more.
        let _ = self.edge.write_all(&out).await;
    }

    /// Requests that the owner was asked, when as many have come.
    async fn asked(&mut self, count: u64) -> u64 {
        let mut asked = 0;
        while asked < count {
            match self.owners.recv().await {
                Some(OwnerMessage::Requests(requests)) => asked += requests.len() as u64,
                other => panic!("not expected: {other:?}"),
            }
        }
        asked
    }

    /// What the router says until it says an error or goodbye.
    async fn told(&mut self) -> String {
        let (mut reader, mut answers) = (FrameReader::new(), Answers::new());
        let mut input = vec![0; 64 * 1024];
        loop {
            let read = self.edge.read(&mut input).await.unwrap();
            assert!(read > 0, "the link ended without a word");
            let mut rest = &input[..read];
            while let Some(frame) = reader.next(&mut rest).unwrap() {
                match ToEdge::decode(frame).unwrap() {
                    ToEdge::Bye(bye) => return bye.reason.into_owned(),
                    ToEdge::Answer(answer) => {
                        let Some(whole) = answers.push(answer).unwrap() else { continue };
                        let frame = v1::ServerFrame::decode(&whole.body).unwrap();
                        let Some(v1::Body::Error(error)) = frame.body else { panic!("{frame:?}") };
                        return format!("{}: {}", whole.request, error.code);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A mark, padded by an unknown field to a frame of `bytes` on the link.
fn request(request: u64, bytes: Option<usize>) -> ToRouter<'static> {
    let mark = v1::Mark { conv: "11111111-1111-4111-8111-111111111111".into(), seq: 1 };
    let mut frame = v1::ClientFrame { id: None, op: Some(v1::Op::Read(mark)) }.encode_to_vec();
    if let Some(bytes) = bytes {
        let base = encoded_len(&framed(request, frame.clone()));
        let mut padding = bytes - base;
        // Field 1000 of bytes: two bytes of tag, three of length.
        loop {
            let mut padded = frame.clone();
            padded.extend([0xc2, 0x3e, padding as u8 | 0x80, (padding >> 7) as u8 | 0x80]);
            padded.push((padding >> 14) as u8);
            padded.resize(padded.len() + padding, 0);
            match encoded_len(&framed(request, padded.clone())) {
                len if len > bytes => padding -= len - bytes,
                len => {
                    assert_eq!(len, bytes);
                    frame = padded;
                    break;
                }
            }
        }
    }
    framed(request, frame)
}

fn framed(request: u64, frame: Vec<u8>) -> ToRouter<'static> {
    let session =
        link::Session { slot: 1, session: 1, user: "alice".into(), device: "phone".into() };
    let session = Some(session);
    ToRouter::Request(link::Request {
        request,
        session,
        frame: frame.into(),
        ..link::Request::default()
    })
}

fn encoded_len(frame: &ToRouter<'_>) -> usize {
    let mut out = Vec::new();
    frame.encode(&mut out).unwrap();
    out.len()
}

#[tokio::test]
async fn as_many_requests_as_granted_are_taken_and_one_more_ends_the_link() {
    let mut rig = Rig::new().await;
    for number in 1..=LINK_REQUESTS {
        rig.say(&request(number, None)).await;
    }
    assert_eq!(rig.asked(LINK_REQUESTS).await, LINK_REQUESTS);
    rig.say(&request(LINK_REQUESTS + 1, None)).await;
    assert_eq!(rig.told().await, "a request beyond the granted credit");
}

#[tokio::test]
async fn as_many_bytes_as_granted_are_taken_and_one_more_ends_the_link() {
    const FRAME: usize = 32 * 1024;
    const COUNT: u64 = LINK_REQUEST_BYTES / FRAME as u64;
    for (last, taken) in [(FRAME, true), (FRAME + 1, false)] {
        let mut rig = Rig::new().await;
        for number in 1..COUNT {
            rig.say(&request(number, Some(FRAME))).await;
            rig.asked(1).await;
        }
        rig.say(&request(COUNT, Some(last))).await;
        if taken {
            assert_eq!(rig.asked(1).await, 1);
        } else {
            assert_eq!(rig.told().await, "a request beyond the granted credit");
        }
    }
}

#[tokio::test]
async fn the_last_place_in_a_mailbox_is_taken_and_the_next_request_is_refused() {
    let mut rig = Rig::new().await;
    for _ in 1..MAILBOX_BATCHES {
        rig.to_owners.try_send(OwnerMessage::Requests(Vec::new())).unwrap();
    }
    rig.say(&request(1, None)).await;
    while rig.to_owners.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    rig.say(&request(2, None)).await;
    assert_eq!(rig.told().await, "2: overloaded");
    // Nothing is left behind: with room again, requests pass.
    rig.owners.recv().await.unwrap();
    rig.say(&request(3, None)).await;
    while rig.to_owners.capacity() > 0 {
        tokio::task::yield_now().await;
    }
}
