//! A plan on paper.

use std::fmt::{self, Write};

use super::Inputs;
use super::budget::Budget;
use super::order::Limit;
use crate::formula::Variables;
use crate::profile::ask::Ask;
use crate::profile::{Origin, Profile};
use crate::value::{Value, grouped};

/// Everything that a plan says.
#[derive(Debug)]
pub struct Sheet<'p> {
    /// Whose keys.
    pub profile: &'p Profile,
    /// For what.
    pub inputs: Inputs,
    /// The names of formulas.
    pub variables: Variables,
    /// What it takes.
    pub budget: Budget,
    /// The most that the memory holds.
    pub largest: Option<u64>,
    /// Keys beside their live values, where those are known; none if the budget does not fit.
    pub changes: Vec<Change<'p>>,
    /// The first one first.
    pub limits: Vec<Limit>,
}

/// A key of the plan.
#[derive(Debug)]
pub struct Change<'p> {
    /// What is asked.
    pub ask: Ask<'p>,
    /// What is there.
    pub live: Option<Value>,
}

impl Change<'_> {
    /// What would be written, `None` if nothing.
    #[must_use]
    pub fn proposal(&self, lower_defaults: bool) -> Option<Value> {
        let live = self.live.as_ref()?;
        let is_kept = self.ask.is_met(live) || (self.ask.key.lowers && !lower_defaults);
        (!is_kept).then(|| self.ask.proposal(live))
    }
}

impl Sheet<'_> {
    /// The sheet as text.
    ///
    /// # Errors
    /// None that a string has.
    pub fn text(&self, lower_defaults: bool) -> Result<String, fmt::Error> {
        let mut out = String::new();
        self.head(&mut out)?;
        self.memory(&mut out)?;
        if self.budget.fits() {
            self.values(&mut out, lower_defaults)?;
            self.order(&mut out)?;
        }
        Ok(out)
    }

    /// Whether the memory and everything else hold the plan once it is applied.
    #[must_use]
    pub fn holds(&self) -> bool {
        let reaches = |limit: &Limit| limit.after >= self.inputs.connections;
        self.budget.fits() && self.limits.iter().all(reaches)
    }

    fn head(&self, out: &mut String) -> fmt::Result {
        let Inputs { connections, messages_per_s, shards, facts, .. } = &self.inputs;
        writeln!(
            out,
            "{}: {} connections, {} messages/s, {shards} shards; {}, {} cores, {} queues, \
             kernel {}",
            self.profile.role,
            grouped(*connections),
            grouped(*messages_per_s),
            binary(self.inputs.memory_bytes()),
            facts.cores,
            facts.nic_queues,
            facts.kernel,
        )?;
        for cost in self.profile.costs.iter().filter(|cost| cost.origin == Origin::Assumed) {
            if self.uses(&cost.name) {
                writeln!(
                    out,
                    "assumed, not measured: {} = {} {} ({})",
                    cost.name, cost.value, cost.unit, cost.source
                )?;
            }
        }
        Ok(())
    }

    /// Whether the budget of these transports rests on a cost.
    fn uses(&self, name: &str) -> bool {
        let serves = |transport| self.inputs.transports.contains(&transport);
        let counts = match name {
            "user_bytes_wss" => serves(super::Transport::Wss),
            "user_bytes_quic" => serves(super::Transport::Quic),
            "conntrack_bytes" => self.inputs.facts.conntrack,
            _ => true,
        };
        let late = &self.profile.derived_after_budget;
        let derived = self.profile.derived.iter().chain(late).map(|(_, expression)| expression);
        let mut all = self.profile.budget.iter().map(|part| &part.bytes).chain(derived);
        counts && all.any(|expression| expression.formula.names().contains(&name))
    }

    fn memory(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nmemory budget")?;
        for part in &self.budget.parts {
            writeln!(out, "  {:<11} {:>10}  {}", part.name, binary(part.bytes), part.why)?;
            writeln!(out, "                          {}", part.arithmetic)?;
        }
        let (total, memory) = (binary(self.budget.total_bytes()), binary(self.budget.memory_bytes));
        if self.budget.fits() {
            writeln!(out, "  {:<11} {total:>10}  of {memory}", "together")?;
        } else {
            writeln!(out, "  {:<11} {total:>10}  DOES NOT FIT into {memory}", "together")?;
        }
        match self.largest {
            Some(largest) => {
                writeln!(out, "  largest number of connections that fits: {}", grouped(largest))
            }
            None => writeln!(out, "  not even the program without connections fits"),
        }
    }

    fn values(&self, out: &mut String, lower_defaults: bool) -> fmt::Result {
        writeln!(out, "\nworked out")?;
        let after_budget = &self.profile.derived_after_budget;
        for (name, expression) in self.profile.derived.iter().chain(after_budget) {
            // They have values: the budget was worked out with them.
            let shown = expression.shown(&self.variables).unwrap_or_default();
            writeln!(out, "  {name} = {shown}")?;
        }
        writeln!(out, "\nkeys: current -> proposed")?;
        for change in &self.changes {
            let key = change.ask.key;
            let live = change.live.as_ref().map_or_else(|| "unknown".to_owned(), Value::to_string);
            let proposed = match (change.proposal(lower_defaults), &change.live) {
                (Some(value), _) => value.to_string(),
                (None, None) => format!("{} asked", change.ask.value),
                (None, Some(live)) if change.ask.is_met(live) => "stays".to_owned(),
                (None, Some(_)) => format!("stays ({} with --lower-defaults)", change.ask.value),
            };
            let told = if key.apply { "" } else { "  (by hand)" };
            writeln!(out, "  {}: {live} -> {proposed}{told}", key.name)?;
            // A constant says nothing that the value does not.
            for line in change.ask.arithmetic.iter().filter(|line| line.contains('=')) {
                writeln!(out, "      {line}")?;
            }
        }
        Ok(())
    }

    fn order(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\nlimits in the order in which they are hit: connections now -> once applied"
        )?;
        for limit in &self.limits {
            let Limit { name, now, after, counter } = limit;
            let mark = if *after < self.inputs.connections { "  BELOW THE PLAN" } else { "" };
            writeln!(
                out,
                "  {:>13} -> {:>13}  {name}; shows in: {counter}{mark}",
                grouped(*now),
                grouped(*after)
            )?;
        }
        Ok(())
    }
}

/// Bytes with a binary unit and two decimals.
#[must_use]
pub fn binary(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..0x10_0000 => (10, "KiB"),
        0x10_0000..0x4000_0000 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    #[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
    let amount = bytes as f64 / (1_u64 << shift) as f64;
    format!("{amount:.2} {unit}")
}
