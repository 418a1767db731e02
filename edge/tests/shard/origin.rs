//! In development mode clients are believed, so pages of other sites may not connect.

use throng_edge::shard::Mode;

use crate::rig::{Client, Rig, config};

fn head(mode: Mode, origin: &str) -> (String, Client) {
    let (mut rig, _router) = Rig::ready_with(config(mode));
    let mut client = rig.connect();
    let request = Client::upgrade_request("/v1/ws", &[("Origin", origin)]);
    client.peer.write(request.as_bytes());
    rig.settle();
    (client.head(), client)
}

fn status(mode: Mode, origin: &str) -> String {
    head(mode, origin).0["HTTP/1.1 ".len()..][..3].to_owned()
}

#[test]
fn a_page_that_may_not_connect_is_told_why() {
    let (head, mut client) = head(Mode::Development, "https://example.com");
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    assert!(client.body().contains("only pages of this machine"));
}

#[test]
fn in_development_mode_only_pages_of_this_machine_may_connect() {
    let local = ["", "http://127.0.0.1:7400", "http://localhost:3000", "https://127.8.8.8"];
    for origin in local.into_iter().chain(["http://LOCALHOST", "http://[::1]:7400"]) {
        assert_eq!(status(Mode::Development, origin), "101", "{origin}");
    }
    let foreign = ["https://example.com", "http://127.0.0.1.example.com", "null", "http://"];
    let look_alike = ["http://localhost.example.com:80", "http://[2001:db8::1]", "http://10.0.0.1"];
    // A foreign name may resolve to loopback; then Host and Origin agree.
    for origin in foreign.into_iter().chain(look_alike).chain(["http://here"]) {
        assert_eq!(status(Mode::Development, origin), "403", "{origin}");
    }
}

#[test]
fn with_tokens_every_page_may_connect() {
    assert_eq!(status(Mode::Tokens, "https://example.com"), "101");
}
