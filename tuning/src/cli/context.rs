//! Host, profile and plan of a command.

use throng_tune::check::live_value;
use throng_tune::exit::{Exit, Fatal};
use throng_tune::host::{Facts, Host, Process};
use throng_tune::plan::budget::largest_that_fits;
use throng_tune::plan::render::{Change, Sheet};
use throng_tune::plan::{Budget, Inputs, default_shards, order};
use throng_tune::profile::ask::{Ask, AskError};
use throng_tune::profile::{Key, Profile};

use super::arguments::HostOptions;

/// What most commands begin with.
pub(crate) struct Context {
    pub(crate) host: Host,
    pub(crate) process: Process,
    pub(crate) profile: Profile,
    pub(crate) inputs: Inputs,
}

impl Context {
    /// Reads the profile and the host.
    pub(crate) fn new(options: &HostOptions, process: Process) -> Result<Self, Fatal> {
        let profile = match &options.profile {
            Some(path) => Profile::load(path)?,
            None => Profile::of(options.role)
                .map_err(|error| Fatal::new(Exit::Configuration, error.to_string()))?,
        };
        let host = Host::at(&options.root);
        let unreadable =
            |error| Fatal::new(Exit::Unreadable, format!("this host cannot be judged: {error}"));
        let mut facts = Facts::read(&host, &process).map_err(unreadable)?;
        if let Some(memory) = options.memory {
            facts.memory_bytes = memory;
            // Another host than this one is meant, whose groups are not known.
            facts.cgroup_bytes = None;
        }
        facts.cores = options.cores.unwrap_or(facts.cores);
        facts.nic_queues = options.nic_queues.unwrap_or(facts.nic_queues);
        let mut transports = options.transport.clone();
        transports.dedup();
        let inputs = Inputs {
            connections: options.connections,
            messages_per_s: options.messages_per_s,
            shards: options.shards.unwrap_or_else(|| default_shards(profile.role, facts.cores)),
            transports,
            addresses: options.addresses,
            local_ports: local_ports(&host),
            facts,
        };
        Ok(Self { host, process, profile, inputs })
    }

    /// Every key that the plan asks for, worked out.
    pub(crate) fn asks(&self) -> Result<Vec<Ask<'_>>, AskError> {
        self.profile.ask(&self.inputs.variables(&self.profile)?)
    }

    /// The plan on paper.
    pub(crate) fn sheet(&self) -> Result<Sheet<'_>, Fatal> {
        self.try_sheet().map_err(|error| wrong_profile(&error))
    }

    fn try_sheet(&self) -> Result<Sheet<'_>, AskError> {
        let Self { profile, inputs, .. } = self;
        let budget = Budget::of(profile, inputs)?;
        let largest = largest_that_fits(profile, inputs)?;
        let variables = inputs.variables(profile)?;
        let asks = if budget.fits() { profile.ask(&variables)? } else { Vec::new() };
        let live = |key: &Key| live_value(&self.host, &self.process, &profile.unit, key).ok();
        let limits = order::limits(profile, inputs, &asks, live)?;
        let changes = asks.into_iter().map(|ask| Change { live: live(ask.key), ask }).collect();
        Ok(Sheet { profile, inputs: inputs.clone(), variables, budget, largest, changes, limits })
    }
}

/// A profile that has no value for this plan.
pub(crate) fn wrong_profile(error: &AskError) -> Fatal {
    Fatal::new(Exit::Configuration, error.to_string())
}

/// Ports for connections that are made; none if the range cannot be read.
fn local_ports(host: &Host) -> u64 {
    let range = host.sysctl("net.ipv4.ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    match (ends.next(), ends.next()) {
        (Some(first), Some(last)) if last >= first => last - first + 1,
        _ => 0,
    }
}
