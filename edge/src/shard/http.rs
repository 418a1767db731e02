//! The HTTP request before everything else: the upgrade, health, and in development the page.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use throng_ring::{ConnId, Io};
use throng_wire::http::{
    self, Method, Parsed, Refusal, Request, Response, encode_refusal, encode_response,
};
use throng_wire::ws;

use super::conn::{Codec, Handshake, Phase};
use super::{Core, Mode};
use crate::limits;
use crate::metrics::CloseReason;
use crate::page::CONTENT_SECURITY_POLICY;

const TEXT: &str = "text/plain; charset=utf-8";
const BEARER: &str = "throng.bearer.";
const RETRY_AFTER_S: &str = "5";
const NOT_READY: &str = "starting or draining; try again later, or another edge\n";

/// What a request came to. The answer is in the connection's output already.
enum Routed {
    Upgraded { codec: Codec, token: Option<String> },
    Answered,
}

/// The answer to a connection that is not let in.
pub(super) fn refusal_when_full() -> Bytes {
    let mut out = Vec::new();
    unavailable(&mut out, Method::Get, "too many connections; try again later, or another edge\n");
    Bytes::from(out)
}

fn unavailable(out: &mut Vec<u8>, method: Method, why: &str) {
    let headers = &[("Retry-After", RETRY_AFTER_S)];
    let response = Response { status: 503, content_type: TEXT, headers, body: why.as_bytes() };
    encode_response(out, method, &response);
}

fn text(out: &mut Vec<u8>, method: Method, status: u16, body: &str) {
    let response = Response { status, content_type: TEXT, headers: &[], body: body.as_bytes() };
    encode_response(out, method, &response);
}

impl Core {
    /// Bytes of a connection that has not upgraded yet.
    pub(super) fn http_received<I: Io>(&mut self, io: &mut I, id: ConnId, data: &mut [u8]) {
        let Some(Phase::Http(handshake)) = self.slab.get_mut(id).map(|conn| &mut conn.phase) else {
            return;
        };
        let mut head = std::mem::take(&mut handshake.head);
        if head.is_empty() {
            self.http_parse(io, id, data, 0);
        } else {
            let seen = head.len();
            head.extend_from_slice(data);
            self.http_parse(io, id, &mut head, seen);
        }
    }

    fn http_parse<I: Io>(&mut self, io: &mut I, id: ConnId, bytes: &mut [u8], seen: usize) {
        match http::parse_request(bytes, seen) {
            Ok(Parsed::Partial) => {
                if let Some(handshake) = self.handshake(id) {
                    handshake.head = bytes.to_vec();
                }
            }
            Ok(Parsed::Complete { consumed, request }) => match self.http_route(io, id, &request) {
                Routed::Answered => self.close(io, id, CloseReason::HttpDone),
                Routed::Upgraded { codec, token } => {
                    self.upgraded(io, id, codec, token, &mut bytes[consumed..]);
                }
            },
            Err(refusal) => {
                self.http_answer(io, id, |out| encode_refusal(out, refusal));
                self.close(io, id, CloseReason::HttpDone);
            }
        }
    }

    fn handshake(&mut self, id: ConnId) -> Option<&mut Handshake> {
        match &mut self.slab.get_mut(id)?.phase {
            Phase::Http(handshake) | Phase::Hello(handshake) => Some(handshake),
            _ => None,
        }
    }

    fn http_answer<I: Io>(&mut self, io: &mut I, id: ConnId, write: impl FnOnce(&mut Vec<u8>)) {
        self.counters.http_requests += 1;
        if let Some(conn) = self.slab.get_mut(id) {
            self.outputs.write(io, id, conn, write);
        }
    }

    fn http_route<I: Io>(&mut self, io: &mut I, id: ConnId, request: &Request<'_>) -> Routed {
        let method = request.method;
        match request.path {
            _ if self.mode == Mode::Echo && request.wants_websocket() => {
                return self.http_upgrade_echo(io, id, request);
            }
            "/v1/ws" if self.mode != Mode::Echo => return self.http_upgrade(io, id, request),
            "/healthz" => self.http_answer(io, id, |out| text(out, method, 200, "alive\n")),
            "/readyz" if self.is_ready() => {
                self.http_answer(io, id, |out| text(out, method, 200, "ready\n"));
            }
            "/readyz" => self.http_answer(io, id, |out| unavailable(out, method, NOT_READY)),
            "/" if self.page.is_some() => self.http_page(io, id, method),
            _ => self.http_answer(io, id, |out| {
                text(out, method, 404, "nothing here; the WebSocket is at /v1/ws\n");
            }),
        }
        Routed::Answered
    }

    fn http_page<I: Io>(&mut self, io: &mut I, id: ConnId, method: Method) {
        let Some(page) = self.page else { return };
        let content_type = "text/html; charset=utf-8";
        let headers = &[("Content-Security-Policy", CONTENT_SECURITY_POLICY)];
        let response = Response { status: 200, content_type, headers, body: page };
        self.http_answer(io, id, |out| encode_response(out, method, &response));
    }

