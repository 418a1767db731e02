//! The admin port: what it answers, and that its connections are bounded in number and time.
//!
//! The runtime's clock stands still while there is something to do and leaps to the next deadline
//! when there is not, so that a test sees a deadline at its very moment.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use throng_edge::admin::{Admin, serve};
use throng_edge::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_DEADLINE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// Precision of the runtime's timers.
const TICK: Duration = Duration::from_millis(2);

async fn start() -> (SocketAddr, Arc<Admin>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Arc::new(Admin::new(Vec::new(), Box::new(Vec::new)));
    tokio::spawn(serve(listener, Arc::clone(&admin)));
    (address, admin)
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// What comes back on the connection, to its end.
async fn ask(mut stream: TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream).await
}

async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

async fn status(address: SocketAddr, path: &str) -> u16 {
    let answer = ask(connect(address).await, path).await;
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_is_ready_when_it_was_said_and_alive_all_the_time() {
    let (address, admin) = start().await;
    assert_eq!(status(address, "/readyz").await, 503, "starting");
    assert_eq!(status(address, "/healthz").await, 200);
    admin.set_ready(true);
    assert_eq!(status(address, "/readyz").await, 200);
    admin.set_ready(false);
    assert_eq!(status(address, "/readyz").await, 503, "draining");
    assert_eq!(status(address, "/healthz").await, 200);
}

#[tokio::test]
async fn what_it_does_not_have_is_not_found_and_what_it_does_not_do_not_allowed() {
    let (address, _admin) = start().await;
    for path in ["/", "/metrics/", "/readyz/x", "/v1/ws"] {
        assert_eq!(status(address, path).await, 404, "{path}");
    }
    let mut stream = connect(address).await;
    let request = b"POST /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(read(stream).await.starts_with("HTTP/1.1 405 "));
    let mut stream = connect(address).await;
    stream.write_all(b"nonsense\r\n\r\n").await.unwrap();
    assert!(read(stream).await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(start_paused = true)]
async fn a_request_just_before_the_deadline_is_answered_and_after_it_the_connection_is_gone() {
    let (address, _admin) = start().await;
    let stream = connect(address).await;
    sleep(ADMIN_DEADLINE - TICK).await;
    assert!(ask(stream, "/healthz").await.starts_with("HTTP/1.1 200 "));

    let silent = connect(address).await;
    let began = Instant::now();
    assert_eq!(read(silent).await, "");
    let waited = began.elapsed();
    assert!((ADMIN_DEADLINE - TICK..ADMIN_DEADLINE + TICK).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_trickles_in_does_not_move_the_deadline() {
    let (address, _admin) = start().await;
    let mut stream = connect(address).await;
    let began = Instant::now();
    for byte in b"GET /healthz" {
        // The last of them finds nobody any more.
        let _ = stream.write_all(&[*byte]).await;
        sleep(ADMIN_DEADLINE / 8).await;
        if began.elapsed() > ADMIN_DEADLINE {
            break;
        }
    }
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest).await;
    assert!(end.is_err() || rest.is_empty(), "{rest:?}");
    assert!(began.elapsed() < ADMIN_DEADLINE * 5 / 4 + TICK);
}

#[tokio::test(start_paused = true)]
async fn so_many_connections_are_served_at_once_and_one_more_waits_for_a_place() {
    for (silent, waits) in [(ADMIN_CONNECTIONS_MAX - 1, false), (ADMIN_CONNECTIONS_MAX, true)] {
        let (address, _admin) = start().await;
        let mut held = Vec::new();
        for _ in 0..silent {
            held.push(connect(address).await);
        }
        let began = Instant::now();
        assert_eq!(status(address, "/healthz").await, 200);
        let waited = began.elapsed();
        assert_eq!(waited >= ADMIN_DEADLINE - TICK, waits, "{silent}: {waited:?}");
    }
}
