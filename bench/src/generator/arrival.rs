//! When things are started: arrival schedules, sans-IO, the same for any number of shards.
//!
//! Arrival `i` of a run has one moment, which only the schedule, its seed and `i` determine. Shard
//! `s` of `n` takes the arrivals with `i % n == s`, so what the shards do together is exactly the
//! whole schedule. Moments are computed from `i`, never by adding up gaps: a constant rate does not
//! drift. A Poisson process has no such formula; every shard draws the same gaps and leaves out
//! those of the others.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::random::Random;
use super::{ClientId, ShardInfo};

/// How arrivals are spread over time. Rates are per second, over all shards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// One each `1 / rate`.
    Constant {
        /// Per second.
        rate: f64,
    },
    /// From one rate to another, linearly; constant after that.
    Ramp {
        /// At the start.
        from: f64,
        /// At the end.
        to: f64,
        /// How long the way takes.
        over: Duration,
    },
    /// The rate begins at `step` and grows by it again and again.
    Stairs {
        /// First rate, and each growth.
        step: f64,
        /// Length of a stair.
        every: Duration,
    },
    /// Independent arrivals: exponentially distributed gaps.
    Poisson {
        /// Mean per second.
        rate: f64,
    },
}

/// Why a text names no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no rate: give a number (20000), poisson:20000, ramp:1000..20000/30s or \
     stairs:1000/5s, all above 0"
)]
pub struct ArrivalError(String);

impl Arrival {
    /// The moment of arrival `index` since the start, where a formula gives it; of a Poisson
    /// process its mean.
    #[must_use]
    pub fn moment(&self, index: u64) -> Duration {
        let count = index as f64;
        let seconds = match *self {
            Self::Constant { rate } | Self::Poisson { rate } => count / rate,
            Self::Ramp { from, to, over } => ramp_moment(from, to, over.as_secs_f64(), count),
            Self::Stairs { step, every } => stairs_moment(step, every.as_secs_f64(), count),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Arrivals per second at the highest within the first `count`.
    #[must_use]
    pub fn rate_max(&self, count: u64) -> f64 {
        match *self {
            Self::Constant { rate } | Self::Poisson { rate } => rate,
            Self::Ramp { from, to, .. } => from.max(to),
            Self::Stairs { step, every } => {
                let stair = self.moment(count).as_secs_f64() / every.as_secs_f64();
                step * (stair.floor() + 1.0)
            }
        }
    }

    /// The rate at a moment since the start.
    #[must_use]
    pub fn rate_at(&self, moment: Duration) -> f64 {
        match *self {
            Self::Constant { rate } | Self::Poisson { rate } => rate,
            Self::Ramp { from, to, over } => {
                from + (to - from) * (moment.as_secs_f64() / over.as_secs_f64()).min(1.0)
            }
            Self::Stairs { step, every } => {
                step * ((moment.as_secs_f64() / every.as_secs_f64()).floor() + 1.0)
            }
        }
    }
}

/// Solves `from t + (to - from) t^2 / 2 over = count`, in the form that also holds for `to = from`.
fn ramp_moment(from: f64, to: f64, over: f64, count: f64) -> f64 {
    let within = f64::midpoint(from, to) * over;
    if count > within {
        return over + (count - within) / to;
    }
    let curve = (to - from) / (2.0 * over);
    let root = (from * from + 4.0 * curve * count).max(0.0).sqrt();
    if count == 0.0 { 0.0 } else { 2.0 * count / (from + root) }
}

fn stairs_moment(step: f64, every: f64, count: f64) -> f64 {
    // Below stair n lie step x every x n (n + 1) / 2 arrivals.
    let below = |stair: f64| step * every * stair * (stair + 1.0) / 2.0;
    let mut stair = (((1.0 + 8.0 * count / (step * every)).sqrt() - 1.0) / 2.0).floor();
    while below(stair + 1.0) <= count {
        stair += 1.0;
    }
    while stair > 0.0 && below(stair) > count {
        stair -= 1.0;
    }
    stair * every + (count - below(stair)) / (step * (stair + 1.0))
}

impl FromStr for Arrival {
    type Err = ArrivalError;

    fn from_str(text: &str) -> Result<Self, ArrivalError> {
        let wrong = || ArrivalError(text.to_owned());
        let rate = |part: &str| {
            let rate: f64 = part.parse().map_err(|_| wrong())?;
            if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err(wrong()) }
        };
        match text.split_once(':') {
            None => Ok(Self::Constant { rate: rate(text)? }),
            Some(("poisson", rest)) => Ok(Self::Poisson { rate: rate(rest)? }),
            Some(("ramp", rest)) => {
                let (rates, over) = rest.split_once('/').ok_or_else(wrong)?;
                let (from, to) = rates.split_once("..").ok_or_else(wrong)?;
                let over = parse_duration(over).ok_or_else(wrong)?;
                Ok(Self::Ramp { from: rate(from)?, to: rate(to)?, over })
            }
            Some(("stairs", rest)) => {
                let (step, every) = rest.split_once('/').ok_or_else(wrong)?;
                let every = parse_duration(every).ok_or_else(wrong)?;
                Ok(Self::Stairs { step: rate(step)?, every })
            }
            Some(_) => Err(wrong()),
        }
    }
}

/// As it is written on a command line: what is shown can be parsed.
impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Constant { rate } => write!(f, "{rate}"),
            Self::Poisson { rate } => write!(f, "poisson:{rate}"),
            Self::Ramp { from, to, over } => {
                write!(f, "ramp:{from}..{to}/{}s", over.as_secs_f64())
            }
            Self::Stairs { step, every } => write!(f, "stairs:{step}/{}s", every.as_secs_f64()),
        }
    }
}

