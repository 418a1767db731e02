//! Requests: what passes, what is refused and with which status, at any cut and at every limit.

use throng_wire::http::{Method, Parsed, Refusal, Request, parse_request};
use throng_wire::limits::{
    HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX, HTTP_REQUEST_LINE_BYTES_MAX, HTTP_SUBPROTOCOL_LINES_MAX,
};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The handshake of RFC 6455 section 1.3, as header lines.
const HANDSHAKE: [&str; 5] = [
    "Host: server.example.com",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
];

fn head(line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{line}\r\n{headers}\r\n")
}

/// The request in a head that is complete; checks that every cut of it gives the same.
fn parse(head: &str) -> Result<Request<'_>, Refusal> {
    let whole = parse_request(head.as_bytes(), 0);
    let mut already_seen = 0;
    for length in (1..=head.len()).step_by(1 + head.len() / 500).chain([head.len()]) {
        let cut = parse_request(&head.as_bytes()[..length], already_seen);
        if cut != Ok(Parsed::Partial) {
            assert_eq!(cut, whole, "cut at {length}");
            break;
        }
        already_seen = length;
    }
    whole.map(|parsed| match parsed {
        Parsed::Complete { consumed, request } => {
            assert_eq!(consumed, head.len());
            request
        }
        Parsed::Partial => panic!("not complete: {head}"),
    })
}

fn refusal(line: &str, headers: &[&str]) -> Refusal {
    match parse(&head(line, headers)) {
        Err(refusal) => refusal,
        Ok(request) => panic!("not refused: {request:?}"),
    }
}

/// [`HANDSHAKE`] with the line of this name replaced, or left out.
fn handshake_but(name: &str, line: Option<&str>) -> Result<(), u16> {
    let replaced = HANDSHAKE.iter().map(|known| match known.starts_with(name) {
        true => line,
        false => Some(*known),
    });
    let headers: Vec<&str> = replaced.flatten().collect();
    let head = head("GET /v1/ws HTTP/1.1", &headers);
    parse(&head).and_then(|request| request.upgrade()).map(drop).map_err(Refusal::status)
}

#[test]
fn all_of_a_browsers_request() {
    let mut headers = HANDSHAKE.to_vec();
    headers.extend([
        "Origin: https://app.example.com",
        "Authorization: bearer abc.def-_",
        "Sec-WebSocket-Protocol: throng.v1.json, throng.v1.proto,",
        "sec-websocket-protocol: throng.bearer.x.y",
        "Cookie: a=\u{e4}",
    ]);
    let head = head("GET /v1/ws?a=b?c HTTP/1.1", &headers);
    let request = parse(&head).unwrap();
    assert_eq!(request.method, Method::Get);
    assert_eq!((request.path, request.query), ("/v1/ws", Some("a=b?c")));
    assert_eq!(request.host, Some("server.example.com"));
    assert_eq!(request.origin, Some("https://app.example.com"));
    assert_eq!(request.bearer, Some("abc.def-_"));
    let offered: Vec<&str> = request.subprotocols().collect();
    assert_eq!(offered, ["throng.v1.json", "throng.v1.proto", "throng.bearer.x.y"]);
    assert!(request.wants_websocket());
    assert_eq!(request.upgrade().unwrap().key, KEY);
}

#[test]
fn frames_may_follow_the_head() {
    let head = head("GET / HTTP/1.1", &HANDSHAKE);
    let bytes = [head.as_bytes(), &[0x81, 0x80, 0, b'\n', 0, 0], &[0; 10_000]].concat();
    let Ok(Parsed::Complete { consumed, .. }) = parse_request(&bytes, 0) else { panic!() };
    assert_eq!(consumed, head.len());
}

#[test]
fn a_plain_request() {
    for (line, method) in
        [("GET /healthz HTTP/1.0", Method::Get), ("HEAD / HTTP/1.0", Method::Head)]
    {
        let head = head(line, &[]);
        let request = parse(&head).unwrap();
        assert_eq!((request.method, request.host, request.query), (method, None, None));
        assert!(!request.wants_websocket());
        assert_eq!(request.upgrade(), Err(Refusal::UpgradeRequired));
    }
}

#[test]
fn lists_are_read_in_any_case_and_over_lines() {
    for connection in
        ["keep-alive, Upgrade", "UPGRADE", "close,upgrade", "a\r\nConnection: upgrade"]
    {
        let line = format!("Connection: {connection}");
        assert_eq!(handshake_but("Connection", Some(&line)), Ok(()));
    }
    assert_eq!(handshake_but("Upgrade", Some("uPGRADE: h2c, WebSocket")), Ok(()));
}

#[test]
fn each_part_of_the_handshake_is_needed() {
    assert_eq!(handshake_but("nothing", None), Ok(()));
    assert_eq!(handshake_but("Host", None), Err(400));
    assert_eq!(handshake_but("Upgrade", None), Err(426));
    assert_eq!(handshake_but("Upgrade", Some("Upgrade: h2c")), Err(426));
    assert_eq!(handshake_but("Connection", None), Err(400));
    assert_eq!(handshake_but("Connection", Some("Connection: Upgraded")), Err(400));
    assert_eq!(handshake_but("Sec-WebSocket-Version", None), Err(426));
    assert_eq!(handshake_but("Sec-WebSocket-Version", Some("Sec-WebSocket-Version: 8")), Err(426));
    for key in ["", "c2hvcnQ=", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub25jZQ==x", "?"] {
        let line = format!("Sec-WebSocket-Key: {key}");
        assert_eq!(handshake_but("Sec-WebSocket-Key", Some(&line)), Err(400), "{key}");
    }
    assert_eq!(handshake_but("Sec-WebSocket-Key", None), Err(400));
}

