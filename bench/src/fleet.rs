//! Many WebSocket clients on one driver: they connect, upgrade, and hand their messages to a load.
//!
//! Owns: the clients' table (by slot), their decoders and pending output. Driven by a loop that
//! calls [`Fleet::open_more`] and then turns the driver with the fleet as its handler. A load
//! answers messages by appending frames; everything it appended in one event leaves as one send.

use std::io;
use std::net::{IpAddr, SocketAddr};

use throng_ring::{Arm, CloseKind, ConnId, ConnectOptions, Event, Handler, Io, SendBatch};
use throng_wire::http::{UpgradeRequest, encode_upgrade_request, parse_upgrade_response};
use throng_wire::ws;

use crate::limits::{OPENING_MAX, RESPONSE_BYTES_MAX};

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub address: SocketAddr,
    /// Path of the WebSocket.
    pub path: String,
    /// Subprotocol to offer.
    pub subprotocol: Option<String>,
    /// Source addresses, used in turn; none: the kernel chooses.
    pub sources: Vec<IpAddr>,
}

/// What the clients do once they are open.
pub trait Load {
    /// A client's WebSocket is open. Frames appended to `out` are sent.
    fn opened(&mut self, slot: usize, out: &mut Vec<u8>);

    /// A message came for a client. Frames appended to `out` are sent.
    fn message(&mut self, slot: usize, message: &[u8], out: &mut Vec<u8>);
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Vacant,
    Connecting,
    Upgrading,
    Open,
    Closing,
}

struct Client {
    generation: u32,
    phase: Phase,
    decoder: ws::Decoder,
    /// The part of the upgrade response that has come.
    head: Vec<u8>,
    /// Frames behind the send in flight.
    out: Vec<u8>,
}

impl Client {
    fn vacant() -> Self {
        let decoder = ws::Decoder::new(ws::Role::Client, u32::MAX);
        Self { generation: 0, phase: Phase::Vacant, decoder, head: Vec::new(), out: Vec::new() }
    }
}

/// The clients and their load.
pub struct Fleet<L> {
    target: Target,
    key: String,
    wanted: usize,
    clients: Vec<Client>,
    opening: usize,
    open: usize,
    started: usize,
    failure: Option<String>,
    /// The load, for its results.
    pub load: L,
}

impl<L: Load> Fleet<L> {
    /// `wanted` clients of `target`, none of them connected yet.
    pub fn new(target: Target, wanted: usize, load: L) -> Self {
        Self {
            target,
            key: ws::accept::client_key([7; 16]),
            wanted,
            clients: Vec::new(),
            opening: 0,
            open: 0,
            started: 0,
            failure: None,
            load,
        }
    }

    /// Whether every client is open.
    pub fn is_open(&self) -> bool {
        self.open == self.wanted
    }

    /// Clients that there shall be.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Stops receiving on every open client, so that the generator's end costs its socket alone.
    pub fn park(&self, io: &mut impl Io) {
        for (slot, client) in (0..).zip(&self.clients) {
            if client.phase == Phase::Open {
                io.arm(ConnId { slot, generation: client.generation }, Arm::Off);
            }
        }
    }

    /// The first connection that was lost or refused, in words. A measurement with one is void.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Connects as many more clients as may be opening at one time.
    ///
    /// # Errors
    /// The driver's table is full, or the socket could not be made.
    pub fn open_more(&mut self, io: &mut impl Io) -> io::Result<()> {
        while self.started < self.wanted && self.opening < OPENING_MAX {
            let sources = &self.target.sources;
            let source = sources.get(self.started % sources.len().max(1));
            let bind = source.map(|address| SocketAddr::new(*address, 0));
            let conn = io.connect(ConnectOptions { to: self.target.address, bind })?;
            let client = self.client_at(conn.slot);
            client.generation = conn.generation;
            client.phase = Phase::Connecting;
            self.started += 1;
            self.opening += 1;
        }
        Ok(())
    }

    fn client_at(&mut self, slot: u32) -> &mut Client {
        let slot = slot as usize;
        if self.clients.len() <= slot {
            self.clients.resize_with(slot + 1, Client::vacant);
        }
        &mut self.clients[slot]
    }

    fn fail(&mut self, io: &mut impl Io, conn: ConnId, why: impl FnOnce() -> String) {
        if self.client_at(conn.slot).phase == Phase::Vacant {
            return; // another fleet's, on the same driver
        }
        self.failure.get_or_insert_with(why);
        self.client_at(conn.slot).phase = Phase::Closing;
        io.close(conn, CloseKind::Abort);
    }

    fn begin_upgrade(&mut self, io: &mut impl Io, conn: ConnId) {
        let mut request = io.buffer();
        self.with_request(|upgrade| encode_upgrade_request(&mut request, upgrade));
        self.client_at(conn.slot).phase = Phase::Upgrading;
        io.arm(conn, Arm::Hot);
        send(io, conn, request);
    }