/// A span above zero: `60`, `60s`, `1.5s`, `250ms`, `2m`. No unit means seconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let span = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * scale).ok()?;
    (!span.is_zero()).then_some(span)
}

/// The arrivals of one shard, in order.
#[derive(Clone, Debug)]
pub struct Arrivals {
    arrival: Arrival,
    shards: u64,
    /// The next arrival of this shard and its moment.
    index: u64,
    moment: Duration,
    gaps: Random,
}

impl Arrivals {
    /// Those of shard `shard` of `shards`. The seed matters to a Poisson process alone, and must
    /// be the same for all shards.
    #[must_use]
    pub fn new(arrival: Arrival, seed: u64, shard: usize, shards: usize) -> Self {
        let mut arrivals = Self {
            arrival,
            shards: shards.max(1) as u64,
            index: 0,
            moment: Duration::ZERO,
            gaps: Random::new(seed),
        };
        arrivals.moment = arrivals.first_moment();
        arrivals.advance(shard as u64);
        arrivals
    }

    /// Number (over all shards) and moment of the next arrival.
    #[must_use]
    pub fn peek(&self) -> (u64, Duration) {
        (self.index, self.moment)
    }

    /// Takes the next arrival.
    pub fn take(&mut self) -> (u64, Duration) {
        let taken = self.peek();
        self.advance(self.shards);
        taken
    }

    /// Takes the next arrival, if its moment has come: its number, and the moment.
    pub fn take_due(&mut self, start: Instant, now: Instant) -> Option<(u64, Instant)> {
        let intended = start + self.moment;
        (intended <= now).then(|| (self.take().0, intended))
    }

    fn first_moment(&mut self) -> Duration {
        match self.arrival {
            Arrival::Poisson { rate } => self.gaps.exponential(Duration::from_secs_f64(1.0 / rate)),
            other => other.moment(0),
        }
    }

    fn advance(&mut self, by: u64) {
        self.index += by;
        self.moment = match self.arrival {
            Arrival::Poisson { rate } => {
                let mean = Duration::from_secs_f64(1.0 / rate);
                (0..by).fold(self.moment, |at, _| at + self.gaps.exponential(mean))
            }
            other => other.moment(self.index),
        };
    }
}

/// Arrivals of a shard's clients: client `n` comes with arrival number `n`, nobody after the last.
#[derive(Clone, Debug)]
pub struct ClientArrivals {
    arrivals: Arrivals,
    clients: u32,
}

impl ClientArrivals {
    /// Those of one shard, of the run's first `clients` clients.
    #[must_use]
    pub fn new(arrival: Arrival, info: &ShardInfo, clients: u32) -> Self {
        let (shard, shards) = (info.shard as usize, info.shards as usize);
        Self { arrivals: Arrivals::new(arrival, info.seed, shard, shards), clients }
    }

    /// Lets so many of the run's clients come in all.
    pub fn raise(&mut self, clients: u32) {
        self.clients = clients;
    }

    /// The next client's moment; `None` once all have come.
    #[must_use]
    pub fn next(&self, start: Instant) -> Option<Instant> {
        let (number, moment) = self.arrivals.peek();
        (number < u64::from(self.clients)).then(|| start + moment)
    }

