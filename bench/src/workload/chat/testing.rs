//! A turn without an engine, for tests: time is set by hand, what was asked is written down.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use throng_wire::ws::Opcode;
use throng_wire::{client, v1};

use crate::generator::{Cause, ClientId, Sample, Turn};

/// See the module header.
#[derive(Debug)]
pub(in crate::workload) struct FakeTurn {
    pub(in crate::workload) now: Instant,
    pub(in crate::workload) start: Instant,
    pub(in crate::workload) sample: Sample,
    pub(in crate::workload) opened: Vec<ClientId>,
    pub(in crate::workload) established: BTreeSet<ClientId>,
    pub(in crate::workload) sent: Vec<(ClientId, String)>,
    pub(in crate::workload) failed: Vec<(ClientId, Cause)>,
    pub(in crate::workload) closed: Vec<ClientId>,
}

impl FakeTurn {
    pub(in crate::workload) fn new(start: Instant) -> Self {
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

    pub(in crate::workload) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Takes what was sent, read as the server reads it: client, id and operation.
    pub(in crate::workload) fn take_ops(
        &mut self,
        each: &mut dyn FnMut(ClientId, Option<u64>, v1::Op<'_>),
    ) {
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
