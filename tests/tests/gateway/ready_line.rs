//! One line on stdout when everything is up, in a form that scripts can rely on.

use throng_tests::client::Client;
use throng_tests::gateway::{Gateway, driver};
use throng_tests::http;

fn port(url: &str) -> u16 {
    url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap()
}

#[test]
fn names_addresses_shards_driver_and_store() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let ready = gateway.ready();
    let (ws, admin) = (port(ready.field("ws")), port(ready.field("admin")));
    let expected = format!(
        "ready ws=ws://127.0.0.1:{ws}/v1/ws admin=http://127.0.0.1:{admin} shards=2 \
         driver={} store=embedded",
        driver()
    );
    assert_eq!(ready.line, expected);
    assert!(ws != 0 && admin != 0 && ws != admin);
}

#[test]
fn is_all_that_stdout_ever_gets() {
    let gateway = Gateway::start();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    ann.ping();
    assert_eq!(gateway.stdout(), format!("{}\n", gateway.ready().line));
}

#[test]
fn comes_when_clients_are_served() {
    let gateway = Gateway::start();
    assert_eq!(http::get(gateway.ready().client_address(), "/readyz").status, 200);
    assert_eq!(http::get(gateway.ready().admin_address(), "/metrics").status, 200);
}

#[test]
fn development_mode_is_announced_in_the_log() {
    let gateway = Gateway::start();
    assert!(gateway.log().contains("development"), "{}", gateway.log());
}
