//! Pages for containers. What a pod cannot set is named, with who can.

use std::fmt::Write;

use serde_json::json;

use super::{Page, Setting};
use crate::profile::{Kind, Scope};

/// Keys of the network namespace of a container; those of the host.
fn divided<'a>(page: &'a Page<'_>) -> (Vec<&'a Setting<'a>>, Vec<&'a Setting<'a>>) {
    page.of_kind(Kind::Sysctl).partition(|setting| setting.key.scope == Scope::Netns)
}

pub(super) fn kubernetes(page: &Page<'_>) -> String {
    let (own, of_host) = divided(page);
    let (safe, unsafe_): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|setting| setting.key.pod_safe_since.is_some());
    let mut out = String::new();
    let names: Vec<_> = unsafe_.iter().map(|setting| setting.key.name.as_str()).collect();
    let _ = writeln!(
        out,
        "# Each node's kubelet has to allow the unsafe ones, or the pod does not start:"
    );
    let _ = writeln!(out, "#   kubelet --allowed-unsafe-sysctls={}", names.join(","));
    let _ =
        writeln!(out, "# With hostNetwork: true no pod may set net.* keys: set them on the node.");
    let _ = writeln!(out, "spec:\n  securityContext:\n    sysctls:");
    for setting in &safe {
        let since = setting.key.pod_safe_since.as_deref().unwrap_or_default();
        sysctl_item(&mut out, setting, &format!("safe since Kubernetes {since}"));
    }
    for setting in &unsafe_ {
        sysctl_item(&mut out, setting, "unsafe: see above");
    }
    let _ = writeln!(out, "    # io_uring is refused by the runtime's own profile:");
    let _ = writeln!(out, "    # throng-tune emit --format seccomp has what it lacks.");
    let _ = writeln!(
        out,
        "    seccompProfile:\n      type: Localhost\n      localhostProfile: throng.json"
    );
    not_for_containers(&mut out, page, &of_host, "a pod");
    out
}

fn sysctl_item(out: &mut String, setting: &Setting<'_>, safety: &str) {
    let _ = writeln!(out, "      # {} ({safety})", setting.key.why);
    let _ =
        writeln!(out, "      - name: {}\n        value: \"{}\"", setting.key.name, setting.value);
}

/// Names what has to be set elsewhere.
fn not_for_containers(out: &mut String, page: &Page<'_>, of_host: &[&Setting<'_>], who: &str) {
    let _ = writeln!(out, "\n# What {who} cannot set; on the host:");
    for setting in of_host {
        let _ = writeln!(out, "#   {} = {}", setting.key.name, setting.value);
    }
    for setting in page.of_kind(Kind::Sysfs) {
        let _ = writeln!(out, "#   {} = {}", setting.key.name, setting.value);
    }
    for setting in page.of_kind(Kind::Boot) {
        let _ = writeln!(
            out,
            "#   {}={} on the kernel's command line",
            setting.key.name, setting.value
        );
    }
    if who == "a pod" {
        for setting in page.of_kind(Kind::Limit) {
            let _ = writeln!(
                out,
                "#   limit {} = {}, in the container runtime's unit",
                setting.key.name, setting.value
            );
        }
    }
}

pub(super) fn docker(page: &Page<'_>) -> String {
    let (own, of_host) = divided(page);
    let mut out = String::new();
    let mut arguments = Vec::new();
    for setting in own {
        let _ = writeln!(out, "# {}: {}", setting.key.name, setting.key.why);
        arguments.push(format!("--sysctl {}=\"{}\"", setting.key.name, setting.value));
    }
    for setting in page.of_kind(Kind::Limit) {
        let _ = writeln!(out, "# {}: {}", setting.key.name, setting.key.why);
        arguments.push(format!("--ulimit {0}={1}:{1}", setting.key.name, setting.value));
    }
    let _ = writeln!(out, "# seccomp: io_uring is refused by the default profile.");
    arguments.push("--security-opt seccomp=throng.json".to_owned());
    let _ = writeln!(out, "docker run \\\n  {} \\\n  IMAGE", arguments.join(" \\\n  "));
    not_for_containers(&mut out, page, &of_host, "a container");
    out
}

/// One entry for the `syscalls` of a profile in the format of the container runtimes.
pub(super) fn seccomp() -> String {
    let entry = json!({
        "names": ["io_uring_setup", "io_uring_enter", "io_uring_register"],
        "action": "SCMP_ACT_ALLOW",
        "comment": "Without these calls shards run over epoll. Append this to the default profile \
                    of the runtime: jq '.syscalls += [input]' default.json this.json"
    });
    format!("{entry:#}\n")
}
