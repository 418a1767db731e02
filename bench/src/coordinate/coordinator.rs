//! The coordinator's end: gathers workers, gives them their parts and one start, hears their
//! shards.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::clock::ClockOffset;
use super::message::Link;
use super::workers::{Member, Workers};
use super::{ClockProbe, CoordinateError, Finish, Message, PROBES};
use crate::generator::run::News;
use crate::host::Host;
use crate::limits::SHARDS_MAX;

/// How long a worker may take for an answer while a run is set up.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// From the last worker's readiness to the common start: every `Start` must have arrived by then.
const START_LEAD: Duration = Duration::from_millis(500);

/// Without a word for this long a running worker is lost; it reports each second.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Reports that wait to be added up.
const REPORTS_MAX: usize = 1_024;

/// Pause between two looks for a new worker.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Waits for workers.
#[derive(Debug)]
pub struct Coordinator {
    listener: TcpListener,
    epoch: Instant,
}

/// Workers that came, with their clocks.
#[derive(Debug)]
pub struct Team {
    workers: Vec<Worker>,
    epoch: Instant,
}

#[derive(Debug)]
struct Worker {
    link: Link,
    host: Host,
    clock: ClockOffset,
    shards: u32,
}

/// What came of a worker.
#[derive(Debug)]
pub(super) enum Report {
    News(Box<News>),
    /// It is through.
    Done(Box<Finish>),
    /// It is lost: the run is not valid.
    Lost(CoordinateError),
}

impl Coordinator {
    /// Listens for workers.
    ///
    /// # Errors
    /// Those of bind.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, epoch: Instant::now() })
    }

    /// Where it listens (port 0 resolved).
    ///
    /// # Errors
    /// Those of getsockname.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits until `wanted` workers have come, at most for `patience`; `came` is told of each.
    ///
    /// # Errors
    /// Too few came, or one is of another version.
    pub fn gather(
        self,
        wanted: usize,
        patience: Duration,
        mut came: impl FnMut(&str, &Host),
    ) -> Result<Team, CoordinateError> {
        let deadline = Instant::now() + patience;
        let mut workers = Vec::new();
        while workers.len() < wanted {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    let worker = Worker::greet(stream, peer.to_string(), self.epoch)?;
                    came(&worker.link.peer, &worker.host);
                    workers.push(worker);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if Instant::now() >= deadline {
                        return Err(CoordinateError::Missing { came: workers.len(), wanted });
                    }
                    std::thread::sleep(ACCEPT_PAUSE);
                }
                Err(source) => {
                    return Err(CoordinateError::Io { peer: "workers".to_owned(), source });
                }
            }
        }
        Ok(Team { workers, epoch: self.epoch })
    }
}

impl Worker {
    fn greet(stream: TcpStream, peer: String, epoch: Instant) -> Result<Self, CoordinateError> {
        let prepared = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| stream.set_read_timeout(Some(ANSWER_DEADLINE)));
        prepared.map_err(|source| CoordinateError::Io { peer: peer.clone(), source })?;
        let clock = ClockOffset { offset_ns: 0, error: Duration::ZERO };
        let link = Link { stream, peer };
        let mut worker = Self { link, host: Host::default(), clock, shards: 0 };
        match worker.link.hear()? {
            Message::Hello { version, host } => worker.admit(version, *host)?,
            other => return Err(worker.link.out_of_turn(&other)),
        }
        worker.probe_clock(epoch)?;
        Ok(worker)
    }

    fn admit(&mut self, theirs: String, host: Host) -> Result<(), CoordinateError> {
        let ours = env!("CARGO_PKG_VERSION").to_owned();
        if theirs != ours {
            let why = format!("the coordinator is throng-bench {ours}");
            self.link.say(&Message::Refused { why })?;
            return Err(CoordinateError::Version { peer: self.link.peer.clone(), theirs, ours });
        }
        self.host = host;
        Ok(())
    }

    fn probe_clock(&mut self, epoch: Instant) -> Result<(), CoordinateError> {
        let mut probes = Vec::with_capacity(PROBES);
        for _ in 0..PROBES {
            let sent = epoch.elapsed();
            self.link.say(&Message::Probe)?;
            match self.link.hear()? {
                Message::Echo { clock_ns } => {
                    let theirs = Duration::from_nanos(clock_ns);
                    probes.push(ClockProbe { sent, theirs, came: epoch.elapsed() });
                }
                other => return Err(self.link.out_of_turn(&other)),
            }
        }
        self.clock = ClockOffset::estimate(&probes).unwrap_or(self.clock);
        Ok(())
    }
}

