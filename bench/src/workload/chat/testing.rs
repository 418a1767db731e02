//! A turn without an engine, for tests: time is set by hand, what was asked is written down.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use throng_wire::ws::Opcode;
use throng_wire::{client, v1};

use crate::generator::{Cause, ClientId, Sample, Turn};

/// See the module header.
#[derive(Debug)]
pub(super) struct FakeTurn {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) sample: Sample,
    pub(super) opened: Vec<ClientId>,
    pub(super) established: BTreeSet<ClientId>,
    pub(super) sent: Vec<(ClientId, String)>,
    pub(super) failed: Vec<(ClientId, Cause)>,
    pub(super) closed: Vec<ClientId>,
}

impl FakeTurn {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            now: start,
            start,
            sample: Sample::default(),
            opened: Vec::new(),
            established: BTreeSet::new(),
            sent: Vec::new(),
            failed: Vec::new(),
            closed: Vec::new(),
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Takes what was sent, read as the server reads it: client, id and operation.
    pub(super) fn take_ops(&mut self, each: &mut dyn FnMut(ClientId, Option<u64>, v1::Op<'_>)) {
        for (client, text) in std::mem::take(&mut self.sent) {
            let frame = client::decode_json(&text).expect("a frame of the protocol");
            each(client, frame.id, frame.op.expect("an operation"));
        }
    }
}

impl Turn for FakeTurn {
    fn now(&self) -> Instant {
        self.now
    }

    fn start(&self) -> Instant {
        self.start
    }

    fn open(&mut self, client: ClientId, _intended: Instant) {
        self.opened.push(client);
    }

    fn open_half(&mut self, _client: ClientId, _intended: Instant) {}

    fn expect_end(&mut self, _client: ClientId) {}

    fn established(&mut self, client: ClientId) {
        self.established.insert(client);
    }

    fn is_established(&self, client: ClientId) -> bool {
        self.established.contains(&client)
    }

    fn send(&mut self, client: ClientId, _opcode: Opcode, payload: &[u8]) {
        self.sent.push((client, String::from_utf8(payload.to_vec()).expect("JSON")));
    }

    fn queued_bytes(&self, _client: ClientId) -> usize {
        0
    }

    fn read(&mut self, _client: ClientId, _on: bool) {}

    fn close(&mut self, client: ClientId) {
        self.closed.push(client);
    }

    fn cut(&mut self, client: ClientId) {
        self.closed.push(client);
    }

    fn fail(&mut self, client: ClientId, cause: Cause, detail: u32) {
        self.failed.push((client, cause));
        self.sample.fail(cause, detail);
    }

    fn lateness_max(&self) -> Duration {
        Duration::from_millis(10)
    }

    fn sample(&mut self) -> &mut Sample {
        &mut self.sample
    }
}
