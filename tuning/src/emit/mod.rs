//! A plan in the words of other programs: one page each, with the reasons as comments.
//!
//! A page has what has to be changed on hosts like the one that it is made on (`--root` for an
//! image's); what is right there by itself is named and not set, so that no default is lowered.
//! Where a format cannot set a key, the page says who can.

mod container;
mod host;

use std::fmt::Write;

use clap::ValueEnum;

use crate::plan::Inputs;
use crate::plan::render::{Change, Sheet};
use crate::profile::ask::Ask;
use crate::profile::{Key, Kind, Profile};
use crate::value::Value;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A file for /etc/sysctl.d
    Sysctl,
    /// A drop-in of the service's unit
    Systemd,
    /// The parts of a pod's manifest
    Kubernetes,
    /// Arguments of docker run
    Docker,
    /// Tasks of a playbook
    Ansible,
    /// Words for the kernel's command line
    KernelCmdline,
    /// What a container's seccomp profile has to allow
    Seccomp,
}

/// A key with the value that it should have.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) key: &'a Key,
    pub(crate) value: Value,
}

/// What is written down.
#[derive(Debug)]
pub struct Page<'a> {
    profile: &'a Profile,
    inputs: &'a Inputs,
    settings: Vec<Setting<'a>>,
    /// Right by themselves on this host, or not to be read: setting them could only lower them.
    left: Vec<&'a Change<'a>>,
}

impl<'a> Page<'a> {
    /// The page of a plan.
    #[must_use]
    pub fn new(sheet: &'a Sheet<'a>, lower_defaults: bool) -> Self {
        let mut settings = Vec::new();
        let mut left = Vec::new();
        for change in &sheet.changes {
            let Ask { key, value, .. } = &change.ask;
            // Limits are the service's, whatever this process has.
            let is_limit = key.kind == Kind::Limit;
            match change.proposal(lower_defaults) {
                _ if is_limit => settings.push(Setting { key, value: value.clone() }),
                Some(value) => settings.push(Setting { key, value }),
                None => left.push(change),
            }
        }
        Self { profile: sheet.profile, inputs: &sheet.inputs, settings, left }
    }

    /// Its text in a format.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let page = match format {
            Format::Sysctl => host::sysctl(self),
            Format::Systemd => host::systemd(self),
            Format::Ansible => host::ansible(self),
            Format::KernelCmdline => host::kernel_cmdline(self),
            Format::Kubernetes => container::kubernetes(self),
            Format::Docker => container::docker(self),
            Format::Seccomp => return container::seccomp(),
        };
        self.head() + &page + &self.tail(format)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Setting<'a>> {
        self.settings.iter().filter(move |setting| {
            setting.key.kind == kind && (setting.key.apply || kind == Kind::Boot)
        })
    }

    fn head(&self) -> String {
        let Inputs { connections, shards, .. } = self.inputs;
        let (role, memory_bytes) = (self.profile.role, self.inputs.memory_bytes());
        format!(
            "# throng-tune emit: {role}, {connections} connections, {shards} shards, \
             {memory_bytes} bytes of memory.\n"
        )
    }

    /// Names what is not on the page because this host has as much or more, or does not show it.
    fn tail(&self, format: Format) -> String {
        if matches!(format, Format::Systemd | Format::KernelCmdline) {
            return String::new();
        }
        let mut out = String::from("\n# Left as they are on this host:\n");
        for Change { ask, live } in &self.left {
            let live = live.as_ref().map_or_else(|| "not to be read".to_owned(), Value::to_string);
            let _ = writeln!(out, "#   {}: {live} (asked: {})", ask.key.name, ask.value);
        }
        out
    }
}