impl Team {
    /// How far the workers' clocks may be off, at most.
    #[must_use]
    pub fn clock_error(&self) -> Duration {
        self.workers.iter().map(|worker| worker.clock.error).max().unwrap_or_default()
    }

    /// How many of the workers are on this host, by their addresses.
    #[must_use]
    pub fn here(&self) -> usize {
        let is_here = |worker: &&Worker| {
            let (ours, theirs) = (worker.link.stream.local_addr(), worker.link.stream.peer_addr());
            matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours.ip() == theirs.ip()
                || theirs.ip().is_loopback())
        };
        self.workers.iter().filter(is_here).count()
    }

    /// Gives the job out and waits until every worker has set up its part. Answers with the run's
    /// shards.
    ///
    /// # Errors
    /// A worker refuses or is gone; the others are told to stop.
    pub fn assign(&mut self, arguments: &[String]) -> Result<u32, CoordinateError> {
        let assigned = self.try_assign(arguments);
        if assigned.is_err() {
            for worker in &mut self.workers {
                let _ = worker.link.say(&Message::Stop); // one that is gone needs no word
            }
        }
        assigned
    }

    fn try_assign(&mut self, arguments: &[String]) -> Result<u32, CoordinateError> {
        let workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        for (number, worker) in (0..).zip(&mut self.workers) {
            let arguments = arguments.to_vec();
            worker.link.say(&Message::Job { arguments, worker: number, workers })?;
        }
        let mut shards = 0_u32;
        for worker in &mut self.workers {
            match worker.link.hear()? {
                Message::Able { shards: theirs } => worker.shards = theirs.min(SHARDS_MAX),
                other => return Err(worker.link.refused(other)),
            }
            shards += worker.shards;
        }
        let mut first_shard = 0;
        for worker in &mut self.workers {
            worker.link.say(&Message::Part { first_shard, shards })?;
            first_shard += worker.shards;
        }
        for worker in &mut self.workers {
            match worker.link.hear()? {
                Message::Ready => {}
                other => return Err(worker.link.refused(other)),
            }
        }
        Ok(shards)
    }

    /// Gives every worker the same moment to start: those at work, and the moment.
    ///
    /// # Errors
    /// A worker is gone.
    pub fn start(mut self) -> Result<(Workers, Instant), CoordinateError> {
        let at = Instant::now() + START_LEAD;
        for worker in &mut self.workers {
            let at_clock_ns = worker.clock.theirs_ns(at.duration_since(self.epoch));
            worker.link.say(&Message::Start { at_clock_ns })?;
        }
        let all_elsewhere = self.here() == 0;
        let (sender, reports) = sync_channel(REPORTS_MAX);
        let mut members = Vec::new();
        for (number, worker) in self.workers.into_iter().enumerate() {
            let timed = worker.link.stream.set_read_timeout(Some(SILENCE_MAX));
            let stream = timed.and_then(|()| worker.link.stream.try_clone());
            let stream = stream.map_err(|source| worker.link.broken(source))?;
            members.push(Member::new(stream, worker.shards));
            let sender = sender.clone();
            std::thread::spawn(move || listen(worker.link, number, &sender));
        }
        Ok((Workers::new(members, reports, all_elsewhere), at))
    }
}

/// Passes on what a worker reports until its end.
fn listen(mut link: Link, number: usize, sender: &SyncSender<(usize, Report)>) {
    loop {
        let report = match link.hear() {
            Ok(Message::News(news)) => Report::News(news),
            Ok(Message::Done { finish }) => Report::Done(finish),
            Ok(Message::Alive) => continue,
            Ok(other) => Report::Lost(link.out_of_turn(&other)),
            Err(error) => Report::Lost(error),
        };
        let last = !matches!(report, Report::News(_));
        if sender.send((number, report)).is_err() || last {
            return;
        }
    }
}
