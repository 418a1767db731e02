//! Workers at work, as the ledger of a run sees them: shards that say what they saw.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::coordinator::Report;
use super::{CoordinateError, Finish, Message, write_message};
use crate::generator::Sample;
use crate::generator::run::{Elsewhere, News, Stage, Workforce};
use crate::limits::WORKER_END_MAX;
use crate::measure::{KernelGrowth, Reading, Readings};

/// Workers of a run that is under way.
#[derive(Debug)]
pub struct Workers {
    members: Vec<Member>,
    reports: Receiver<(usize, Report)>,
    /// Ends of shards whose worker is lost.
    lost: VecDeque<News>,
    /// None of them is on this host.
    all_elsewhere: bool,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Member {
    stream: TcpStream,
    shards: u32,
    /// Shards that have not told their end.
    left: u32,
    finish: Option<Finish>,
    is_gone: bool,
}

impl Member {
    pub(super) fn new(stream: TcpStream, shards: u32) -> Self {
        Self { stream, shards, left: shards, finish: None, is_gone: false }
    }
}

impl Workers {
    pub(super) fn new(
        members: Vec<Member>,
        reports: Receiver<(usize, Report)>,
        all_elsewhere: bool,
    ) -> Self {
        Self { members, reports, lost: VecDeque::new(), all_elsewhere }
    }

    /// The news in a report, if there are any.
    fn take(&mut self, number: usize, report: Report) -> Option<News> {
        let member = self.members.get_mut(number)?;
        match report {
            Report::News(news) => {
                if matches!(news.stage, Stage::Gone | Stage::Failed { .. }) {
                    member.left = member.left.saturating_sub(1);
                }
                Some(*news)
            }
            Report::Done(finish) => {
                member.finish = Some(*finish);
                self.end(number, None)
            }
            Report::Lost(error) => self.end(number, Some(&error)),
        }
    }

    /// A worker says nothing more: what its shards did not tell is lost.
    fn end(&mut self, number: usize, error: Option<&CoordinateError>) -> Option<News> {
        let member = self.members.get_mut(number)?;
        member.is_gone = true;
        let left = std::mem::take(&mut member.left);
        let said = error.map_or_else(|| "it ended too early".to_owned(), ToString::to_string);
        let why = format!("worker {number} is lost: {said}");
        let stage = Stage::Failed { why, errno: 0 };
        let lost = (0..left).map(|_| News { stage: stage.clone(), sample: Sample::default() });
        self.lost.extend(lost);
        self.lost.pop_front()
    }
}

impl Workforce for Workers {
    fn shards(&self) -> u32 {
        self.members.iter().map(|member| member.shards).sum()
    }

    fn news(&mut self, patience: Duration) -> Result<News, RecvTimeoutError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(news) = self.lost.pop_front() {
                return Ok(news);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let (number, report) = self.reports.recv_timeout(left)?;
            if let Some(news) = self.take(number, report) {
                return Ok(news);
            }
        }
    }

    /// They have been given their start already, in clocks of their own.
    fn begin(&mut self, _: Instant) {}

    fn stop(&mut self) {
        for member in &mut self.members {
            let _ = write_message(&mut member.stream, &Message::Stop); // one that is gone has ended
        }
    }

    fn join(mut self) -> Option<Elsewhere> {
        let deadline = Instant::now() + WORKER_END_MAX;
        while self.members.iter().any(|member| !member.is_gone) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok((number, report)) = self.reports.recv_timeout(left) else { break };
            self.take(number, report);
        }
        let mut elsewhere = Elsewhere::default();
        let mut growth = KernelGrowth::default();
        for finish in self.members.iter().filter_map(|member| member.finish.as_ref()) {
            add(&mut elsewhere.readings, &finish.readings);
            growth.slab_bytes += finish.growth.slab_bytes;
            growth.socket_bytes += finish.growth.socket_bytes;
            growth.connections += finish.growth.connections;
        }
        elsewhere.growth = self.all_elsewhere.then_some(growth);
        Some(elsewhere)
    }
}

fn add(sum: &mut Readings, part: &Readings) {
    let add = |sum: &mut Reading, part: &Reading| {
        sum.cpu += part.cpu;
        sum.resident_bytes += part.resident_bytes;
    };
    sum.pids.extend(&part.pids);
    add(&mut sum.before, &part.before);
    add(&mut sum.full, &part.full);
    add(&mut sum.after, &part.after);
}
