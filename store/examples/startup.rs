//! How long a store with many messages takes to open, and how much disk a message takes.
//!
//! `cargo run --release -p throng-store --example startup -- [DIR] [MESSAGES] [CONVERSATIONS]`
//! fills a new directory below DIR (default: the current one) with MESSAGES (default 1,000,000) of
//! 256 bytes in CONVERSATIONS (default 10,000) of two members each, with their projections, then
//! opens it again after a stop without and with a graceful close, and reads tails. It removes the
//! directory at the end. The files are in the page cache, as after a restart of the process.
#![allow(clippy::print_stdout)] // its output is what it is for

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Instant;

use bytes::Bytes;
use throng_store::embedded::{Config, Durability, Embedded};
use throng_store::{
    Append, ConvId, DirtyWindow, Outcomes, Projection, Range, Row, Seq, Store, UserId,
};

const BODY_BYTES: usize = 256;
const ROWS: u64 = 16;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    if args.next_back().as_deref() == Some("--fill-and-abort") {
        let numbers = args.next().zip(args.next()).zip(args.next());
        let ((dir, messages), conversations) = numbers.ok_or("arguments are missing")?;
        fill(Path::new(&dir), messages.parse()?, conversations.parse()?)?;
        std::process::abort();
    }
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| ".".into());
    let messages = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let conversations = args.next().map_or(Ok(10_000), |text| text.parse())?;
    let dir = tempfile::tempdir_in(parent)?;

    let filled = Instant::now();
    Command::new(std::env::current_exe()?)
        .arg(dir.path())
        .args([messages.to_string(), conversations.to_string()])
        .arg("--fill-and-abort")
        .status()?;
    println!("filled with {messages} messages in {:.1} s, aborted", filled.elapsed().as_secs_f64());
    for how in ["after the abort", "after a close", "after a close, again"] {
        open_and_read(dir.path(), how, messages, conversations)?;
    }
    Ok(())
}

fn open_and_read(dir: &Path, how: &str, messages: u64, conversations: u64) -> Result<()> {
    let started = Instant::now();
    let store = Embedded::open(Config::new(dir))?;
    let opened = started.elapsed();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let windows = runtime.block_on(store.open_windows_all(None, 1_024))?.len();
    let ready = started.elapsed();
    println!(
        "{how}: open {:.1} ms, with the open windows ({windows}) {:.1} ms, {:.0} B of disk a message",
        opened.as_secs_f64() * 1e3,
        ready.as_secs_f64() * 1e3,
        store.disk_bytes()? as f64 / messages as f64,
    );
    let per_conversation = messages / conversations;
    let reads = 2_000.min(conversations);
    for (name, expected) in [("tail of 50", 50), ("50 ascending", 50), ("conv", 1), ("own row", 1)]
    {
        let started = Instant::now();
        for read in 0..reads {
            let conv = conv_id(read * 7 % conversations);
            let after = Range::After(per_conversation.saturating_sub(60));
            let rows = runtime.block_on(async {
                Ok::<_, throng_store::StoreError>(match name {
                    "tail of 50" => store.tail(conv, 50.into()).await?.len(),
                    "50 ascending" => store.range(conv, after, 50.into()).await?.len(),
                    "conv" => usize::from(store.conv(conv).await?.is_some()),
                    _ => usize::from(store.user_conv(user_id(conv, 0), conv).await?.is_some()),
                })
            })?;
            assert_eq!(rows, expected.min(per_conversation as usize), "{name}");
        }
        let each = started.elapsed().as_secs_f64() * 1e6 / reads as f64;
        println!("    {name}: {each:.1} us each, one after the other");
    }
    runtime.block_on(store.close())?;
    Ok(())
}

fn fill(dir: &Path, messages: u64, conversations: u64) -> Result<()> {
    let config = Config { durability: Durability::Os, ..Config::new(dir) };
    let store = Embedded::open(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (sender, receiver) = mpsc::channel();
    let outcomes = Outcomes::new(move |batch| drop(sender.send(batch)));
    for conversation in 0..conversations {
        runtime.block_on(store.project(listed(conv_id(conversation))))?;
    }
    for first in (1..=messages / conversations).step_by(ROWS as usize) {
        for chunk in (0..conversations).collect::<Vec<_>>().chunks(1_000) {
            let last = (first + ROWS - 1).min(messages / conversations);
            for conversation in chunk {
                let append = rows(conv_id(*conversation), first..=last, store.epoch());
                store.append(append, *conversation, &outcomes).map_err(|_| "busy")?;
            }
            let mut waiting = chunk.len();
            while waiting > 0 {
                waiting -= receiver.recv()?.len();
            }
            let touches = chunk.iter().map(|conversation| touch(conv_id(*conversation), last));
            runtime.block_on(store.project(touches.collect()))?;
        }
    }
    Ok(())
}

fn conv_id(index: u64) -> ConvId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ConvId(id)
}

fn user_id(conv: ConvId, which: u8) -> UserId {
    let mut id = conv.0;
    id.rotate_left(4);
    id[15] = which;
    UserId(id)
}

fn listed(conv: ConvId) -> Vec<Projection> {
    let of = |which| Projection::Listed {
        user: user_id(conv, which),
        conv,
        direct: true,
        peer: "somebody".into(),
        joined_seq: 1,
        left_seq: 0,
        joined_n: 0,
        big: false,
        created: false,
        at: 1,
    };
    let row = throng_store::ConvRow {
        conv,
        direct: true,
        name: String::new(),
        history_all: false,
        applied_seq: 1,
        applied_n: 0,
        member_count: 2,
    };
    vec![of(0), of(1), Projection::Conv(row)]
}

fn touch(conv: ConvId, head: Seq) -> Projection {
    let users = [user_id(conv, 0), user_id(conv, 1)].into();
    let head_at_ms = 1_800_000_000_000 + head;
    Projection::Touch { users, conv, head_seq: head, head_n: head, head_at_ms }
}

fn rows(conv: ConvId, seqs: std::ops::RangeInclusive<Seq>, epoch: u32) -> Append {
    let rows = seqs.map(|seq| Row {
        seq,
        epoch,
        acked: seq - 1,
        base: 1,
        n: seq,
        created_at_ms: 1_800_000_000_000 + seq,
        sender: user_id(conv, (seq % 2) as u8),
        client_msg_id: random_bytes(seq ^ 0xabcd),
        digest: random_bytes(seq),
        kind: 1,
        flags: 0,
        ref_seq: 0,
        body: text(seq.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ u64::from(conv.0[3])),
    });
    let partition = u16::from_be_bytes([conv.0[0], conv.0[1]]) >> 2;
    let dirty = Some(DirtyWindow { partition, epoch, window: 1 });
    Append { conv, epoch, rows: rows.collect(), dirty }
}

/// Words of a vocabulary of 1,024 of which some are used more often than others, as in a language.
fn text(seed: u64) -> Bytes {
    let choices = random_bytes::<{ 2 * BODY_BYTES }>(seed);
    let mut body = Vec::with_capacity(BODY_BYTES + 16);
    for choice in choices.chunks(4) {
        let word =
            u16::from_le_bytes([choice[0], choice[1] & 3]) & u16::from_le_bytes([choice[2], !0]);
        let letters = random_bytes::<12>(u64::from(word).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let length = 3 + usize::from(letters[0] % 7);
        body.extend(letters[4..].iter().take(length).map(|letter| b'a' + letter % 26));
        body.push(b' ');
    }
    body.truncate(BODY_BYTES);
    Bytes::from(body)
}

fn random_bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut random = seed | 1;
    std::array::from_fn(|_| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as u8
    })
}
