//! Pages for a host: sysctl.d, systemd, ansible, the kernel's command line.

use std::fmt::Write;

use super::Page;
use crate::host::directive;
use crate::profile::Kind;

pub(super) fn sysctl(page: &Page<'_>) -> String {
    let mut out = String::new();
    for setting in page.of_kind(Kind::Sysctl) {
        let _ = writeln!(out, "\n# {}", setting.key.why);
        let _ = writeln!(out, "# Risk: {}.", setting.key.risk);
        let _ = writeln!(out, "# By itself: {}.", setting.key.default);
        if let Some(module) = &setting.key.module {
            let _ = writeln!(
                out,
                "# Needs `{module}` in /etc/modules-load.d, or it is passed over at boot."
            );
        }
        let _ = writeln!(out, "{} = {}", setting.key.name, setting.value);
    }
    out
}

pub(super) fn systemd(page: &Page<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# /etc/systemd/system/{}.d/limits.conf\n[Service]", page.profile.unit);
    for setting in page.of_kind(Kind::Limit) {
        let _ = writeln!(out, "\n# {}\n# Risk: {}.", setting.key.why, setting.key.risk);
        let _ = writeln!(out, "{}={}", directive(&setting.key.name), setting.value);
    }
    out
}

pub(super) fn ansible(page: &Page<'_>) -> String {
    let mut out = String::new();
    for setting in page.of_kind(Kind::Sysctl) {
        let _ = writeln!(out, "\n# {}", setting.key.why);
        let _ = writeln!(out, "- name: {}", setting.key.name);
        let _ = writeln!(out, "  ansible.posix.sysctl:");
        let _ = writeln!(out, "    name: {}\n    value: \"{}\"", setting.key.name, setting.value);
        let _ = writeln!(out, "    sysctl_file: /etc/sysctl.d/99-throng.conf");
    }
    let directory = format!("/etc/systemd/system/{}.d", page.profile.unit);
    if page.of_kind(Kind::Limit).next().is_some() {
        let _ = writeln!(out, "\n- name: limits of {}\n  ansible.builtin.file:", page.profile.unit);
        let _ = writeln!(out, "    path: {directory}\n    state: directory");
    }
    for setting in page.of_kind(Kind::Limit) {
        let section = directive(&setting.key.name);
        let _ = writeln!(out, "\n# {}", setting.key.why);
        let _ = writeln!(out, "- name: {section}\n  community.general.ini_file:");
        let _ = writeln!(out, "    path: {directory}/limits.conf");
        let _ = writeln!(
            out,
            "    section: Service\n    option: {section}\n    value: \"{}\"",
            setting.value
        );
        let _ = writeln!(out, "    no_extra_spaces: true\n    create: true");
    }
    out
}

pub(super) fn kernel_cmdline(page: &Page<'_>) -> String {
    let mut out = String::new();
    let mut words = Vec::new();
    for setting in page.of_kind(Kind::Boot) {
        let _ = writeln!(
            out,
            "# {}: {}\n# Risk: {}.",
            setting.key.name, setting.key.why, setting.key.risk
        );
        words.push(format!("{}={}", setting.key.name, setting.value));
    }
    for setting in page.of_kind(Kind::Sysfs) {
        // Of /sys/kernel/mm/NAME/enabled the parameter is NAME.
        let name =
            setting.key.name.trim_end_matches("/enabled").rsplit('/').next().unwrap_or_default();
        let _ = writeln!(out, "# {name}: {}\n# Risk: {}.", setting.key.why, setting.key.risk);
        words.push(format!("{name}={}", setting.value));
    }
    let _ = writeln!(out, "{}", words.join(" "));
    out
}
