//! When the disk takes no more, the store says so once and for all, and nothing acknowledged is
//! lost.
//!
//! The writer is this test executable, started again as its own child with a limit on the size of
//! files, which makes the engine's journal fail as a full disk does.

mod fixture;

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use fixture::{append, conv, open, row, write};
use throng_store::{Append, AppendOutcome, FenceOutcome, Range, Row, Store, StoreError};

const DIR: &str = "THRONG_STORE_WRITE_FAILURE_DIR";
const ACKED: &str = "acked";

/// Writes until the store fails, leaves the number of acknowledged rows in a file outside the
/// store, and exits as a program that uses the store must.
#[test]
#[ignore = "runs as the child of the other test, under a limit on the size of files"]
fn writer() {
    let dir = std::env::var_os(DIR).expect("started by another test");
    let dir = Path::new(&dir);
    let store = open(&dir.join("data"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut acked = 0;
    let large = |seq| Row { body: Bytes::from(vec![7; 16_384]), ..row(seq, store.epoch()) };
    loop {
        let rows = vec![large(acked + 1)];
        match write(&store, Append { rows, ..append(1, 1..=1, store.epoch()) }) {
            AppendOutcome::Ok => acked += 1,
            outcome => break assert_eq!(outcome, AppendOutcome::Unknown),
        }
    }
    let failure = runtime.block_on(store.failed());
    assert!(matches!(failure, StoreError::Fatal(_)));
    assert_eq!(runtime.block_on(store.fence()), FenceOutcome::Fenced);
    assert!(matches!(runtime.block_on(store.tail(conv(1), 1.into())), Err(StoreError::Fatal(_))));
    assert!(matches!(runtime.block_on(store.project(Vec::new())), Err(StoreError::Fatal(_))));
    assert!(matches!(runtime.block_on(store.close()), Err(StoreError::Fatal(_))));
    std::fs::write(dir.join(ACKED), acked.to_string()).unwrap();
    std::process::exit(74);
}

#[tokio::test]
async fn a_full_disk_ends_the_process_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir.path().join("data")));
    // 4 MiB, in blocks of 512 bytes; the signal of the limit is ignored, so that writes fail.
    let limited = "trap '' XFSZ; ulimit -f 8192; exec \"$0\" --exact writer --ignored";
    let status = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(DIR, dir.path())
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(74), "{status:?}");
    let acked: u64 = std::fs::read_to_string(dir.path().join(ACKED)).unwrap().parse().unwrap();
    assert!(acked > 100, "{acked}");
    let store = open(&dir.path().join("data"));
    // In pages, as they are bounded by bytes, too.
    let mut last = 0;
    loop {
        let rows = store.range(conv(1), Range::After(last), 1_000.into()).await.unwrap();
        let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
        assert_eq!(seqs, (last + 1..).take(rows.len()).collect::<Vec<_>>());
        match seqs.last() {
            Some(seq) => last = *seq,
            None => break,
        }
    }
    assert!(last >= acked);
    let next = last + 1;
    assert_eq!(write(&store, append(1, next..=next, store.epoch())), AppendOutcome::Ok);
}
