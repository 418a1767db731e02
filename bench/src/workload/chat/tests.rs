//! A shard of the workload over a turn without an engine: the server's side is played by hand.

use std::sync::Arc;
use std::time::{Duration, Instant};

use throng_wire::ws::Opcode;
use throng_wire::{Json, id, v1};

use super::testing::FakeTurn;
use super::text::{Stamp, message_id};
use super::*;
use crate::generator::{Metric, Sample};

const TIME_MS: u64 = 1_700_000_000_000;

fn plan(receipts: bool) -> Arc<ChatPlan> {
    Arc::new(ChatPlan {
        manners: Manners {
            users: 2,
            devices: 1,
            direct: 1.0,
            pairs: Pairs::Fixed,
            sizes: sizes::GroupSizes::all(2),
            groups: 0,
            owners_speak: false,
        },
        run: 1,
        encoding: Encoding::Json,
        text_bytes: 80,
        receipts,
        connects: "1000".parse().unwrap(),
        messages: "10".parse().unwrap(),
        duration: Duration::from_millis(500),
        setup_max: Duration::from_secs(10),
        drain_max: Duration::from_secs(10),
    })
}

/// A shard, its turn and what it found.
struct Rig {
    chat: Chat,
    turn: FakeTurn,
    findings: Findings,
}

impl Rig {
    fn new(start: Instant, shard: u32, shards: u32, receipts: bool) -> Self {
        let info = ShardInfo { shard, shards, clients: 2, seed: 5 };
        let findings = Findings::default();
        let chat = Chat::new(plan(receipts), info, findings.clone());
        Self { chat, turn: FakeTurn::new(start), findings }
    }

    /// All own clients are here.
    fn welcomed(shard: u32, shards: u32, receipts: bool, start: Instant) -> Self {
        let mut rig = Self::new(start, shard, shards, receipts);
        rig.pass(10);
        for client in rig.turn.opened.clone() {
            rig.welcome(client);
        }
        rig.pass(0);
        rig
    }

    fn welcome(&mut self, client: ClientId) {
        self.chat.opened(&mut self.turn, client);
        self.turn.sent.clear();
        let user = self.chat.cast.name(self.chat.cast.user(client));
        self.hears(
            client,
            &format!(r#"{{"id":1,"welcome":{{"user":"{user}","time_ms":{TIME_MS}}}}}"#),
        );
    }

    fn pass(&mut self, ms: u64) {
        self.turn.pass(Duration::from_millis(ms));
        self.chat.due(&mut self.turn);
    }

    fn hears(&mut self, client: ClientId, frame: &str) {
        self.chat.message(&mut self.turn, client, Opcode::Text, frame.as_bytes());
    }

    /// An event of the conversation of both: message `counter` of client 1.
    fn event(&self, seq: u64, counter: u64) -> v1::Event<'static> {
        let cast = &self.chat.cast;
        let conv = id::direct_conv(&cast.name(0), &cast.name(1));
        let stamp = Stamp { tag: cast.tag(), client: 1, counter, intended_ns: 1, handed_ns: 2 };
        let mut text = String::new();
        stamp.write(80, &mut text);
        v1::Event {
            conv: id::text(&conv).into(),
            seq,
            time_ms: TIME_MS + seq,
            sender: cast.name(1).into(),
            device: "d0".into(),
            client_msg_id: id::text(&message_id(TIME_MS, stamp.tag, 1, &conv, counter)).into(),
            what: Some(v1::What::Message(v1::Message {
                kind: "text".into(),
                content: Some(v1::Content::Text(text.into())),
                ..v1::Message::default()
            })),
        }
    }

    fn pushes(&mut self, event: v1::Event<'_>) {
        let body = v1::Body::Event(event);
        self.says(v1::ServerFrame { id: None, body: Some(body) });
    }

    fn says(&mut self, frame: v1::ServerFrame<'_>) {
        let mut out = Vec::new();
        frame.write_json(&mut out);
        self.hears(ClientId(0), std::str::from_utf8(&out).unwrap());
    }

    /// Requests that were sent: their numbers and the operations as text.
    fn ops(&mut self) -> Vec<(u64, String)> {
        let mut ops = Vec::new();
        self.turn.take_ops(&mut |_, id, op| {
            let named = match op {
                v1::Op::Send(send) => {
                    let Some(v1::Content::Text(text)) = send.content else { panic!("no text") };
                    format!("send {} {text}", send.client_msg_id)
                }
                v1::Op::Delivered(mark) => format!("delivered {}", mark.seq),
                v1::Op::Read(mark) => format!("read {}", mark.seq),
                v1::Op::Sync(sync) => format!("sync after {}", sync.convs[0].after),
                other => panic!("{other:?}"),
            };
            ops.push((id.unwrap(), named));
        });
        ops
    }

