//! A worker's end: dials the coordinator, takes a job, passes on what its shards say.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::message::Link;
use super::{CoordinateError, Finish, Message, read_message};
use crate::generator::run::{News, Part};
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

/// A worker that knows its part, and is to set it up.
#[derive(Debug)]
pub struct Chosen {
    /// Which shards of the run are this worker's.
    pub part: Part,
    link: Link,
    /// The zero of this worker's clock.
    epoch: Instant,
}

/// Tells the coordinator what shards say.
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
    /// Says that this worker can run so many shards, and waits for its part.
    ///
    /// # Errors
    /// The coordinator is gone, or gives the run up.
    pub fn able(mut self, shards: u32) -> Result<Chosen, CoordinateError> {
        self.link.say(&Message::Able { shards })?;
        match self.link.hear()? {
            Message::Part { first_shard, shards } => {
                let part = Part { first_shard, shards };
                Ok(Chosen { part, link: self.link, epoch: self.epoch })
            }
            other => Err(given_up(&self.link, &other)),
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

/// Why there is no run after all.
fn given_up(link: &Link, said: &Message) -> CoordinateError {
    match said {
        Message::Stop => {
            let why = "the coordinator gave the run up before its start".to_owned();
            CoordinateError::Refused { peer: link.peer.clone(), why }
        }
        other => link.out_of_turn(other),
    }
}

impl Chosen {
    /// Says that all shards wait for the start, and waits for it: the common moment.
    ///
    /// # Errors
    /// The coordinator is gone, or gives the run up.
    pub fn ready(mut self) -> Result<(Instant, Reporter), CoordinateError> {
        self.link.say(&Message::Ready)?;
        match self.link.hear()? {
            Message::Start { at_clock_ns } => {
                let at = self.epoch + Duration::from_nanos(at_clock_ns);
                Ok((at, Reporter::new(self.link)?))
            }
            other => Err(given_up(&self.link, &other)),
        }
    }

    /// Says that this worker's part cannot be set up, and why.
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

    /// Passes on what a shard says.
    ///
    /// # Errors
    /// The coordinator is gone.
    pub fn news(&mut self, news: News) -> Result<(), CoordinateError> {
        self.link.say(&Message::News(Box::new(news)))
    }

    /// Says that this worker is there.
    ///
    /// # Errors
    /// The coordinator is gone.
    pub fn alive(&mut self) -> Result<(), CoordinateError> {
        self.link.say(&Message::Alive)
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
