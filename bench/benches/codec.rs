//! What one frame costs in the codecs: nanoseconds, instructions, allocations.
//!
//! `cargo bench -p throng-bench --bench codec` prints all three. Nanoseconds are the median of
//! many batches with their spread. Instructions are counted by running a case under valgrind's
//! callgrind with two different numbers of iterations: the difference, divided, has no start-up in
//! it and is the same on every run; without valgrind that column says so. Allocations are counted
//! by the allocator of this program.

use std::alloc::System;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use throng_bench::host::Host;
use throng_bench::spread::Spread;
use throng_wire::ws::{Decoder, Event, Input, MaskKey, Opcode, Role, encode};
use throng_wire::{Json, Protobuf, v1};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BATCHES: usize = 41;
const BATCH_NS: u128 = 2_000_000;
const COUNTED_ITERATIONS: u64 = 2_000;

/// A case: its name, how many frames one iteration handles, and the iteration.
struct Case {
    name: &'static str,
    frames: u64,
    run: Box<dyn FnMut()>,
}

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, name, iterations] = arguments.as_slice()
        && flag == "--iterate"
    {
        return iterate(name, iterations.parse().map_err(io::Error::other)?);
    }
    let mut out = io::stdout();
    writeln!(out, "{}", Host::read().line())?;
    writeln!(
        out,
        "{:<40} {:>22} {:>13} {:>7}",
        "per frame", "ns (spread)", "instructions", "allocs"
    )?;
    for case in cases() {
        report(&mut out, case)?;
    }
    Ok(())
}

fn report(out: &mut impl Write, mut case: Case) -> io::Result<()> {
    let nanoseconds = nanoseconds(&mut case)?;
    let region = Region::new(ALLOCATOR);
    (case.run)();
    let change = region.change();
    let allocations = (change.allocations + change.reallocations) as f64 / case.frames as f64;
    let instructions = match instructions(case.name) {
        Some(count) => format!("{:.0}", count / case.frames as f64),
        None => "no valgrind".to_owned(),
    };
    let spread =
        format!("{:.1} ({:.1}-{:.1})", nanoseconds.median, nanoseconds.low, nanoseconds.high);
    writeln!(out, "{:<40} {spread:>22} {instructions:>13} {allocations:>7.2}", case.name)
}

fn nanoseconds(case: &mut Case) -> io::Result<Spread> {
    let mut iterations = 1_u32;
    let took = |case: &mut Case, iterations: u32| {
        let began = Instant::now();
        (0..iterations).for_each(|_| (case.run)());
        began.elapsed().as_nanos()
    };
    while took(case, iterations) < BATCH_NS {
        iterations *= 2;
    }
    let per_frame = f64::from(iterations) * case.frames as f64;
    let batches: Vec<f64> =
        (0..BATCHES).map(|_| took(case, iterations) as f64 / per_frame).collect();
    Spread::of(&batches).ok_or_else(|| io::Error::other("no batches"))
}

fn iterate(name: &str, iterations: u64) -> io::Result<()> {
    let case = cases().into_iter().find(|case| case.name == name);
    let mut case = case.ok_or_else(|| io::Error::other(format!("no case {name}")))?;
    (0..iterations).for_each(|_| (case.run)());
    Ok(())
}

/// Instructions of one iteration; `None` where valgrind is missing.
fn instructions(name: &str) -> Option<f64> {
    let few = counted(name, COUNTED_ITERATIONS)?;
    let many = counted(name, 2 * COUNTED_ITERATIONS)?;
    Some((many - few) as f64 / COUNTED_ITERATIONS as f64)
}

fn counted(name: &str, iterations: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--iterate", name, &iterations.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, bytes, frames) in [
        ("ws decode 64 B, one frame", 64, 1),
        ("ws decode 64 B, 16 in a receive", 64, 16),
        ("ws decode 512 B, 16 in a receive", 512, 16),
        ("ws decode 16 KiB, one frame", 16 * 1024, 1),
    ] {
        cases.push(decode_case(name, Opcode::Binary, &vec![0x61; bytes], frames));
    }
    let accented = "é".repeat(8 * 1024);
    cases.push(decode_case("ws decode text 16 KiB, ASCII", Opcode::Text, &[0x61; 16 * 1024], 1));
    cases.push(decode_case(
        "ws decode text 16 KiB, accented",
        Opcode::Text,
        accented.as_bytes(),
        1,
    ));
    cases.push(encode_case("ws encode 64 B, server", 64, None));
    cases.push(encode_case("ws encode 64 B, client", 64, Some([1, 2, 3, 4])));
    cases.push(encode_case("ws encode 16 KiB, server", 16 * 1024, None));
    cases.extend(schema_cases());
    cases
}

