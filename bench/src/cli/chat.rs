//! `throng-bench chat`: people who talk, at a rate that does not wait for answers, and judged.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use throng_bench::generator::arrival::parse_duration;
use throng_bench::generator::run::{RunPlan, RunRecord};
use throng_bench::generator::{Arrival, Counter, Metric};
use throng_bench::outcome::{Outcome, Threshold};
use throng_bench::workload::chat::sizes::GroupSizes;
use throng_bench::workload::chat::{Chat, ChatPlan, Encoding, Findings, Manners, Pairs, verdict};
use throng_wire::limits::BODY_BYTES_MAX;

use super::run::{Errand, Protocol, RunArguments, execute};
use super::{Exit, Failure};

/// Names of a chat's own figures.
const FIGURES: [&str; 2] = ["messages_per_second", "deliveries_per_second"];

/// More clients than this are silent for the most part, and wait cold.
const COLD_FROM: u32 = 20_000;

/// With whom users have direct conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PairsKind {
    /// Always the same other user
    Fixed,
    /// A random other of all users with each message
    Random,
}

/// What all runs of conversations have in common.
#[derive(Args, Clone, Debug)]
pub(crate) struct TalkArguments {
    /// Bytes of text in a message; fewer than some 90 are not possible
    #[arg(long, default_value_t = 128)]
    pub(crate) text_bytes: usize,
    /// How frames are written: json or proto
    #[arg(long, default_value = "json")]
    pub(crate) encoding: Encoding,
    /// Recipients say delivered and read, twice a second at most
    #[arg(long)]
    pub(crate) receipts: bool,
    /// Connections a second: 2000, ramp:100..2000/10s, …
    #[arg(long, default_value = "2000")]
    pub(crate) connect_rate: Arrival,
    /// How long everybody may take to come and to make groups, beside the schedule
    #[arg(long, value_parser = span, default_value = "60s")]
    pub(crate) setup: Duration,
    /// How long answers and deliveries are waited for at the end
    #[arg(long, value_parser = span, default_value = "15s")]
    pub(crate) drain: Duration,
    /// Tells the users of this run from those of others on the same server [default: the time]
    #[arg(long)]
    pub(crate) run: Option<u64>,
}

/// Conversations, direct and in groups: send to ack, send to deliver; order, holes and doubles
#[derive(Args, Clone, Debug)]
pub(crate) struct ChatArguments {
    #[command(flatten)]
    arguments: RunArguments,
    #[command(flatten)]
    talk: TalkArguments,
    /// Users
    #[arg(long, default_value_t = 1000)]
    users: u32,
    /// Devices of each user
    #[arg(long, default_value_t = 1)]
    devices: u32,
    /// Messages a second of all users: 500, poisson:500, ramp:100..500/30s, stairs:100/5s
    #[arg(long, default_value = "500")]
    rate: Arrival,
    /// Seconds of messages
    #[arg(long, value_parser = span, default_value = "10")]
    secs: Duration,
    /// Share of the messages that go to direct conversations, 0 to 1
    #[arg(long, default_value_t = 0.7)]
    direct: f64,
    /// Sizes of groups and the shares of groups that have them
    /// [default: 2:50%,10:30%,100:20%, none larger than all users]
    #[arg(long)]
    groups: Option<GroupSizes>,
    /// How many groups [default: one for five users, none if all messages are direct]
    #[arg(long)]
    group_count: Option<u32>,
    /// With whom users have direct conversations
    #[arg(long, value_enum, default_value_t = PairsKind::Fixed)]
    pairs: PairsKind,
}

fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no span above 0: 60s, 250ms, 2m"))
}

impl TalkArguments {
    /// The plan of a run of conversations.
    pub(crate) fn plan(&self, manners: Manners, messages: Arrival, secs: Duration) -> ChatPlan {
        let clients = u64::from(manners.users) * u64::from(manners.devices);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        ChatPlan {
            manners,
            run: self.run.unwrap_or_else(|| u64::try_from(now.as_millis()).unwrap_or_default()),
            encoding: self.encoding,
            text_bytes: self.text_bytes,
            receipts: self.receipts,
            connects: self.connect_rate,
            messages,
            duration: secs,
            setup_max: self.connect_rate.moment(clients).saturating_add(self.setup),
            drain_max: self.drain,
        }
    }

    /// The arguments of the run, with the protocol that the encoding stands for.
    pub(crate) fn over(&self, arguments: &RunArguments) -> Result<RunArguments, Failure> {
        if self.text_bytes > BODY_BYTES_MAX {
            return Err(Failure::Usage(format!("--text-bytes may be {BODY_BYTES_MAX} at most")));
        }
        let mut arguments = arguments.clone();
        arguments.protocol = Some(match self.encoding {
            Encoding::Json => Protocol::Throng,
            Encoding::Proto => Protocol::ThrongProto,
        });
        Ok(arguments)
    }

    /// The parameters of every run of conversations, for the result.
    pub(crate) fn parameters(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("text_bytes".to_owned(), json!(self.text_bytes)),
            ("encoding".to_owned(), json!(self.encoding.name())),
            ("receipts".to_owned(), json!(self.receipts)),
            ("connect_rate".to_owned(), json!(self.connect_rate.to_string())),
            ("setup_s".to_owned(), json!(self.setup.as_secs_f64())),
            ("drain_s".to_owned(), json!(self.drain.as_secs_f64())),
        ])
    }
}

