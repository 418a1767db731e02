//! Memory and processor time of a process, from /proc.

use std::fs;
use std::io;
use std::path::Path;

use super::malformed;

/// Resident memory of a process that is its own (anonymous pages), in bytes.
///
/// File pages (the binary, shared libraries) are left out: they are shared and do not grow with
/// connections.
///
/// # Errors
/// The process is gone, or /proc is not mounted.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib_field(&status, "RssAnon:").map(|kib| kib * 1024).ok_or_else(|| malformed("RssAnon"))
}

/// Processor time of all threads of a process, in seconds, to the scheduler's nanosecond.
///
/// # Errors
/// The process is gone.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let mut nanoseconds = 0_u64;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        nanoseconds += task_nanoseconds(&task?.path()).unwrap_or(0); // a thread may just have ended
    }
    #[expect(clippy::cast_precision_loss, reason = "a measured run is far below 2^53 ns")]
    Ok(nanoseconds as f64 / 1e9)
}

fn task_nanoseconds(task: &Path) -> Option<u64> {
    let text = fs::read_to_string(task.join("schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn kib_field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 0);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(resident_bytes(u32::MAX).is_err());
    }
}
