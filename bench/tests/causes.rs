//! Each way a connection can fail, made to happen over real sockets, has its own name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::real::{Scripted, echo, send, upgrade, wait_for_end};
use throng_bench::generator::run::{RunPlan, RunRecord, run};
use throng_bench::generator::{Arrival, Beat, Cause, Counter, Heartbeat, Metric, Target};
use throng_bench::workload::echo::{Echo, EchoPlan, Window};
use throng_bench::workload::flood::{Flood, FloodPlan, Shares};
use throng_bench::workload::greeting::Greeting;
use throng_wire::ws::Opcode;

/// Clients of each run.
const CLIENTS: u32 = 3;

fn plan(address: SocketAddr) -> RunPlan {
    let target = Target::at(address, "/");
    let mut plan = RunPlan::new(target, CLIENTS, Duration::from_secs(10), Metric::Establish);
    let deadlines = &mut plan.deadlines;
    let short = Duration::from_millis(300);
    (deadlines.connect, deadlines.upgrade, deadlines.hello, deadlines.pong) =
        (short, short, short, short);
    plan.shards = Some(1);
    plan
}

fn flood(plan: &RunPlan, greeting: Greeting) -> RunRecord {
    let flood = FloodPlan {
        arrival: Arrival::Constant { rate: 1000.0 },
        greeting,
        hold: Duration::from_millis(700),
        mean_life: None,
        shares: Shares::default(),
    };
    run(plan, move |info| Flood::new(flood.clone(), info, Instant::now()), &mut |_| {}).unwrap()
}

/// The one cause of all failures, and its detail.
fn cause(record: &RunRecord) -> (Cause, u32) {
    let failures: Vec<_> = record.total.failures().collect();
    let [(cause, detail, count)] = failures[..] else { panic!("{failures:?}") };
    assert_eq!(count, u64::from(CLIENTS));
    assert_eq!(record.total.count(Counter::Started), u64::from(CLIENTS));
    assert!(!record.invalid.iter().any(|reason| reason.contains("books")));
    (cause, detail)
}

/// What becomes of clients of a server that does this, with nothing to say themselves.
fn cause_by(script: impl Fn(TcpStream) + Send + Sync + 'static) -> (Cause, u32) {
    let server = Scripted::start(script);
    cause(&flood(&plan(server.address), Greeting::None))
}

/// The same where clients say hello first.
fn cause_greeting(script: impl Fn(TcpStream) + Send + Sync + 'static) -> (Cause, u32) {
    let server = Scripted::start(script);
    let greeting = Greeting::Throng { prefix: "user-".to_owned(), is_proto: false };
    cause(&flood(&plan(server.address), greeting))
}

/// Ends a connection by RST: over bytes that nobody read.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_port_that_nobody_listens_on_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(cause(&flood(&plan(closed), Greeting::None)), (Cause::Refused, 0));
}

#[test]
fn a_full_accept_queue_answers_nothing() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // A queue of length 0 takes one connection.
    let _taken = TcpStream::connect(address).unwrap();
    assert_eq!(cause(&flood(&plan(address), Greeting::None)), (Cause::ConnectTimeout, 0));
}

#[test]
fn a_source_that_is_not_of_this_host_is_named() {
    let server = Scripted::start(echo);
    let mut plan = plan(server.address);
    plan.target.sources = vec!["192.0.2.7".parse().unwrap()];
    assert_eq!(cause(&flood(&plan, Greeting::None)), (Cause::SourceAddress, 0));
}

#[test]
fn a_reset_instead_of_an_answer_to_the_upgrade() {
    assert_eq!(cause_by(reset), (Cause::ResetInHandshake, 0));
}

#[test]
fn an_end_instead_of_an_answer_to_the_upgrade() {
    let ended = cause_by(|mut stream| {
        let mut request = [0; 64 * 1024];
        let _ = std::io::Read::read(&mut stream, &mut request);
    });
    assert_eq!(ended, (Cause::EndedInHandshake, 0));
}

#[test]
fn no_answer_to_the_upgrade() {
    assert_eq!(cause_by(|mut stream| wait_for_end(&mut stream)), (Cause::UpgradeTimeout, 0));
}

#[test]
fn another_answer_to_the_upgrade_has_its_status() {
    let answering = |answer: &'static str| {
        cause_by(move |mut stream| {
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = stream.write_all(answer.as_bytes());
            wait_for_end(&mut stream);
        })
    };
    let refused = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answering(refused), (Cause::BadUpgrade, 503));
    let wrong = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
    assert_eq!(answering(wrong), (Cause::BadUpgrade, 101));
    assert_eq!(answering("SSH-2.0-nothing\r\n\r\n"), (Cause::BadUpgrade, 0));
}

