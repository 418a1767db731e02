//! Memory and processor time of a process and of the kernel, from /proc.

use std::fs;
use std::io;
use std::path::Path;

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

/// The kernel's slab in use, reclaimable or not, in bytes, from object counts.
///
/// `MemInfo`'s `Slab` counts whole pages, half-empty ones included; the active objects are what
/// connections cost. Needs root.
///
/// # Errors
/// /proc/slabinfo is not readable (needs root) or not understood.
pub fn slab_bytes() -> io::Result<u64> {
    slab_bytes_in(&fs::read_to_string("/proc/slabinfo")?)
}

fn slab_bytes_in(slabinfo: &str) -> io::Result<u64> {
    let rows = slabinfo.lines().filter(|line| !line.starts_with('#') && !line.starts_with("slab"));
    rows.map(|row| {
        let mut fields = row.split_ascii_whitespace().skip(1);
        let active: u64 = fields.next()?.parse().ok()?;
        let object_bytes: u64 = fields.nth(1)?.parse().ok()?;
        Some(active * object_bytes)
    })
    .sum::<Option<u64>>()
    .ok_or_else(|| malformed("slabinfo"))
}

/// Memory that the kernel has given to sockets as whole pages, in bytes (`tcp_mem` pages).
///
/// # Errors
/// /proc/net/sockstat is not readable.
pub fn socket_page_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let line = text.lines().find(|line| line.starts_with("TCP:"));
    let pages = line.and_then(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    pages.map(|pages| pages * 4096).ok_or_else(|| malformed("sockstat"))
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

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not as expected in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slab_is_active_objects_times_their_size() {
        let text = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> ...\n\
                    TCP 10 14 2368 13 8 : tunables 0 0 0\nfilp 100 120 192 21 1 : tunables\n";
        assert_eq!(slab_bytes_in(text).unwrap(), 10 * 2368 + 100 * 192);
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error() {
        assert!(slab_bytes_in("TCP ten 14 2368\n").is_err());
    }

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
