//! Our client and our server open a WebSocket; a client accepts nothing less than RFC 6455 wants.

use throng_wire::http::{
    Method, Parsed, Refusal, Response, UpgradeError, UpgradeRequest, Upgraded, encode_refusal,
    encode_response, encode_switching_protocols, encode_upgrade_request, parse_request,
    parse_upgrade_response,
};
use throng_wire::limits::HTTP_HEAD_BYTES_MAX;

const REQUEST: UpgradeRequest<'static> = UpgradeRequest {
    host: "localhost:7400",
    target: "/v1/ws?x",
    subprotocols: &["throng.v1.proto", "throng.v1.json"],
    headers: &[("Authorization", "Bearer t")],
    key: "dGhlIHNhbXBsZSBub25jZQ==",
};

const ANSWER: [&str; 5] = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    "Sec-WebSocket-Protocol: throng.v1.json",
];

/// The verdict on [`ANSWER`] with line `at` replaced.
fn answer_but(at: usize, line: &str) -> Result<(), UpgradeError> {
    let mut lines = ANSWER;
    lines[at] = line;
    let answer = lines.join("\r\n") + "\r\n\r\n";
    parse_upgrade_response(answer.as_bytes(), &REQUEST).map(|upgraded| {
        assert!(upgraded.is_some());
    })
}

#[test]
fn both_ends_agree() {
    let mut sent = Vec::new();
    encode_upgrade_request(&mut sent, &REQUEST);
    let Ok(Parsed::Complete { consumed, request }) = parse_request(&sent, 0) else { panic!() };
    assert_eq!(consumed, sent.len());
    assert_eq!((request.host, request.path), (Some("localhost:7400"), "/v1/ws"));
    assert_eq!(request.bearer, Some("t"));
    assert!(request.subprotocols().eq(REQUEST.subprotocols.iter().copied()));
    for subprotocol in [None, Some("throng.v1.proto")] {
        let mut answer = Vec::new();
        encode_switching_protocols(&mut answer, request.upgrade().unwrap().key, subprotocol);
        for length in 0..answer.len() {
            assert_eq!(parse_upgrade_response(&answer[..length], &REQUEST), Ok(None));
        }
        let consumed = answer.len();
        answer.extend_from_slice(&[0x89, 0]);
        let upgraded = Upgraded { consumed, subprotocol };
        assert_eq!(parse_upgrade_response(&answer, &REQUEST), Ok(Some(upgraded)));
    }
}

#[test]
fn each_line_of_the_answer_is_verified() {
    assert_eq!(answer_but(1, "uPgrade: WebSocket"), Ok(()));
    let refused = [
        (1, "Upgrade: h2c"),
        (2, "Connection: close"),
        (3, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO="),
        (3, "X: y"),
        (4, "Sec-WebSocket-Protocol: other"),
        (4, "Sec-WebSocket-Extensions: permessage-deflate"),
    ];
    for (at, line) in refused {
        assert!(matches!(answer_but(at, line), Err(UpgradeError::Handshake(_))), "{line}");
    }
    let twice = answer_but(4, ANSWER[3]);
    assert_eq!(twice, Err(UpgradeError::Malformed("Sec-WebSocket-Accept twice")));
    assert_eq!(answer_but(0, "HTTP/1.1 200 OK"), Err(UpgradeError::Status(200)));
    assert!(matches!(answer_but(0, "SSH-2.0"), Err(UpgradeError::Malformed(_))));
}

#[test]
fn a_head_above_the_limit_is_refused() {
    let filler = format!("HTTP/1.1 101 S\r\nX: {}", "x".repeat(HTTP_HEAD_BYTES_MAX));
    let largest = &filler.as_bytes()[..HTTP_HEAD_BYTES_MAX];
    let shorter = &largest[..HTTP_HEAD_BYTES_MAX - 1];
    assert_eq!(parse_upgrade_response(shorter, &REQUEST), Ok(None));
    let refused = Err(UpgradeError::Malformed("head too large"));
    assert_eq!(parse_upgrade_response(largest, &REQUEST), refused);
}

#[test]
fn refusals_reach_the_client() {
    for (refusal, status, header) in [
        (Refusal::BadRequest("why"), 400, "bad request: why\n"),
        (Refusal::NotFound, 404, "Connection: close\r\n"),
        (Refusal::MethodNotAllowed, 405, "Allow: GET, HEAD\r\n"),
        (Refusal::ContentTooLarge, 413, "\r\n\r\nno request body"),
        (Refusal::UriTooLong, 414, "\r\n\r\nrequest line"),
        (Refusal::UpgradeRequired, 426, "Sec-WebSocket-Version: 13\r\n"),
        (Refusal::HeadTooLarge, 431, "\r\n\r\nrequest head"),
        (Refusal::Unavailable, 503, "\r\n\r\nservice unavailable"),
        (Refusal::VersionNotSupported, 505, "\r\n\r\nHTTP version"),
    ] {
        let mut answer = Vec::new();
        encode_refusal(&mut answer, refusal);
        let verdict = parse_upgrade_response(&answer, &REQUEST);
        assert_eq!(verdict, Err(UpgradeError::Status(status)));
        assert!(String::from_utf8(answer).unwrap().contains(header), "{status}");
    }
}

#[test]
fn a_response_has_a_body_unless_asked_by_head() {
    let (headers, body) = (&[("X-Extra", "1")][..], &b"ok\n"[..]);
    let response = Response { status: 200, content_type: "text/plain", headers, body };
    let encode = |method| {
        let mut out = Vec::new();
        encode_response(&mut out, method, &response);
        String::from_utf8(out).unwrap()
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\
        Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\
        X-Extra: 1\r\n\r\n";
    assert_eq!(encode(Method::Head), head);
    assert_eq!(encode(Method::Get), format!("{head}ok\n"));
}
