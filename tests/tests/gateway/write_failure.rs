//! I1 over a disk that takes no more: the process stops at the first write that fails, says so, and
//! what it acknowledged is there when it runs again.

use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;
use throng_tests::client::Client;
use throng_tests::gateway::{Gateway, run_to_end_with_small_files};

/// More than the log on stderr takes, and less than the journal.
const FILE_BYTES_MAX: u64 = 64 * 1024;
const TEXT_BYTES: usize = 3_000;
/// Far below what a request or a drain may take: nothing is waited for.
const END_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_failed_write_ends_the_process_with_74_and_loses_nothing_acknowledged() {
    let mut gateway = Gateway::start_for_failing_writes();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let conv = ann.create_group("tea", &["bob"]);
    gateway.limit_files(FILE_BYTES_MAX);
    let text = "x".repeat(TEXT_BYTES);
    let mut acknowledged = 0;
    let asked = loop {
        let asked = Instant::now();
        let id = ann.request("send", &json!({"conv": conv, "text": text}));
        match ann.answer(id) {
            Ok(answer) if answer["ack"].is_object() => {
                acknowledged = answer["ack"]["seq"].as_u64().unwrap();
            }
            _ => break asked,
        }
        assert!(acknowledged < 100, "the limit is reached");
    };
    assert_eq!(gateway.wait().code(), Some(74), "{}", gateway.log());
    assert!(asked.elapsed() < END_MAX, "{:?} from the write to the end", asked.elapsed());
    let log = gateway.log();
    // Shards still say that their links are lost while the process ends.
    let said = log.lines().find(|line| line.starts_with("throng-edge: ")).unwrap();
    let data = gateway.dir().join("data");
    for part in [data.to_str().unwrap(), "File too large", "ulimit -f", "start again"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(acknowledged > 1, "it worked before");
    gateway.restart();
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let mut found = 0;
    while found < acknowledged {
        let page = ann.sync(&conv, found);
        let events = page["events"].as_array().unwrap();
        assert!(!events.is_empty(), "{found} of {acknowledged} in {page}");
        for event in events {
            found += 1;
            assert_eq!(event["seq"], found, "{event}");
            assert!(found == 1 || event["message"]["text"] == text, "{event}");
        }
    }
}

#[test]
fn where_nothing_can_be_written_it_does_not_get_ready() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let arguments = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data];
    let ended = run_to_end_with_small_files(2_048, &arguments);
    assert_eq!(ended.code, Some(74), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "nothing is ready");
    for part in [data, "File too large", "ulimit -f"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