    /// The next client and its moment, if that has come.
    pub fn take_due(&mut self, start: Instant, now: Instant) -> Option<(ClientId, Instant)> {
        self.next(start)?;
        let (number, intended) = self.arrivals.take_due(start, now)?;
        Some((ClientId(u32::try_from(number).ok()?), intended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULES: [&str; 5] =
        ["1000", "poisson:1000", "ramp:100..1000/10s", "ramp:1000..100/10s", "stairs:100/2s"];

    fn within(schedule: &str, seconds: u64) -> usize {
        let mut arrivals = Arrivals::new(schedule.parse().unwrap(), 1, 0, 1);
        let end = Duration::from_secs(seconds);
        std::iter::from_fn(|| Some(arrivals.take())).take_while(|(_, at)| *at < end).count()
    }

    #[test]
    fn clients_come_at_their_moments_and_nobody_after_the_last() {
        let info = ShardInfo { shard: 1, shards: 2, clients: 6, seed: 1 };
        let mut arrivals = ClientArrivals::new("1000".parse().unwrap(), &info, 4);
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(arrivals.next(start), Some(at(1)));
        assert_eq!(arrivals.take_due(start, at(0)), None);
        assert_eq!(arrivals.take_due(start, at(9)), Some((ClientId(1), at(1))));
        assert_eq!(arrivals.take_due(start, at(9)), Some((ClientId(3), at(3))));
        assert_eq!((arrivals.next(start), arrivals.take_due(start, at(9))), (None, None));
        arrivals.raise(6);
        assert_eq!(arrivals.take_due(start, at(9)), Some((ClientId(5), at(5))));
        assert_eq!(arrivals.next(start), None);
    }

    #[test]
    fn schedules_have_the_number_of_arrivals_of_their_rates() {
        assert_eq!(within("1000", 10), 10_000);
        assert_eq!(within("ramp:100..1000/10s", 10), 5_500);
        assert_eq!(within("ramp:100..1000/10s", 11), 6_500);
        assert_eq!(within("ramp:1000..100/10s", 10), 5_500);
        assert_eq!(within("ramp:500..500/10s", 4), 2_000);
        assert_eq!(within("stairs:100/2s", 6), 200 + 400 + 600);
        let poisson = within("poisson:1000", 100);
        assert!((99_000..101_000).contains(&poisson), "{poisson}");
    }

    #[test]
    fn a_constant_rate_does_not_drift() {
        let arrival: Arrival = "3".parse().unwrap();
        assert_eq!(arrival.moment(3_000_000_000), Duration::from_secs(1_000_000_000));
    }

    #[test]
    fn moments_never_go_back() {
        for schedule in SCHEDULES {
            let mut arrivals = Arrivals::new(schedule.parse().unwrap(), 1, 0, 1);
            let moments: Vec<_> = (0..20_000).map(|_| arrivals.take().1).collect();
            assert!(moments.is_sorted(), "{schedule}");
        }
    }

    #[test]
    fn the_shards_together_are_the_whole_schedule_and_interleave() {
        for schedule in SCHEDULES {
            let arrival: Arrival = schedule.parse().unwrap();
            let mut whole = Arrivals::new(arrival, 9, 0, 1);
            let mut shards: Vec<_> =
                (0..3).map(|shard| Arrivals::new(arrival, 9, shard, 3)).collect();
            for index in 0..3_000_usize {
                let (number, moment) = whole.take();
                assert_eq!(number, index as u64);
                let (theirs, at) = shards[index % 3].take();
                assert_eq!((theirs, at), (number, moment), "{schedule}");
            }
        }
    }

    #[test]
    fn rates_are_told_by_moment() {
        let rate = |schedule: &str, at| schedule.parse::<Arrival>().unwrap().rate_at(at);
        assert_eq!(rate("ramp:100..200/10s", Duration::from_secs(5)), 150.0);
        assert_eq!(rate("ramp:100..200/10s", Duration::from_secs(50)), 200.0);
        assert_eq!(rate("stairs:100/2s", Duration::from_secs(4)), 300.0);
        assert_eq!("stairs:100/2s".parse::<Arrival>().unwrap().rate_max(1_000), 300.0);
    }

    #[test]
    fn a_schedule_that_is_shown_can_be_parsed() {
        for schedule in SCHEDULES {
            let arrival: Arrival = schedule.parse().unwrap();
            assert_eq!(arrival.to_string().parse(), Ok(arrival), "{schedule}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in ["", "0", "-1", "nan", "inf", "ramp:1..2", "ramp:0..2/3s", "stairs:1/0s", "x:1"]
        {
            assert!(text.parse::<Arrival>().is_err(), "{text}");
        }
    }

    #[test]
    fn spans_have_units() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("0s"), None);
        assert_eq!(parse_duration("5 parsecs"), None);
    }
}