fn decode_case(name: &'static str, opcode: Opcode, payload: &[u8], frames: u64) -> Case {
    let mut received = Vec::new();
    for _ in 0..frames {
        encode::frame(&mut received, opcode, payload, Some([0x11, 0x22, 0x33, 0x44]));
    }
    let mut decoder = Decoder::new(Role::Server, 64 * 1024);
    let mut lent = received.clone();
    let run = move || {
        lent.copy_from_slice(&received); // decoding unmasks in place
        let mut input = Input::new(&mut lent);
        while let Ok(Some(event)) = decoder.next(&mut input) {
            match black_box(event) {
                Event::Text(text) => drop(black_box(text)),
                Event::Binary(bytes) => drop(black_box(bytes)),
                _ => {}
            }
        }
    };
    Case { name, frames, run: Box::new(run) }
}

fn encode_case(name: &'static str, bytes: usize, mask: Option<MaskKey>) -> Case {
    let payload = vec![0x61; bytes];
    let mut out = Vec::with_capacity(bytes + 16);
    let run = move || {
        out.clear();
        encode::frame(&mut out, Opcode::Binary, black_box(&payload), mask);
        black_box(&out);
    };
    Case { name, frames: 1, run: Box::new(run) }
}

fn send() -> v1::ClientFrame<'static> {
    v1::ClientFrame {
        id: Some(17),
        op: Some(v1::Op::Send(v1::Send {
            conv: "6f1f2a52-3f0c-8a52-9c1e-3d0f5a7b9c11".into(),
            client_msg_id: "01932c07-6f4e-7cc3-98c4-dc0c0c07398f".into(),
            kind: "text".into(),
            content: Some(v1::Content::Text("See you at the station at a quarter to nine?".into())),
            ..v1::Send::default()
        })),
    }
}

fn event() -> v1::ServerFrame<'static> {
    v1::ServerFrame {
        id: None,
        body: Some(v1::Body::Event(v1::Event {
            conv: "6f1f2a52-3f0c-8a52-9c1e-3d0f5a7b9c11".into(),
            seq: 4_711,
            time_ms: 1_764_000_000_000,
            sender: "alice".into(),
            device: "phone".into(),
            client_msg_id: "01932c07-6f4e-7cc3-98c4-dc0c0c07398f".into(),
            what: Some(v1::What::Message(v1::Message {
                kind: "text".into(),
                content: Some(v1::Content::Text(
                    "See you at the station at a quarter to nine?".into(),
                )),
                reply_to: 0,
            })),
        })),
    }
}

fn schema_cases() -> Vec<Case> {
    let send_protobuf = send().encode_to_vec();
    let mut send_json = Vec::new();
    send().write_json(&mut send_json);
    let event_protobuf = event().encode_to_vec();
    let (mut encoded, mut written) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    let (send, event) = (send(), event());
    vec![
        case("send from JSON", move || {
            drop(black_box(v1::ClientFrame::from_json(black_box(&send_json))));
        }),
        case("send from Protobuf", move || {
            drop(black_box(v1::ClientFrame::decode(black_box(&send_protobuf))));
        }),
        case("send to Protobuf (edge to router)", move || {
            encoded.clear();
            black_box(&send).encode(&mut encoded);
        }),
        case("event from Protobuf", move || {
            drop(black_box(v1::ServerFrame::decode(black_box(&event_protobuf))));
        }),
        case("event to JSON", move || {
            written.clear();
            black_box(&event).write_json(&mut written);
        }),
    ]
}

fn case(name: &'static str, run: impl FnMut() + 'static) -> Case {
    Case { name, frames: 1, run: Box::new(run) }
}
