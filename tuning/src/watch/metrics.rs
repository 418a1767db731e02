//! The gateway's own counters, over its admin port.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::limits::METRICS_BYTES_MAX;

/// For the connection, and for each read and write.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The metrics at `http://HOST:PORT`, as text.
///
/// # Errors
/// Nobody answers there, or something else than metrics.
pub fn fetch(url: &str) -> io::Result<String> {
    let wrong = |text: &str| io::Error::new(io::ErrorKind::InvalidInput, text.to_owned());
    let authority = url.strip_prefix("http://").ok_or_else(|| wrong("not an http:// address"))?;
    let authority = authority.split('/').next().unwrap_or_default();
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| wrong("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // Version 1.0: the answer ends with the connection.
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {authority}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| wrong("no HTTP answer"))?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { Err(wrong(&format!("status {status}"))) }
}

/// A counter's value, summed over its labels; `None` if it is not there.
pub(super) fn sum(metrics: &str, name: &str) -> Option<u64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest,
        };
        rest.strip_prefix(' ')?.trim().parse::<u64>().ok()
    };
    metrics.lines().filter_map(value).fold(None, |sum, value| Some(sum.unwrap_or(0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_summed_and_longer_names_are_others() {
        let text =
            "# TYPE a counter\na_total{shard=\"0\"} 3\na_total{shard=\"1\"} 4\na_total_b 9\n";
        assert_eq!(sum(text, "a_total"), Some(7));
        assert_eq!(sum(text, "a_total_b"), Some(9));
        assert_eq!(sum(text, "a"), None);
    }
}
