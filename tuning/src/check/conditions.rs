//! What is no key: io_uring itself, seccomp, programs that undo settings, and queues with their
//! processors.

use std::collections::BTreeMap;

use super::{Finding, Level, Subject};
use crate::host::{Host, cards, queues};
use crate::plan::Inputs;
use crate::profile::Role;

pub(super) fn findings(subject: &Subject<'_>) -> Vec<Finding> {
    let host = subject.host;
    let mut findings = Vec::new();
    if matches!(subject.profile.role, Role::Edge | Role::Generator) {
        findings.extend(io_uring(subject));
        findings.extend(cards(host).iter().flat_map(|card| steering(host, subject.inputs, card)));
    }
    findings.extend(daemons(host));
    findings
}

const SECCOMP_ACTION: &str = "`throng-tune emit --format seccomp` has what the profile must allow";

/// A ring is made for a trial where this process is what the gateway would be; of another process
/// its filter can be seen, but not what the filter refuses.
fn io_uring(subject: &Subject<'_>) -> Vec<Finding> {
    let why = "the plan is for shards over io_uring; over epoll all share one descriptor limit";
    if subject.process.is_named() || !subject.host.is_this() {
        let (level, live) = match subject.process.has_seccomp_filter(subject.host) {
            Ok(false) => (Level::Good, "no filter".to_owned()),
            Ok(true) => {
                (Level::Note, "a filter, of which nobody can be asked what it refuses".to_owned())
            }
            Err(error) => (Level::Note, error.to_string()),
        };
        return vec![Finding::of("seccomp", level, live, why, SECCOMP_ACTION)];
    }
    let (level, live) = match io_uring::IoUring::new(8) {
        Ok(_) => (Level::Good, "a ring can be made".to_owned()),
        Err(error) => (Level::Fails, format!("a ring cannot be made: {error}")),
    };
    let action = "kernel.io_uring_disabled, the seccomp profile of the container, or memlock; \
                  throng-tune emit --format seccomp";
    vec![Finding::of("io_uring", level, live, why, action)]
}

/// Programs that change settings behind one's back.
fn daemons(host: &Host) -> Vec<Finding> {
    let running: Vec<String> = host
        .names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|pid| host.read(&format!("/proc/{pid}/comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect();
    let of = |name: &str, why, action| {
        let is_running = running.iter().any(|other| other == name);
        is_running.then(|| Finding::of(name, Level::Advice, "running".to_owned(), why, action))
    };
    let irqbalance = of(
        "irqbalance",
        "it moves the interrupts of queues to other processors than their shards'",
        "stop it, or ban the card's interrupts from it (IRQBALANCE_ARGS=--banirq=N)",
    );
    let tuned = of(
        "tuned",
        "its profile and /etc/sysctl.d fight: what was written last holds, until it is restarted",
        "put the values into a profile of its own, or stop it",
    );
    irqbalance.into_iter().chain(tuned).collect()
}

/// Whether packets arrive where they are worked on: RSS, RPS, RFS, XPS, affinity of interrupts.
fn steering(host: &Host, inputs: &Inputs, card: &str) -> Vec<Finding> {
    let receive = queues(host, card, "rx-");
    let transmit = queues(host, card, "tx-");
    let is_set = |queue: &String, file: &str| {
        let mask = host.read(&format!("/sys/class/net/{card}/queues/{queue}/{file}"));
        mask.is_ok_and(|mask| mask.bytes().any(|byte| matches!(byte, b'1'..=b'9' | b'a'..=b'f')))
    };
    let software = receive.iter().any(|queue| is_set(queue, "rps_cpus"));
    let flows = receive.iter().any(|queue| is_set(queue, "rps_flow_cnt"));
    let cores = inputs.facts.cores;
    let count = receive.len() as u64;
    let live = format!(
        "{count} receive queues, {cores} cores, RPS {}",
        if software { "on" } else { "off" }
    );
    let mut findings = vec![match (count < cores, software) {
        (true, false) if cores > 2 => Finding::of(
            card,
            Level::Advice,
            live,
            "one processor takes the packets of several shards",
            "more queues (ethtool -L), or RPS: rps_cpus of each queue to all processors",
        ),
        (false, true) => Finding::of(
            card,
            Level::Advice,
            live,
            "with a queue for each core RPS only adds interrupts between processors",
            "write 0 to rps_cpus of each queue",
        ),
        _ => Finding::of(
            card,
            Level::Good,
            live,
            "packets should arrive where they are worked on",
            "",
        ),
    }];
    if flows && host.number("/proc/sys/net/core/rps_sock_flow_entries").unwrap_or(0) == 0 {
        findings.push(Finding::of(
            card,
            Level::Advice,
            "rps_flow_cnt without rps_sock_flow_entries".to_owned(),
            "RFS needs both",
            "net.core.rps_sock_flow_entries=32768, or rps_flow_cnt 0",
        ));
    }
    if transmit.len() > 1 && !transmit.iter().any(|queue| is_set(queue, "xps_cpus")) {
        findings.push(Finding::of(
            card,
            Level::Advice,
            "several transmit queues, XPS off".to_owned(),
            "processors fight for the queues' locks",
            "processor i to queue i: xps_cpus of each",
        ));
    }
    findings.extend(shared_interrupts(host, card, count));
    findings
}

/// Interrupts of one card that go to the same processor although there are others.
fn shared_interrupts(host: &Host, card: &str, queues: u64) -> Option<Finding> {
    let mut by_processor: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for interrupt in host.names(&format!("/sys/class/net/{card}/device/msi_irqs")) {
        let path = format!("/proc/irq/{interrupt}/effective_affinity_list");
        if let Ok(processor) = host.read(&path) {
            by_processor.entry(processor.trim().to_owned()).or_default().push(interrupt);
        }
    }
    // Cards have an interrupt or two beside those of their queues.
    let spare = 2;
    let (processor, all) = by_processor.iter().max_by_key(|(_, all)| all.len())?;
    let is_shared = queues > 1 && all.len() > 1 + spare;
    is_shared.then(|| {
        let live = format!("interrupts {} all on processor {processor}", all.join(", "));
        Finding::of(
            card,
            Level::Advice,
            live,
            "one processor takes the packets of several queues",
            "/proc/irq/N/smp_affinity_list: queue i to processor i, and irqbalance off",
        )
    })
}
