//! How many appends a second the committer makes durable, by how many are under way at once.
//!
//! `cargo run --release -p throng-store --example commit -- [DIR] [SECONDS]` writes to a new
//! directory below DIR (default: the current one), for SECONDS (default 3) per line, and removes
//! it. Each of N senders has one append of one row with a 256-byte body under way, in a
//! conversation of its own, as a conversation's owner would. Rates depend on how long the disk
//! takes for `fdatasync`: compare runs on one machine only.
#![allow(clippy::print_stdout)] // its output is what it is for

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use throng_store::embedded::{Config, Durability, Embedded, Histogram};
use throng_store::{Append, AppendOutcome, ConvId, Epoch, Outcomes, Row, Seq, Store, Tag, UserId};

const BODY_BYTES: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let parent = args.next().unwrap_or_else(|| ".".into());
    let seconds = args.next().map_or(Ok(3), |text| text.parse())?;
    println!("senders  durability  appends/s  appends/commit  commit p50/p99/max us (bounds)");
    for durability in [Durability::Sync, Durability::Os] {
        for senders in [1, 16, 128, 1_024] {
            let dir = tempfile::tempdir_in(&parent)?;
            let config = Config { durability, ..Config::new(dir.path()) };
            measure(&Embedded::open(config)?, senders, durability, Duration::from_secs(seconds))?;
        }
    }
    Ok(())
}

fn measure(
    store: &Embedded,
    senders: u64,
    durability: Durability,
    time: Duration,
) -> Result<(), Box<dyn Error>> {
    let (sender, receiver) = mpsc::channel::<Vec<(Tag, AppendOutcome)>>();
    let outcomes = Outcomes::new(move |batch| drop(sender.send(batch)));
    let mut seqs = vec![0; usize::try_from(senders)?];
    let append = |index: u64, seqs: &mut [Seq]| {
        let seq = &mut seqs[index as usize];
        *seq += 1;
        store.append(one_row(index, *seq, store.epoch()), index, &outcomes).is_ok()
    };
    let started = Instant::now();
    let mut under_way = (0..senders).filter(|index| append(*index, &mut seqs)).count();
    while under_way > 0 {
        for (index, outcome) in receiver.recv()? {
            assert_eq!(outcome, AppendOutcome::Ok);
            if started.elapsed() > time || !append(index, &mut seqs) {
                under_way -= 1;
            }
        }
    }
    let appends: Seq = seqs.iter().sum();
    let rate = appends as f64 / started.elapsed().as_secs_f64();
    let stats = store.stats();
    let batch = appends as f64 / stats.commit_appends.count() as f64;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&stats.commit_us, share));
    let name = if durability == Durability::Sync { "sync" } else { "os" };
    println!("{senders:>7}  {name:>10}  {rate:>9.0}  {batch:>14.1}  {p50}/{p99}/{max}");
    Ok(())
}

/// The bound of the bucket in which the share of all values ends.
fn quantile(histogram: &Histogram, share: f64) -> u64 {
    let rank = (histogram.count() as f64 * share).ceil() as u64;
    let mut seen = 0;
    let bucket = histogram.buckets.iter().position(|count| {
        seen += count;
        seen >= rank
    });
    bucket.and_then(Histogram::bound).unwrap_or(u64::MAX)
}

fn one_row(index: u64, seq: Seq, epoch: Epoch) -> Append {
    let mut conv = [0; 16];
    conv[..8].copy_from_slice(&index.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let mut body = vec![0; BODY_BYTES];
    let mut random = index ^ seq.rotate_left(32) | 1;
    for byte in &mut body {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        *byte = random as u8;
    }
    let row = Row {
        seq,
        epoch,
        acked: seq - 1,
        base: 1,
        n: seq,
        created_at_ms: 1_800_000_000_000 + seq,
        sender: UserId([1; 16]),
        client_msg_id: [2; 16],
        digest: [3; 8],
        kind: 1,
        flags: 0,
        ref_seq: 0,
        body: Bytes::from(body),
    };
    Append { conv: ConvId(conv), epoch, rows: vec![row], dirty: None }
}