#[test]
fn an_error_instead_of_a_welcome() {
    let refused = cause_greeting(|mut stream| {
        upgrade(&mut stream);
        send(&mut stream, Opcode::Text, br#"{"id":1,"error":{"code":"unauthenticated"}}"#);
        wait_for_end(&mut stream);
    });
    assert_eq!(refused, (Cause::HelloRefused, 0));
}

#[test]
fn no_answer_to_the_first_message() {
    let silent = cause_greeting(|mut stream| {
        upgrade(&mut stream);
        wait_for_end(&mut stream);
    });
    assert_eq!(silent, (Cause::HelloTimeout, 0));
}

#[test]
fn something_else_than_the_protocol_instead_of_a_welcome() {
    assert_eq!(
        cause_greeting(|mut stream| {
            upgrade(&mut stream);
            send(&mut stream, Opcode::Text, b"hello yourself");
            wait_for_end(&mut stream);
        }),
        (Cause::WrongAnswer, 0)
    );
}

#[test]
fn a_close_frame_has_its_code() {
    let closing = |payload: &'static [u8]| {
        cause_by(move |mut stream| {
            upgrade(&mut stream);
            std::thread::sleep(Duration::from_millis(50));
            send(&mut stream, Opcode::Close, payload);
            wait_for_end(&mut stream);
        })
    };
    assert_eq!(closing(&[0x0f, 0xa1]), (Cause::Closed, 4001));
    assert_eq!(closing(&[]), (Cause::Closed, 1005));
}

#[test]
fn an_established_connection_is_reset_or_ends() {
    let ending = |end: fn(TcpStream)| {
        cause_by(move |mut stream| {
            upgrade(&mut stream);
            std::thread::sleep(Duration::from_millis(50));
            end(stream);
        })
    };
    assert_eq!(ending(reset), (Cause::Reset, 0));
    assert_eq!(ending(drop), (Cause::Ended, 0));
}

#[test]
fn a_close_frame_before_a_reset_is_what_counts() {
    let server = Scripted::start(|mut stream| {
        upgrade(&mut stream);
        std::thread::sleep(Duration::from_millis(50));
        send(&mut stream, Opcode::Close, &4003_u16.to_be_bytes());
        std::thread::sleep(Duration::from_millis(50));
        reset(stream);
    });
    let mut plan = plan(server.address);
    // Established clients send all the time.
    plan.heartbeat = Some(Heartbeat {
        interval: Duration::from_millis(20),
        beat: Beat::Message(Opcode::Text, b"beat".to_vec()),
    });
    assert_eq!(cause(&flood(&plan, Greeting::None)), (Cause::Closed, 4003));
}

#[test]
fn a_heartbeat_that_nobody_answers() {
    let server = Scripted::start(|mut stream| {
        upgrade(&mut stream);
        wait_for_end(&mut stream);
    });
    let mut plan = plan(server.address);
    plan.heartbeat = Some(Heartbeat { interval: Duration::from_millis(100), beat: Beat::Ping });
    assert_eq!(cause(&flood(&plan, Greeting::None)), (Cause::HeartbeatTimeout, 0));
}

#[test]
fn a_server_that_masks_breaks_the_protocol() {
    let broken = cause_by(|mut stream| {
        upgrade(&mut stream);
        let _ = stream.write_all(&[0x82, 0x81, 1, 2, 3, 4, 5]);
        wait_for_end(&mut stream);
    });
    assert_eq!(broken, (Cause::ProtocolError, 0));
}

#[test]
fn an_echo_of_something_else_is_a_wrong_answer() {
    let server = Scripted::start(|mut stream| {
        upgrade(&mut stream);
        let mut message = [0; 1024];
        let _ = std::io::Read::read(&mut stream, &mut message);
        send(&mut stream, Opcode::Binary, b"something else");
        wait_for_end(&mut stream);
    });
    let echo = EchoPlan {
        size_bytes: 64,
        depth: 1,
        rate: None,
        warm_up: Duration::ZERO,
        seconds: Duration::from_secs(1),
    };
    let window = Window::new(&echo, CLIENTS);
    let make = move |info| Echo::new(echo, info, window.clone());
    let record = run(&plan(server.address), make, &mut |_| {}).unwrap();
    assert_eq!(cause(&record), (Cause::WrongAnswer, 0));
}

#[test]
fn a_good_server_fails_nobody() {
    let server = Scripted::start(echo);
    let mut plan = plan(server.address);
    plan.heartbeat = Some(Heartbeat { interval: Duration::from_millis(100), beat: Beat::Ping });
    let record = flood(&plan, Greeting::Message(Opcode::Text, b"hello".to_vec()));
    assert_eq!(record.total.count(Counter::Failed), 0);
    assert_eq!(record.total.count(Counter::Established), u64::from(CLIENTS));
    assert_eq!(record.total.count(Counter::ClosedAsAsked), u64::from(CLIENTS));
    assert!(record.total.count(Counter::HeartbeatsAnswered) > 0);
    assert_eq!(record.total.open, u64::from(CLIENTS), "open until the end of the measured part");
}
