//! The memory that a plan takes, part by part, and the largest number that fits.

use super::Inputs;
use crate::limits::CONNECTIONS_MAX;
use crate::profile::Profile;
use crate::profile::ask::AskError;

/// A worked-out memory budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Name, bytes, arithmetic and reason of each part.
    pub parts: Vec<BudgetPart>,
    /// What all parts may take together, in bytes.
    pub memory_bytes: u64,
}

/// A part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetPart {
    /// Its name.
    pub name: String,
    /// How much.
    pub bytes: u64,
    /// How it comes about.
    pub arithmetic: String,
    /// Why.
    pub why: String,
}

impl Budget {
    /// Adds up what the plan takes.
    ///
    /// # Errors
    /// A formula has no finite value.
    pub fn of(profile: &Profile, inputs: &Inputs) -> Result<Self, AskError> {
        let variables = inputs.variables(profile)?;
        let mut parts = Vec::with_capacity(profile.budget.len());
        for part in &profile.budget {
            parts.push(BudgetPart {
                name: part.name.clone(),
                bytes: part.bytes.count(&variables)?,
                arithmetic: part.bytes.shown(&variables)?,
                why: part.why.clone(),
            });
        }
        Ok(Self { parts, memory_bytes: inputs.memory_bytes() })
    }

    /// All parts together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    /// Whether they fit.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.total_bytes() <= self.memory_bytes
    }
}

/// The largest number of connections whose budget fits; `None` if not even none does.
///
/// # Errors
/// A formula has no finite value.
pub fn largest_that_fits(profile: &Profile, inputs: &Inputs) -> Result<Option<u64>, AskError> {
    largest(|connections| Ok(Budget::of(profile, &inputs.with_connections(connections))?.fits()))
}

/// The largest number of connections for which `holds` is true, which has to be so for all smaller
/// ones; `None` if it is false for none at all.
pub(super) fn largest(
    holds: impl Fn(u64) -> Result<bool, AskError>,
) -> Result<Option<u64>, AskError> {
    if !holds(0)? {
        return Ok(None);
    }
    let (mut low, mut high) = (0, CONNECTIONS_MAX + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(Some(low))
}