    fn http_upgrade_echo<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        request: &Request<'_>,
    ) -> Routed {
        match request.upgrade() {
            Ok(_) if !self.is_ready() => self.http_not_ready(io, id, request.method),
            Ok(upgrade) => {
                let subprotocol = request.subprotocols().next();
                self.switch(io, id, upgrade.key, subprotocol);
                Routed::Upgraded { codec: Codec::Json, token: None }
            }
            Err(refusal) => self.http_refuse(io, id, refusal),
        }
    }

    fn http_upgrade<I: Io>(&mut self, io: &mut I, id: ConnId, request: &Request<'_>) -> Routed {
        let upgrade = match request.upgrade() {
            Ok(upgrade) => upgrade,
            Err(refusal) => return self.http_refuse(io, id, refusal),
        };
        if !self.is_ready() {
            return self.http_not_ready(io, id, request.method);
        }
        if self.mode == Mode::Development && request.origin.is_some_and(|site| !is_local(site)) {
            let why = "in development mode only pages of this machine may connect\n";
            self.http_answer(io, id, |out| text(out, request.method, 403, why));
            return Routed::Answered;
        }
        let Some(codec) = choose_codec(request) else {
            let why = "offer the subprotocol throng.v1.json or throng.v1.proto, or none\n";
            self.http_answer(io, id, |out| text(out, request.method, 400, why));
            return Routed::Answered;
        };
        let offered = request.subprotocols().any(|name| name == codec.subprotocol());
        self.switch(io, id, upgrade.key, offered.then_some(codec.subprotocol()));
        let token = request.subprotocols().find_map(|name| name.strip_prefix(BEARER));
        let token = request.bearer.or(token).map(str::to_owned);
        Routed::Upgraded { codec, token }
    }

    fn http_not_ready<I: Io>(&mut self, io: &mut I, id: ConnId, method: Method) -> Routed {
        self.http_answer(io, id, |out| unavailable(out, method, NOT_READY));
        Routed::Answered
    }

    /// Tells a peer that it came too late, before it has asked.
    pub(super) fn turn_away<I: Io>(&mut self, io: &mut I, id: ConnId) {
        self.http_answer(io, id, |out| unavailable(out, Method::Get, NOT_READY));
        self.close(io, id, CloseReason::Draining);
    }

    fn http_refuse<I: Io>(&mut self, io: &mut I, id: ConnId, refusal: Refusal) -> Routed {
        self.http_answer(io, id, |out| encode_refusal(out, refusal));
        Routed::Answered
    }

    fn switch<I: Io>(&mut self, io: &mut I, id: ConnId, key: &str, subprotocol: Option<&str>) {
        self.counters.upgrades += 1;
        if let Some(conn) = self.slab.get_mut(id) {
            self.outputs.write(io, id, conn, |out| {
                http::encode_switching_protocols(out, key, subprotocol);
            });
        }
    }

    /// The WebSocket is open; frames may have come behind the request.
    fn upgraded<I: Io>(
        &mut self,
        io: &mut I,
        id: ConnId,
        codec: Codec,
        token: Option<String>,
        rest: &mut [u8],
    ) {
        let Some(conn) = self.slab.get_mut(id) else { return };
        let bytes_max = match self.mode {
            Mode::Echo => self.frame_bytes_max,
            Mode::Development | Mode::Tokens => self.frame_bytes_max.min(limits::HELLO_BYTES_MAX),
        };
        conn.decoder = ws::Decoder::new(ws::Role::Server, bytes_max);
        conn.codec = codec;
        let Phase::Http(mut handshake) = std::mem::take(&mut conn.phase) else { return };
        self.asking -= 1;
        if self.mode == Mode::Echo {
            self.admission.leave(handshake.peer);
            conn.phase = Phase::Echo;
            self.timers.set(id.slot, io.now() + self.deadlines.cold_after);
        } else {
            handshake.token = token;
            conn.phase = Phase::Hello(handshake);
            self.timers.set(id.slot, io.now() + self.deadlines.hello);
        }
        if !rest.is_empty() {
            self.received(io, id, rest);
        }
    }
}

/// The first of our subprotocols in the client's order; JSON when none is offered at all. A token
/// in the list is no subprotocol.
fn choose_codec(request: &Request<'_>) -> Option<Codec> {
    let mut offered_any = false;
    for name in request.subprotocols().filter(|name| !name.starts_with(BEARER)) {
        offered_any = true;
        for codec in [Codec::Json, Codec::Protobuf] {
            if name == codec.subprotocol() {
                return Some(codec);
            }
        }
    }
    (!offered_any).then_some(Codec::Json)
}

/// Whether an `Origin` (RFC 6454 section 7) is of this machine. Browsers let every page open a
/// WebSocket to loopback, and without tokens such a page would be believed. The `Host` header
/// proves nothing: a foreign name may resolve to loopback.
fn is_local(origin: &str) -> bool {
    let Some((_, authority)) = origin.split_once("://") else { return false };
    if let Some(rest) = authority.strip_prefix('[') {
        let address = rest.split_once(']').map(|(address, _)| address.parse::<Ipv6Addr>());
        return matches!(address, Some(Ok(address)) if address.is_loopback());
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_loopback = host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

// A head that is kept until it is complete is bounded by the parser.
const _: () = assert!(throng_wire::limits::HTTP_HEAD_BYTES_MAX <= limits::OUTPUT_CHUNK_BYTES);
