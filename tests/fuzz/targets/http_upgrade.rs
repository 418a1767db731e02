//! Any bytes get the same verdict as a request, however they trickle in; a request that may be
//! upgraded is answered with a response that our client accepts; any bytes are safe as a response.
//!
//! Input: one byte of part length, then the head.

#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_wire::http::{
    Parsed, Refusal, Request, UpgradeRequest, encode_refusal, encode_switching_protocols,
    parse_request, parse_upgrade_response,
};

/// The verdict on a head of which more arrives with every call.
fn trickled(bytes: &[u8], part_bytes: usize) -> Result<Parsed<'_>, Refusal> {
    let mut already_seen = 0;
    while already_seen < bytes.len() {
        let length = bytes.len().min(already_seen + part_bytes);
        let parsed = parse_request(&bytes[..length], already_seen);
        if parsed != Ok(Parsed::Partial) {
            return parsed;
        }
        already_seen = length;
    }
    Ok(Parsed::Partial)
}

fn answer(request: &Request<'_>) {
    let upgrade = match request.upgrade() {
        Ok(upgrade) => upgrade,
        Err(refusal) => return encode_refusal(&mut Vec::new(), refusal),
    };
    let offered: Vec<&str> = request.subprotocols().collect();
    let mut out = Vec::new();
    encode_switching_protocols(&mut out, upgrade.key, offered.last().copied());
    let (host, target, headers) = ("h", "/", &[][..]);
    let asked = UpgradeRequest { host, target, subprotocols: &offered, headers, key: upgrade.key };
    // An offered subprotocol may be so long that the answer's head is above the limit.
    if out.len() <= throng_wire::limits::HTTP_HEAD_BYTES_MAX {
        let upgraded = parse_upgrade_response(&out, &asked);
        let upgraded = upgraded.expect("accepted").expect("complete");
        assert_eq!((upgraded.consumed, upgraded.subprotocol), (out.len(), offered.last().copied()));
    }
}

fuzz_target!(|data: &[u8]| {
    let [part_bytes, bytes @ ..] = data else { return };
    let whole = parse_request(bytes, 0);
    let trickled = trickled(bytes, usize::from(*part_bytes) + 1);
    match (&whole, &trickled) {
        // Which of several faults is found first depends on what had arrived, and one that trickles
        // in is found with the end of its line.
        (Err(_), Err(_) | Ok(Parsed::Partial)) => {}
        _ if bytes.is_empty() => {}
        _ => assert_eq!(whole, trickled),
    }
    if let Ok(Parsed::Complete { consumed, request }) = &whole {
        assert!(*consumed <= bytes.len());
        answer(request);
    }
    let (host, target, headers) = ("h", "/", &[][..]);
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let asked = UpgradeRequest { host, target, subprotocols: &["a"], headers, key };
    if let Ok(Some(upgraded)) = parse_upgrade_response(bytes, &asked) {
        assert!(upgraded.consumed <= bytes.len());
    }
});