/// Makes a run of conversations and judges it. What was found goes to stderr.
pub(crate) fn measure(
    kind: &'static str,
    arguments: &RunArguments,
    plan: ChatPlan,
    thresholds: &[Threshold],
    parameters: BTreeMap<String, Value>,
    figures: impl FnOnce(&RunRecord) -> BTreeMap<String, f64>,
) -> Result<Outcome, Failure> {
    let main_metric = if kind == "fanout" { Metric::LastMember } else { Metric::Ack };
    let of_run = run_plan(arguments, &plan, main_metric)?;
    let arrival = Some(plan.connects);
    let errand = Errand { kind, plan: of_run, arrival, parameters, calibrates: false };
    let (plan, findings) = (Arc::new(plan), Findings::default());
    let shared = findings.clone();
    let make = move |info| Chat::new(Arc::clone(&plan), info, shared.clone());
    execute(arguments, errand, thresholds, make, |record| {
        let found = findings.all();
        for finding in &found {
            // Without stderr there is nobody to tell.
            let _ = writeln!(io::stderr(), "throng-bench: {finding}");
        }
        record.invalid.extend(verdict::judge(&mut record.total));
        if record.total.count(Counter::Intended) == 0 {
            let why = found.first().map_or("it was ended before", String::as_str);
            record.invalid.push(format!("setup: no message was due: {why}"));
        }
        figures(record)
    })
}

fn run_plan(
    arguments: &RunArguments,
    plan: &ChatPlan,
    main_metric: Metric,
) -> Result<RunPlan, Failure> {
    let Manners { users, devices, .. } = plan.manners;
    let clients = users.checked_mul(devices);
    let clients = clients.ok_or_else(|| Failure::Usage("too many devices".to_owned()))?;
    let mut of_run = arguments.plan(clients, plan.duration_max(), main_metric)?;
    (of_run.open_loop, of_run.cold) = (true, clients >= COLD_FROM);
    if of_run.shards_here() > users {
        return Err(Failure::Usage("--shards may be the number of users at most".to_owned()));
    }
    Ok(of_run)
}

impl ChatArguments {
    fn manners(&self) -> Result<Manners, Failure> {
        let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
        if self.users < 2 || self.devices < 1 {
            return usage("--users must be 2 or more, --devices 1 or more");
        }
        if !(0.0..=1.0).contains(&self.direct) {
            return usage("--direct is a share of 0 to 1");
        }
        let groups = if self.direct < 1.0 {
            self.group_count.unwrap_or_else(|| self.users.div_ceil(5))
        } else {
            self.group_count.unwrap_or(0)
        };
        let sizes = self.groups.clone().unwrap_or_default();
        if groups > 0 && self.groups.is_some() && sizes.max() > self.users {
            let why = "a group of --groups has more members than there are --users";
            return Err(Failure::Usage(format!("{why}: {sizes}")));
        }
        if groups == 0 && self.direct < 1.0 {
            return usage("without groups all messages are direct: say --direct 1");
        }
        Ok(Manners {
            users: self.users,
            devices: self.devices,
            direct: self.direct,
            pairs: match self.pairs {
                PairsKind::Fixed => Pairs::Fixed,
                PairsKind::Random => Pairs::Random,
            },
            sizes,
            groups,
            owners_speak: false,
        })
    }
}

/// Messages and deliveries a second of the measured part.
fn figures(record: &RunRecord, seconds: f64) -> BTreeMap<String, f64> {
    let per_second = |counter| record.total.count(counter) as f64 / seconds;
    let figures = [Counter::Acked, Counter::Delivered].map(per_second);
    FIGURES.iter().map(|name| (*name).to_owned()).zip(figures).collect()
}

impl ChatArguments {
    /// Makes one run.
    pub(crate) fn measure(&self) -> Result<Outcome, Failure> {
        let manners = self.manners()?;
        let arguments = self.talk.over(&self.arguments)?;
        let thresholds = arguments.thresholds("chat", &FIGURES)?;
        let mut parameters = self.talk.parameters();
        parameters.extend([
            ("users".to_owned(), json!(self.users)),
            ("devices".to_owned(), json!(self.devices)),
            ("rate".to_owned(), json!(self.rate.to_string())),
            ("secs".to_owned(), json!(self.secs.as_secs_f64())),
            ("direct".to_owned(), json!(self.direct)),
            ("groups".to_owned(), json!(manners.sizes.to_string())),
            ("group_count".to_owned(), json!(manners.groups)),
            ("pairs".to_owned(), json!(format!("{:?}", self.pairs).to_lowercase())),
        ]);
        let plan = self.talk.plan(manners, self.rate, self.secs);
        let seconds = self.secs.as_secs_f64();
        measure("chat", &arguments, plan, &thresholds, parameters, |record| {
            figures(record, seconds)
        })
    }
}

pub(crate) fn main(chat: &ChatArguments) -> Result<Exit, Failure> {
    chat.arguments.report(&chat.measure()?)
}
