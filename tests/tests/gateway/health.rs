//! Liveness and readiness, on the clients' port and on the admin port.

use throng_tests::gateway::Gateway;
use throng_tests::http;

#[test]
fn both_listeners_answer_both_questions() {
    let gateway = Gateway::start();
    let ready = gateway.ready();
    for address in [ready.client_address(), ready.admin_address()] {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(http::get(address, path).status, 200, "{address}{path}");
        }
    }
}

#[test]
fn an_unknown_path_is_not_found() {
    let gateway = Gateway::start();
    let ready = gateway.ready();
    for address in [ready.client_address(), ready.admin_address()] {
        assert_eq!(http::get(address, "/no/such/page").status, 404, "{address}");
    }
}

#[test]
fn development_mode_serves_the_page_at_the_root() {
    let gateway = Gateway::start();
    let page = http::get(gateway.ready().client_address(), "/");
    assert_eq!(page.status, 200);
    assert!(page.head.to_lowercase().contains("content-type: text/html"), "{}", page.head);
    assert!(page.body.contains("<html"), "{}", page.body);
}