    fn count(&self, counter: Counter) -> u64 {
        self.turn.sample.count(counter)
    }
}

fn alone() -> Rig {
    let mut rig = Rig::welcomed(0, 2, false, Instant::now());
    rig.turn.sent.clear();
    rig
}

fn kinds(ops: &[(u64, String)]) -> Vec<&str> {
    ops.iter().map(|(_, op)| op.as_str()).collect()
}

#[test]
fn receipts_of_a_conversation_are_said_together_twice_a_second_at_most() {
    let mut rig = Rig::welcomed(0, 2, true, Instant::now());
    for seq in 1..=10 {
        rig.pushes(rig.event(seq, seq));
        rig.pass(40);
    }
    assert_eq!(kinds(&rig.ops()), [""; 0]);
    rig.pass(110);
    assert_eq!(kinds(&rig.ops()), ["delivered 10", "read 10"]);
    rig.pushes(rig.event(11, 11));
    rig.pass(499);
    assert_eq!(kinds(&rig.ops()), [""; 0]);
    rig.pass(1);
    assert_eq!(kinds(&rig.ops()), ["delivered 11", "read 11"]);
    assert_eq!(rig.count(Counter::Delivered), 11);
}

#[test]
fn a_message_with_any_wrong_part_fails_the_client_and_the_run() {
    type Damage = fn(&mut v1::Event<'static>);
    let damages: [(&str, Damage); 5] = [
        ("sender", |event| event.sender = "mallory".into()),
        ("device", |event| event.device = "d1".into()),
        ("client_msg_id", |event| event.client_msg_id = id::text(&[7; 16]).into()),
        ("conv", |event| event.conv = id::text(&[7; 16]).into()),
        ("text", |event| {
            let Some(v1::What::Message(message)) = &mut event.what else { return };
            let Some(v1::Content::Text(text)) = &mut message.content else { return };
            text.to_mut().replace_range(79.., "#");
        }),
    ];
    for (what, damage) in damages {
        let mut rig = alone();
        let mut event = rig.event(1, 1);
        damage(&mut event);
        rig.pushes(event);
        assert_eq!(rig.turn.failed, [(ClientId(0), Cause::WrongAnswer)], "{what}");
        assert!(rig.findings.all()[0].contains("wrong content"), "{what}");
        assert!(!verdict::judge(&mut rig.turn.sample).is_empty());
    }
}

#[test]
fn a_hole_is_asked_for_from_the_cursor_and_counted_when_it_is_filled() {
    let mut rig = alone();
    rig.pushes(rig.event(1, 1));
    rig.pushes(rig.event(4, 4));
    rig.pushes(rig.event(5, 5));
    let asked = rig.ops();
    assert_eq!(kinds(&asked), ["sync after 1"]);
    let events: Vec<_> = (2..=4).map(|seq| rig.event(seq, seq)).collect();
    let conv = rig.event(1, 1).conv;
    let page = v1::Page { conv, events, has_more: false, head: 5, min_seq: 1 };
    let body = v1::Body::Sync(v1::SyncPage { convs: vec![page] });
    rig.says(v1::ServerFrame { id: Some(asked[0].0), body: Some(body) });
    assert_eq!((rig.count(Counter::Delivered), rig.count(Counter::HolesFilled)), (5, 1));
    assert_eq!((rig.ops(), rig.chat.missing()), (vec![], 0));
}

#[test]
fn what_asking_does_not_bring_is_asked_for_again_later_and_lost_at_the_end() {
    let mut rig = alone();
    rig.pushes(rig.event(1, 1));
    rig.pushes(rig.event(3, 3));
    let asked = rig.ops();
    let page = v1::Page { conv: rig.event(1, 1).conv, head: 3, min_seq: 1, ..v1::Page::default() };
    let body = v1::Body::Sync(v1::SyncPage { convs: vec![page] });
    rig.says(v1::ServerFrame { id: Some(asked[0].0), body: Some(body) });
    rig.pass(900);
    assert_eq!(rig.ops(), []);
    rig.pass(100);
    assert_eq!(kinds(&rig.ops()), ["sync after 1"]);
    rig.chat.stopping(&mut rig.turn);
    assert_eq!(rig.count(Counter::Lost), 2);
}

#[test]
fn a_page_with_a_hole_in_it_is_a_fault() {
    let mut rig = alone();
    rig.pushes(rig.event(4, 4));
    let asked = rig.ops();
    let events = vec![rig.event(1, 1), rig.event(3, 3)];
    let page =
        v1::Page { conv: rig.event(1, 1).conv, events, head: 4, min_seq: 1, has_more: false };
    let body = v1::Body::Sync(v1::SyncPage { convs: vec![page] });
    rig.says(v1::ServerFrame { id: Some(asked[0].0), body: Some(body) });
    assert_eq!(rig.turn.failed, [(ClientId(0), Cause::WrongAnswer)]);
}

/// A run of one shard, at its beginning.
fn begun() -> Rig {
    let mut rig = Rig::welcomed(0, 1, false, Instant::now());
    rig.turn.sent.clear();
    rig.pass(0);
    rig.pass(0);
    rig.pass(0);
    rig.pass(BEGIN_AHEAD.as_millis() as u64);
    rig.pass(0);
    rig
}

#[test]
fn a_refused_message_is_sent_again_as_it_was_and_timed_from_its_intended_moment() {
    let mut rig = begun();
    let first = rig.ops();
    assert_eq!(first.len(), 1);
    let client = ClientId(if rig.chat.clients[0].request > 1 { 0 } else { 1 });
    let request = first[0].0;
    let code = r#""code":"overloaded","fault":"server","retry_after_ms":300"#;
    rig.hears(client, &format!(r#"{{"id":{request},"error":{{{code}}}}}"#));
    rig.pass(50);
    let conv = id::text(&id::direct_conv(&rig.chat.cast.name(0), &rig.chat.cast.name(1)));
    rig.ops();
    rig.pass(249);
    rig.ops();
    rig.pass(1);
    let again = rig.ops();
    assert_eq!(again[0].1, first[0].1);
    assert_eq!((rig.count(Counter::Refused), rig.count(Counter::Retried)), (1, 1));
    let number = again[0].0;
    let ack = format!(r#""conv":"{conv}","seq":2,"time_ms":{TIME_MS}"#);
    rig.hears(client, &format!(r#"{{"id":{number},"ack":{{{ack}}}}}"#));
    assert_eq!((rig.count(Counter::Acked), rig.count(Counter::DeliveriesExpected)), (1, 1));
    let times = |metric| Sample::times(&rig.turn.sample, metric).unwrap().max() / 1_000_000;
    assert_eq!((times(Metric::Ack), times(Metric::AckSent)), (300, 300));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_on_the_next_connection() {
    let mut rig = begun();
    let first = rig.ops();
    let client = ClientId(if rig.chat.clients[0].request > 1 { 0 } else { 1 });
    let end = End::Failed { cause: Cause::Reset, detail: 0 };
    rig.chat.ended(&mut rig.turn, client, end);
    rig.pass(0);
    assert_eq!(rig.turn.opened.iter().filter(|opened| **opened == client).count(), 2);
    rig.welcome(client);
    assert!(rig.ops().iter().any(|(_, op)| *op == first[0].1));
}

#[test]
fn who_was_told_to_stay_away_does_not_come_back() {
    let mut rig = alone();
    let end = End::Failed { cause: Cause::Closed, detail: 4403 };
    rig.chat.ended(&mut rig.turn, ClientId(0), end);
    rig.pass(60_000);
    assert_eq!(rig.turn.opened, [ClientId(0)]);
}

#[test]
fn shards_tell_each_other_through_the_server_when_to_begin() {
    let start = Instant::now();
    let mut rigs = [0, 1].map(|shard| Rig::welcomed(shard, 2, false, start));
    let mut seq = 0;
    for _ in 0..8 {
        for rig in &mut rigs {
            rig.pass(1);
        }
        for from in [0, 1] {
            let sent = rigs[from].ops();
            for (_, op) in sent {
                seq += 1;
                let text = op.splitn(3, ' ').nth(2).unwrap().to_owned();
                let mut event = rigs[from].event(seq, seq);
                event.what = Some(v1::What::Message(v1::Message {
                    kind: speak::CONTROL_KIND.into(),
                    content: Some(v1::Content::Text(text.into())),
                    ..v1::Message::default()
                }));
                let frame = v1::ServerFrame { id: None, body: Some(v1::Body::Event(event)) };
                let mut out = Vec::new();
                frame.write_json(&mut out);
                let other = 1 - from;
                rigs[other].hears(ClientId(other as u32), std::str::from_utf8(&out).unwrap());
            }
        }
    }
    let moments = rigs.map(|rig| match rig.chat.stage {
        Stage::Waiting(at) => at,
        other => panic!("{other:?}"),
    });
    assert_eq!(moments[0], moments[1]);
    assert!(moments[0] >= start + BEGIN_AHEAD);
}
