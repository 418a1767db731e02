//! A gateway as a child process: started on free ports, known by its ready line, always stopped.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server under measurement.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it takes WebSocket connections.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command` and reads its ready line from stdout: the first `host:port` after `ws://`.
    ///
    /// `core` pins the process to one processor.
    ///
    /// # Errors
    /// It cannot be started, or ends before it is ready; its stderr says why.
    pub fn start(program: &Path, arguments: &[&str], core: Option<usize>) -> io::Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.arg("-c").arg(core.to_string()).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut child =
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        match ready_address(&mut child) {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                let program = program.display();
                Err(io::Error::new(error.kind(), format!("{program} did not get ready: {error}")))
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ready_address(child: &mut Child) -> io::Result<SocketAddr> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    parse_ready(&line)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("it said {line:?}")))
}

fn parse_ready(line: &str) -> Option<SocketAddr> {
    let rest = line.split_once("ws://")?.1;
    rest.split(['/', ' ', '\n']).next()?.parse().ok()
}

/// A program built beside this one.
///
/// # Errors
/// It is not there: says how to build it.
pub fn beside(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    let path = path.display();
    let message = format!("{path} is missing; build it: cargo build --release --workspace --bins");
    Err(io::Error::new(io::ErrorKind::NotFound, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address() {
        let line = "ready ws=ws://127.0.0.1:7400/v1/ws admin=http://127.0.0.1:7401 shards=2\n";
        assert_eq!(parse_ready(line), Some("127.0.0.1:7400".parse().unwrap()));
    }

    #[test]
    fn another_line_names_none() {
        assert_eq!(parse_ready("error: address in use\n"), None);
        assert_eq!(parse_ready(""), None);
    }
}