    fn with_request<T>(&self, use_request: impl FnOnce(&UpgradeRequest<'_>) -> T) -> T {
        let host = self.target.address.to_string();
        let offered: Vec<&str> = self.target.subprotocol.iter().map(String::as_str).collect();
        use_request(&UpgradeRequest {
            host: &host,
            target: &self.target.path,
            subprotocols: &offered,
            headers: &[],
            key: &self.key,
        })
    }

    fn upgrade_bytes(&mut self, io: &mut impl Io, conn: ConnId, data: &[u8]) {
        let mut head = std::mem::take(&mut self.client_at(conn.slot).head);
        head.extend_from_slice(data);
        let parsed = self.with_request(|request| {
            parse_upgrade_response(&head, request).map(|done| done.map(|done| done.consumed))
        });
        match parsed {
            Ok(None) if head.len() < RESPONSE_BYTES_MAX => self.client_at(conn.slot).head = head,
            Ok(None) => self.fail(io, conn, || "the upgrade response does not end".to_owned()),
            Err(error) => self.fail(io, conn, || format!("upgrade: {error}")),
            Ok(Some(consumed)) => {
                self.opened(io, conn);
                self.frames(io, conn, &mut head[consumed..]);
            }
        }
    }

    fn opened(&mut self, io: &mut impl Io, conn: ConnId) {
        self.opening -= 1;
        self.open += 1;
        let slot = conn.slot as usize;
        self.clients[slot].phase = Phase::Open;
        self.load.opened(slot, &mut self.clients[slot].out);
        self.flush(io, conn);
    }

    fn frames(&mut self, io: &mut impl Io, conn: ConnId, data: &mut [u8]) {
        let slot = conn.slot as usize;
        let client = &mut self.clients[slot];
        if client.out.capacity() == 0 {
            client.out = io.buffer();
        }
        let mut input = ws::Input::new(data);
        let ended = loop {
            match client.decoder.next(&mut input) {
                Ok(Some(ws::Event::Text(text))) => {
                    self.load.message(slot, text.as_bytes(), &mut client.out);
                }
                Ok(Some(ws::Event::Binary(bytes))) => {
                    self.load.message(slot, bytes, &mut client.out);
                }
                Ok(Some(ws::Event::Ping(payload))) => {
                    ws::encode::pong(&mut client.out, payload, Some([1, 2, 3, 4]));
                }
                Ok(Some(ws::Event::Pong(_))) => {}
                Ok(Some(ws::Event::Close(close))) => break Some(format!("closed: {close:?}")),
                Ok(None) => break None,
                Err(error) => break Some(format!("the server broke the protocol: {error}")),
            }
        };
        match ended {
            Some(why) => self.fail(io, conn, || why),
            None => self.flush(io, conn),
        }
    }

    /// Sends what is pending unless a send is in flight.
    fn flush(&mut self, io: &mut impl Io, conn: ConnId) {
        let client = &mut self.clients[conn.slot as usize];
        if io.sending(conn) {
            return;
        }
        let out = std::mem::take(&mut client.out);
        if out.is_empty() { io.recycle(out) } else { send(io, conn, out) }
    }

    fn closed(&mut self, conn: ConnId) {
        let client = self.client_at(conn.slot);
        *client = Client::vacant();
    }
}

fn send(io: &mut impl Io, conn: ConnId, buffer: Vec<u8>) {
    let mut batch = SendBatch::new();
    batch.push_owned(buffer);
    // Refused only for a connection that is gone, whose end is told by its own event.
    drop(io.send(conn, batch));
}

impl<I: Io, L: Load> Handler<I> for Fleet<L> {
    fn event(&mut self, io: &mut I, event: Event<'_>) {
        match event {
            Event::Connected { conn, result: Ok(()) } => self.begin_upgrade(io, conn),
            Event::Connected { conn, result: Err(error) } => {
                self.fail(io, conn, || format!("connect: {error}"));
            }
            Event::Received { conn, data } => match self.client_at(conn.slot).phase {
                Phase::Upgrading => self.upgrade_bytes(io, conn, data),
                Phase::Open => self.frames(io, conn, data),
                Phase::Vacant | Phase::Connecting | Phase::Closing => {}
            },
            Event::ReceiveEnd { conn, result } => {
                self.fail(io, conn, || format!("the server ended the connection: {result:?}"));
            }
            Event::Sent { conn, result: Err(error) } => {
                self.fail(io, conn, || format!("send: {error}"));
            }
            Event::Sent { conn, result: Ok(()) } => {
                if self.client_at(conn.slot).phase == Phase::Open {
                    self.flush(io, conn);
                }
            }
            Event::Closed { conn } => self.closed(conn),
            Event::Accepted { .. } | Event::AcceptFailed { .. } | Event::Woken => {}
        }
    }
}
