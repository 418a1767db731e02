//! The threads of the router, the store and the admin port go before the shards, where the host
//! allows it: many shards on few cores would keep answers from everybody.

use std::fs;
use std::process::Command;

use throng_tests::gateway::Gateway;

/// Name and niceness of each thread of a process (proc_pid_stat(5), fields 2 and 19).
fn threads(pid: u32) -> Vec<(String, i32)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat")).unwrap();
    tasks
        .map(|task| {
            let stat = stat(task.unwrap());
            let (before, after) = stat.rsplit_once(')').unwrap();
            let name = before.split_once('(').unwrap().1.to_owned();
            (name, after.split_whitespace().nth(16).unwrap().parse().unwrap())
        })
        .collect()
}

/// Whether this user may raise the priority of a thread: nice(1) says when it may not.
fn may_go_first() -> bool {
    Command::new("nice").args(["-n", "-10", "true"]).output().unwrap().stderr.is_empty()
}

#[test]
fn side_threads_go_before_shards_where_the_host_allows_it() {
    let gateway = Gateway::start_with(&["--shards", "4"]);
    let threads = threads(gateway.pid());
    let side_nice = if may_go_first() { -10 } else { 0 };
    let niceness = |name: &str| -> Vec<i32> {
        threads.iter().filter(|thread| thread.0.starts_with(name)).map(|thread| thread.1).collect()
    };
    let (side, shards) = (niceness("side"), niceness("shard"));
    assert!(!side.is_empty() && side.iter().all(|nice| *nice == side_nice), "{threads:?}");
    assert!(shards.len() == 4 && shards.iter().all(|nice| *nice == 0), "{threads:?}");
}
