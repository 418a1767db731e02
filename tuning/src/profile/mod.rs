//! Profiles: what a role asks of its host, for what reason, and how its absence would show.
//!
//! A profile is data (profiles/*.toml); no number of it is in the code. It is checked when it is
//! read: an unknown field, a formula that does not parse or uses a name that no plan has, a key
//! that stands twice, or statements that contradict each other are errors with file and line.
//! [`mod@file`] reads it, [`ask`] works it out for a plan.

pub mod ask;
mod error;
mod file;

use std::fmt;
use std::path::Path;

use clap::ValueEnum;
use serde::Deserialize;

use crate::exit::{Exit, Fatal};
use crate::formula::Formula;
use crate::host::KernelVersion;

pub use error::ProfileError;

/// What costs what, for all roles.
const COSTS: (&str, &str) = ("costs.toml", include_str!("../../profiles/costs.toml"));

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Holds the connections of clients.
    Edge,
    /// Owns conversations and users.
    Router,
    /// Keeps the log.
    Store,
    /// Makes load.
    Generator,
}

/// A formula with the text that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// File and line, for messages.
    pub place: String,
    /// As written.
    pub text: String,
    /// As parsed.
    pub formula: Formula,
}

/// A checked profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whose.
    pub role: Role,
    /// What it is good for, one sentence.
    pub summary: String,
    /// The first kernel that will do, if not any.
    pub kernel: Option<KernelVersion>,
    /// The systemd unit that gets the limits.
    pub unit: String,
    /// Constants of formulas, with where they come from.
    pub costs: Vec<Cost>,
    /// Names worked out from others, in order.
    pub derived: Vec<(String, Expression)>,
    /// The parts that have to fit into memory together.
    pub budget: Vec<Part>,
    /// Names worked out from the budget's parts, too.
    pub derived_after_budget: Vec<(String, Expression)>,
    /// What is used up and is no key: processors, ports.
    pub resources: Vec<Resource>,
    /// What is asked.
    pub keys: Vec<Key>,
    /// What other guides set and this profile does not.
    pub left: Vec<Left>,
}

/// A constant of formulas.
#[derive(Clone, Debug)]
pub struct Cost {
    /// As formulas call it.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In what.
    pub unit: String,
    /// How far it can be trusted.
    pub origin: Origin,
    /// Where it is from.
    pub source: String,
}

/// How far a constant can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// By a program that comes with the project.
    Measured,
    /// From a limit or an interval that the programs keep.
    Setting,
    /// Nobody has measured it here.
    Assumed,
}

/// A part of the memory budget, in bytes.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// How much.
    pub bytes: Expression,
    /// Why.
    pub why: String,
}

/// Something that a plan uses up.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// How much the plan takes.
    pub need: Expression,
    /// How much there is.
    pub have: Expression,
    /// How much there is once the keys are applied, if that differs.
    pub have_after: Option<Expression>,
    /// Why.
    pub why: String,
    /// What shows that it is used up.
    pub counter: String,
    /// What to do then.
    pub action: String,
}

/// Where a key is set and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// /proc/sys.
    Sysctl,
    /// A resource limit of the service (setrlimit).
    Limit,
    /// A file of /sys.
    Sysfs,
    /// The kernel's command line; `read` names the sysctl that shows what came of it.
    Boot,
}

/// On which side of the asked value the live one is right. The value itself always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The live value may be larger.
    AtLeast,
    /// The live value may be smaller.
    AtMost,
    /// Only the value itself.
    Equal,
}

/// To whom a key belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One for the whole host; a pod cannot set it.
    Host,
    /// Each network namespace has its own.
    Netns,
    /// Each process has its own.
    Process,
}

/// One column of a key.
#[derive(Clone, Debug)]
pub struct Column {
    /// What is asked.
    pub asked: Asked,
    /// On which side of it the live value is right.
    pub bound: Bound,
}

/// What a column should be.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A number.
    Number(Expression),
    /// One of these words; the first is what is written.
    Words(Vec<String>),
}

/// One thing that is asked of the host.
#[derive(Clone, Debug)]
pub struct Key {
    /// File and line, for messages.
    pub place: String,
    /// As the host calls it.
    pub name: String,
    /// Where it is.
    pub kind: Kind,
    /// Another name under which it is read; its own if none.
    pub read: Option<String>,
    /// What is asked of each column.
    pub columns: Vec<Column>,
    /// Below (above, for [`Bound::AtMost`]) this the plan fails: column and value.
    pub need: Option<(usize, Expression)>,
    /// Asked only where this is not 0.
    pub when: Option<Expression>,
    /// To whom it belongs.
    pub scope: Scope,
    /// The first Kubernetes release that lets every pod set it.
    pub pod_safe_since: Option<String>,
    /// The first kernel that has it.
    pub kernel: KernelVersion,
    /// The module that has to be loaded for it to be there.
    pub module: Option<String>,
    /// Its holder is not bound: number in linux/capability.h.
    pub capability: Option<u32>,
    /// Asks for less than the kernel's own value: done only when asked for.
    pub lowers: bool,
    /// Written by `apply`; otherwise only told.
    pub apply: bool,
    /// Takes effect when the gateway starts to listen.
    pub at_listen: bool,
    /// What the kernel has by itself.
    pub default: String,
    /// Why.
    pub why: String,
    /// What it costs, and how it can go wrong.
    pub risk: String,
    /// What shows the need.
    pub counter: String,
    /// Where the knowledge is from.
    pub source: String,
}

/// A key that other guides set.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its name.
    pub name: String,
    /// Why not.
    pub why: String,
    /// Setting it does damage: `check` says so when a file does.
    pub harmful: bool,
}

impl Role {
    fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Edge => ("edge.toml", include_str!("../../profiles/edge.toml")),
            Self::Router => ("router.toml", include_str!("../../profiles/router.toml")),
            Self::Store => ("store.toml", include_str!("../../profiles/store.toml")),
            Self::Generator => ("generator.toml", include_str!("../../profiles/generator.toml")),
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Edge, Self::Router, Self::Store, Self::Generator];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Edge => "edge",
            Self::Router => "router",
            Self::Store => "store",
            Self::Generator => "generator",
        })
    }
}

impl Origin {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Setting => "a setting",
            Self::Assumed => "assumed",
        }
    }
}

impl Profile {
    /// The profile of a role that comes with this program.
    ///
    /// # Errors
    /// Never, as a test proves; the signature spares a panic.
    pub fn of(role: Role) -> Result<Self, ProfileError> {
        let (name, text) = role.text();
        file::parse(COSTS, (name, text))
    }

    /// Reads a profile of the operator's own, which may use the same costs.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        file::parse(COSTS, (name, text))
    }

    /// Reads a profile from a file of this process's own root.
    ///
    /// # Errors
    /// The file cannot be read or is wrong.
    pub fn load(path: &Path) -> Result<Self, Fatal> {
        let told = |error: &dyn fmt::Display| {
            Fatal::new(Exit::Configuration, format!("{}: {error}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let name = path.display().to_string();
        Self::parse(&name, &text)
            .map_err(|error| Fatal::new(Exit::Configuration, error.to_string()))
    }

    /// Every key with this name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    /// The file that holds its live value; `None` for a resource limit, which is a process's.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        let name = self.read.as_ref().unwrap_or(&self.name);
        match self.kind {
            Kind::Sysctl | Kind::Boot => Some(crate::host::sysctl_path(name)),
            Kind::Sysfs => Some(name.clone()),
            Kind::Limit => None,
        }
    }
}
