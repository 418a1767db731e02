//! A worker's end: dials the coordinator, takes a job, reports its samples.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::message::Link;
use super::{CoordinateError, Finish, Message, read_message};
use crate::generator::Sample;
use crate::generator::sample::nanoseconds;
use crate::host::Host;

/// How long a worker tries to reach a coordinator that may not be up yet.
const DIAL_DEADLINE: Duration = Duration::from_secs(60);

/// Pause between two tries.
const DIAL_PAUSE: Duration = Duration::from_millis(500);

/// A job that was given to this worker.
#[derive(Debug)]
pub struct Assignment {
    /// The command line: subcommand and options.
    pub arguments: Vec<String>,
    /// This worker's number.
    pub worker: u32,
    /// How many there are.
    pub workers: u32,
    link: Link,
    /// The zero of this worker's clock.
    epoch: Instant,
}

/// The start of the run.
#[derive(Debug)]
pub struct Start {
    /// The common moment.
    pub at: Instant,
    /// Number of this worker's first shard in the run.
    pub first_shard: u32,
    /// Shards of the run.
    pub shards: u32,
    /// Takes the samples.
    pub reporter: Reporter,
}

/// Sends what this worker saw.
#[derive(Debug)]
pub struct Reporter {
    link: Link,
    stop: Arc<AtomicBool>,
}

/// Dials the coordinator (host:port), for up to a minute, and waits for a job.
///
/// # Errors
/// It cannot be reached, or it says something else.
pub fn join(address: &str) -> Result<Assignment, CoordinateError> {
    let stream =
        dial(address).map_err(|source| CoordinateError::Io { peer: address.to_owned(), source })?;
    let (mut link, epoch) = (Link { stream, peer: address.to_owned() }, Instant::now());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    link.say(&Message::Hello { version, host: Box::new(Host::read()) })?;
    loop {
        match link.hear()? {
            Message::Probe => {
                let clock_ns = nanoseconds(epoch.elapsed());
                link.say(&Message::Echo { clock_ns })?;
            }
            Message::Job { arguments, worker, workers } => {
                return Ok(Assignment { arguments, worker, workers, link, epoch });
            }
            Message::Refused { why } => {
                return Err(CoordinateError::Refused { peer: link.peer, why });
            }
            other => return Err(link.out_of_turn(&other)),
        }
    }
}

fn dial(address: &str) -> io::Result<TcpStream> {
    let deadline = Instant::now() + DIAL_DEADLINE;
    loop {
        let tried = address.to_socket_addrs()?.next().map(TcpStream::connect);
        match tried.unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into())) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(DIAL_PAUSE),
        }
    }
}

impl Assignment {
    /// Says that this worker will run so many shards, and waits for the start.
    ///
    /// # Errors
    /// The coordinator is gone, or gives the run up.
    pub fn ready(mut self, shards: u32) -> Result<Start, CoordinateError> {
        self.link.say(&Message::Ready { shards })?;
        match self.link.hear()? {
            Message::Start { at_clock_ns, first_shard, shards } => {
                let at = self.epoch + Duration::from_nanos(at_clock_ns);
                let reporter = Reporter::new(self.link)?;
                Ok(Start { at, first_shard, shards, reporter })
            }
            Message::Stop => {
                let why = "the coordinator gave the run up before its start".to_owned();
                Err(CoordinateError::Refused { peer: self.link.peer, why })
            }
            other => Err(self.link.out_of_turn(&other)),
        }
    }

    /// Says that this worker cannot, and why.
    ///
    /// # Errors
    /// The coordinator is gone.
    pub fn refuse(mut self, why: String) -> Result<(), CoordinateError> {
        self.link.say(&Message::Refused { why })
    }
}

impl Reporter {
    fn new(link: Link) -> Result<Self, CoordinateError> {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, reading) = (Arc::clone(&stop), link.stream.try_clone());
        let mut reading = reading.map_err(|source| link.broken(source))?;
        // Ends with the connection: anything but another message, its loss included, means stop.
        std::thread::spawn(move || {
            let _ = read_message(&mut reading);
            flag.store(true, Ordering::Relaxed);
        });
        Ok(Self { link, stop })
    }

    /// Becomes true when the coordinator wants the run to end early, or is gone.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Reports one interval of one shard.
    ///
    /// # Errors
    /// The coordinator is gone.
    pub fn sample(&mut self, sample: Sample) -> Result<(), CoordinateError> {
        self.link.say(&Message::Sample(Box::new(sample)))
    }

    /// Reports the end.
    ///
    /// # Errors
    /// The coordinator is gone.
    pub fn done(mut self, finish: Finish) -> Result<(), CoordinateError> {
        self.link.say(&Message::Done { finish: Box::new(finish) })
    }
}

impl Drop for Reporter {
    /// The thread that waits for a word to stop holds the connection, too: ended, not just let go.
    fn drop(&mut self) {
        let _ = self.link.stream.shutdown(Shutdown::Both); // a coordinator that is gone knows
    }
}
