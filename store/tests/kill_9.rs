//! A process killed at any moment leaves every acknowledged row, seqs without a gap, and the names
//! of the conversations it wrote to.
//!
//! The writer is this test executable, started again as its own child. It says what was
//! acknowledged on its standard output, one line per append, after the outcome came.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fixture::{PATIENCE, conv, outcomes, row, window};
use throng_store::embedded::{Config, Durability, Embedded};
use throng_store::{
    Append, AppendOutcome, ConvId, Epoch, Projection, Range, Row, Seq, Store, StoreError,
};
use tokio::runtime::{Builder, Runtime};

const CONVERSATIONS: u64 = 24;
const DIR: &str = "THRONG_STORE_KILL_9_DIR";
const SYNC: &str = "THRONG_STORE_KILL_9_SYNC";

fn config(dir: &Path, sync: bool) -> Config {
    let durability = if sync { Durability::Sync } else { Durability::Os };
    Config { durability, ..Config::new(dir) }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

/// A row whose content follows from its key. Every third is large, so that tables are written out.
fn content(conv: u64, seq: Seq, epoch: Epoch) -> Row {
    let length = if seq.is_multiple_of(3) { 16_384 } else { 64 };
    let byte = (conv ^ seq ^ u64::from(epoch)) as u8;
    Row { body: Bytes::from(vec![byte; length]), ..row(seq, epoch) }
}

fn all_rows(store: &Embedded, conv: ConvId) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = Range::After(rows.last().map_or(0, |row| row.seq));
        let page = runtime().block_on(store.range(conv, after, 500.into())).unwrap();
        if page.is_empty() {
            return rows;
        }
        rows.extend(page);
    }
}

/// The child: goes on at each conversation's head, one append of 1 to 3 rows under way in each.
#[test]
#[ignore = "runs as the child of the other tests, until it is killed"]
fn writer() {
    let dir = std::env::var_os(DIR).expect("started by another test");
    let store = Embedded::open(config(dir.as_ref(), std::env::var_os(SYNC).is_some())).unwrap();
    let (queue, receiver) = outcomes();
    let mut heads: Vec<Seq> = (0..CONVERSATIONS)
        .map(|index| {
            let tail = runtime().block_on(store.tail(conv(index), 1.into())).unwrap();
            tail.first().map_or(0, |row| row.seq)
        })
        .collect();
    let send = |index: u64, head: Seq| {
        let last = head + 1 + (head + index) % 3;
        let epoch = store.epoch();
        let rows = (head + 1..=last).map(|seq| content(index, seq, epoch)).collect();
        let dirty = Some(window(index as u16, epoch, (head / 64) as u32));
        store.append(Append { conv: conv(index), epoch, rows, dirty }, index, &queue).unwrap();
        last
    };
    for index in 0..CONVERSATIONS {
        heads[index as usize] = send(index, heads[index as usize]);
    }
    let runtime = runtime();
    while let Ok(batch) = receiver.recv_timeout(PATIENCE) {
        let mut lines = String::new();
        let mut marks = Vec::new();
        for (index, outcome) in batch {
            assert_eq!(outcome, AppendOutcome::Ok);
            let head = &mut heads[index as usize];
            lines += &format!("acked {index} {head} {}\n", store.epoch());
            let (user, conv, seq) = (fixture::user(index), conv(index), *head);
            marks.push(Projection::Mark { user, conv, delivered_seq: seq, read_seq: 0, read_n: 0 });
            *head = send(index, *head);
        }
        // Not `print!`, which the test harness would keep to itself.
        std::io::stdout().write_all(lines.as_bytes()).unwrap();
        runtime.block_on(store.project(marks)).unwrap();
    }
}

/// Kills and reaps the child, also when the test fails.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Writer {
    fn start(dir: &Path, sync: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "writer", "--ignored", "--test-threads", "1"]).env(DIR, dir);
        if sync {
            command.env(SYNC, "1");
        }
        Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Reads acknowledgements, kills the child `after` the first, and reads the rest. Gives the
    /// newest acknowledged (seq, epoch) of each conversation.
    fn kill_after(mut self, after: Duration) -> BTreeMap<u64, (Seq, Epoch)> {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        let mut acked = BTreeMap::new();
        let mut kill_at = None;
        for line in output.lines().map_while(Result::ok) {
            let Some(fields) = line.strip_prefix("acked ") else { continue };
            let mut fields = fields.split(' ').map(|field| field.parse::<u64>().unwrap());
            let mut next = || fields.next().unwrap();
            acked.insert(next(), (next(), next() as Epoch));
            if Instant::now() >= *kill_at.get_or_insert_with(|| Instant::now() + after) {
                self.0.kill().unwrap();
            }
        }
        acked
    }
}

/// Checks everything that a killed writer promised.
fn check(store: &Embedded, acked: &BTreeMap<u64, (Seq, Epoch)>) {
    let mut dirty = BTreeSet::new();
    loop {
        let windows = store.open_windows_all(dirty.last().copied(), 100);
        let page = runtime().block_on(windows).unwrap();
        if page.is_empty() {
            break;
        }
        dirty.extend(page);
    }
    for index in 0..CONVERSATIONS {
        let rows = all_rows(store, conv(index));
        for (row, seq) in rows.iter().zip(1..) {
            assert_eq!(row, &content(index, seq, row.epoch), "conversation {index}");
        }
        let head = rows.len() as Seq;
        if let Some((seq, epoch)) = acked.get(&index) {
            assert!(head >= *seq, "conversation {index}: {head} rows, {seq} were acknowledged");
            assert_eq!(rows[*seq as usize - 1].epoch, *epoch, "conversation {index}");
        }
        let named = |row: &Row| {
            dirty.iter().any(|(it, named)| it.epoch == row.epoch && *named == conv(index))
        };
        assert!(rows.iter().all(named), "conversation {index} is not in the windows of its epochs");
    }
}

fn kill_and_check(sync: bool, rounds: u64) -> Result<(), StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let mut identities = BTreeSet::new();
    let mut promised = BTreeMap::new();
    for round in 0..rounds {
        // From at once to a third of a second, spread over the rounds.
        let after = Duration::from_millis(round * 7_919 % 331);
        let acked = Writer::start(dir.path(), sync).kill_after(after);
        assert!(!acked.is_empty(), "round {round}: nothing was written");
        promised.extend(acked);
        let store = Embedded::open(config(dir.path(), sync)).unwrap();
        check(&store, &promised);
        identities.insert(store.log_id());
        runtime().block_on(store.close())?;
    }
    // A writer that synced keeps the log's identity over a kill; one that did not cannot know.
    assert_eq!(identities.len() as u64, if sync { 1 } else { rounds });
    Ok(())
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    kill_and_check(true, 10).unwrap();
}

#[test]
fn what_a_killed_process_gave_to_the_operating_system_is_there() {
    kill_and_check(false, 5).unwrap();
}

/// Kills before the first acknowledgement: while the store is created, opened or read.
#[test]
fn a_process_killed_while_it_opens_leaves_a_store_that_opens() {
    let dir = tempfile::tempdir().unwrap();
    let mut epoch = 0;
    for round in 0..12 {
        let writer = Writer::start(dir.path(), true);
        thread::sleep(Duration::from_millis(round * 3));
        drop(writer);
        let store = Embedded::open(config(dir.path(), true)).unwrap();
        assert!(store.epoch() > epoch);
        epoch = store.epoch();
        check(&store, &BTreeMap::new());
    }
}