#[test]
fn the_handshake_is_a_get_over_http_11() {
    let status = |line| parse(&head(line, &HANDSHAKE)).unwrap().upgrade().unwrap_err().status();
    assert_eq!(status("HEAD /v1/ws HTTP/1.1"), 405);
    assert_eq!(status("GET /v1/ws HTTP/1.0"), 505);
}

#[test]
fn other_methods_and_versions() {
    for method in ["POST", "PUT", "OPTIONS", "CONNECT", "get", "BREW"] {
        let line = format!("{method} / HTTP/1.1");
        assert_eq!(refusal(&line, &["Host: h"]), Refusal::MethodNotAllowed);
    }
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9"] {
        let refusal = refusal(&format!("GET / {version}"), &["Host: h"]);
        assert_eq!(refusal, Refusal::VersionNotSupported);
    }
}

#[test]
fn what_two_readers_could_understand_differently() {
    let bad: [&[&str]; 16] = [
        &["Host: a", "Host: a"],
        &["Host: a", "Host: b"],
        &["Host: a b"],
        &["Host: a/b"],
        &["Host: user@a"],
        &["Host: a", "X: folded", " over lines"],
        &["Host: a", "X : space before the colon"],
        &["Host: a", ": no name"],
        &["Host: a", "Transfer-Encoding: chunked"],
        &["Host: a", "Transfer-Encoding: identity"],
        &["Host: a", "Content-Length: x"],
        &["Host: a", "Content-Length: +0"],
        &["Host: a", "Content-Length:"],
        &["Host: a", "Origin: a", "Origin: b"],
        &["Host: a", "Authorization: Bearer a", "Authorization: Bearer a"],
        &["Host: a", "Sec-WebSocket-Key: a", "Sec-WebSocket-Key: a"],
    ];
    for headers in bad {
        assert_eq!(refusal("GET / HTTP/1.1", headers).status(), 400, "{headers:?}");
    }
    for head in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert_eq!(parse(head).unwrap_err().status(), 400, "{head:?}");
    }
}

#[test]
fn a_body_is_refused() {
    assert_eq!(refusal("GET / HTTP/1.1", &["Host: a", "Content-Length: 1"]).status(), 413);
    assert!(parse(&head("GET / HTTP/1.1", &["Host: a", "Content-Length: 0"])).is_ok());
}

#[test]
fn targets() {
    let absolute = head("GET http://real:80/p?q HTTP/1.1", &["Host: other"]);
    let request = parse(&absolute).unwrap();
    assert_eq!((request.host, request.path, request.query), (Some("real:80"), "/p", Some("q")));
    for target in ["*", "host:80", "ftp://a/b", "http://a", "a", "/a#b", "/\u{e4}"] {
        let line = format!("GET {target} HTTP/1.1");
        assert_eq!(refusal(&line, &["Host: h"]).status(), 400, "{target}");
    }
}

#[test]
fn garbage_is_refused_at_once() {
    for bytes in [&b"\x16\x03\x01\x02\x00\x01"[..], b"SSH-2.0-x\r\n", b"\0"] {
        let refusal = parse_request(bytes, 0).unwrap_err();
        assert_eq!(refusal.status(), 400);
    }
}

#[test]
fn head_of_the_largest_size_passes() {
    let fixed = head("GET / HTTP/1.1", &["Host: h", "X: "]).len();
    for (extra, status) in [(0, None), (1, Some(431))] {
        let filler = format!("X: {}", "x".repeat(HTTP_HEAD_BYTES_MAX - fixed + extra));
        let head = head("GET / HTTP/1.1", &["Host: h", &filler]);
        assert_eq!(parse(&head).err().map(Refusal::status), status);
    }
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(HTTP_HEAD_BYTES_MAX));
    let largest = &endless.as_bytes()[..HTTP_HEAD_BYTES_MAX];
    assert_eq!(parse_request(&largest[1..], 9), Ok(Parsed::Partial));
    assert_eq!(parse_request(largest, 9), Err(Refusal::HeadTooLarge));
}

#[test]
fn request_line_of_the_largest_size_passes() {
    let fixed = "GET / HTTP/1.1\r\n".len();
    for (extra, status) in [(0, None), (1, Some(414))] {
        let path = "p".repeat(HTTP_REQUEST_LINE_BYTES_MAX - fixed + extra);
        let head = head(&format!("GET /{path} HTTP/1.1"), &["Host: h"]);
        assert_eq!(parse(&head).err().map(Refusal::status), status);
    }
    let endless = vec![b'G'; HTTP_REQUEST_LINE_BYTES_MAX + 1];
    assert_eq!(parse_request(&endless[1..], 0), Ok(Parsed::Partial));
    assert_eq!(parse_request(&endless, 0), Err(Refusal::UriTooLong));
}

#[test]
fn largest_number_of_headers_passes() {
    for (count, status) in [(HTTP_HEADERS_MAX, None), (HTTP_HEADERS_MAX + 1, Some(431))] {
        let mut headers = vec!["Host: h"];
        headers.resize(count, "X: y");
        let head = head("GET / HTTP/1.1", &headers);
        assert_eq!(parse(&head).err().map(Refusal::status), status);
    }
}

#[test]
fn largest_number_of_subprotocol_lines_passes() {
    let lines = HTTP_SUBPROTOCOL_LINES_MAX;
    for (count, status) in [(lines, None), (lines + 1, Some(400))] {
        let mut headers = vec!["Host: h"];
        headers.resize(1 + count, "Sec-WebSocket-Protocol: a");
        let head = head("GET / HTTP/1.1", &headers);
        let offered = parse(&head).map(|request| request.subprotocols().count());
        assert_eq!(offered.map_err(Refusal::status), status.map_or(Ok(lines), Err));
    }
}
