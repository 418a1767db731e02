//! Every key with its reason, as text and as the table of docs/tuning.md.

use std::fmt::Write;

use crate::profile::{Asked, Bound, Column, Key, Kind, Profile, Scope};

/// All that is known of one key.
#[must_use]
pub fn key(profile: &Profile, name: &str) -> Option<String> {
    if let Some(left) = profile.left.iter().find(|left| left.name == name) {
        return Some(format!(
            "{name}: left alone by the {} profile\n  why: {}\n",
            profile.role, left.why
        ));
    }
    let key = profile.key(name)?;
    let mut out = format!("{name}: {}\n", asked(key));
    let need = key.need.as_ref().map_or("none", |(_, need)| need.text.as_str());
    let scope = scope(key);
    for (title, text) in [
        ("needed", need),
        ("by itself", &key.default),
        ("why", &key.why),
        ("risk", &key.risk),
        ("shows in", &key.counter),
        ("belongs to", scope.as_str()),
        ("source", &key.source),
    ] {
        let _ = writeln!(out, "  {title}: {text}");
    }
    Some(out)
}

/// What is asked, as formulas.
fn asked(key: &Key) -> String {
    key.columns.iter().map(column).collect::<Vec<_>>().join(" / ")
}

fn column(column: &Column) -> String {
    match (&column.asked, column.bound) {
        (Asked::Words(words), _) => words.join(" or "),
        (Asked::Number(expression), Bound::AtLeast) => format!(">= {}", expression.text),
        (Asked::Number(expression), Bound::AtMost) => format!("<= {}", expression.text),
        (Asked::Number(expression), Bound::Equal) => expression.text.clone(),
    }
}

fn scope(key: &Key) -> String {
    let owner = match (key.kind, key.scope) {
        (Kind::Boot, _) => "command line",
        (_, Scope::Host) => "host",
        (_, Scope::Netns) => "network namespace",
        (_, Scope::Process) => "service",
    };
    let pod = key.pod_safe_since.as_ref().map(|since| format!(", safe in pods since {since}"));
    format!("{owner}{}, kernel {}", pod.unwrap_or_default(), key.kernel)
}

/// The table of several profiles, as Markdown: what is asked, then what is left alone.
#[must_use]
pub fn markdown(profiles: &[Profile]) -> String {
    let mut out = String::new();
    for profile in profiles {
        let _ = writeln!(out, "## {}\n\n{}.\n", profile.role, profile.summary);
        let _ = writeln!(
            out,
            "| key | asked, by itself | why | risk | shows in | belongs to | source |"
        );
        let _ = writeln!(out, "|---|---|---|---|---|---|---|");
        for key in &profile.keys {
            out.push_str(&row(key));
        }
        let _ = writeln!(out, "\nLeft alone:\n");
        for left in &profile.left {
            let mark = if left.harmful { " (told if a file sets it)" } else { "" };
            let _ = writeln!(out, "- `{}`{mark}: {}", left.name, left.why);
        }
        let _ = writeln!(out, "\n| cost | | origin | source |\n|---|---|---|---|");
        for cost in &profile.costs {
            let (name, value, unit) = (&cost.name, cost.value, &cost.unit);
            let _ = writeln!(
                out,
                "| `{name}` | {value} {unit} | {} | {} |",
                cost.origin.word(),
                cost.source
            );
        }
        out.push('\n');
    }
    out
}

fn row(key: &Key) -> String {
    let when = key.when.as_ref().map(|when| format!(", where `{}` > 0", when.text));
    let lowers = if key.lowers { ", with `--lower-defaults`" } else { "" };
    let need = key.need.as_ref().map(|(column, need)| {
        let side = if key.columns[*column].bound == Bound::AtMost { "above" } else { "below" };
        format!("; fails {side} `{}`", need.text)
    });
    format!(
        "| `{}` | `{}`{}{lowers}{}; by itself {} | {} | {} | {} | {} | {} |\n",
        key.name,
        asked(key),
        when.unwrap_or_default(),
        need.unwrap_or_default(),
        key.default,
        key.why,
        key.risk,
        key.counter,
        scope(key),
        key.source,
    )
}
