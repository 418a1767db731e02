//! The parts of a report that are text and tables.

use std::fmt::Write;

use super::Entry;
use super::html::{cell, escape, head};
use crate::generator::{Cause, Metric};
use crate::outcome::format::{bytes, count, figure, number, time_us};
use crate::outcome::text::{headline, verdict};
use crate::outcome::{Outcome, Side};

/// Verdict, thresholds, findings, plan and hardware of one result.
pub(super) fn header(entry: &Entry, named: bool, out: &mut String) {
    let outcome = &entry.outcome;
    out.push_str("<section>");
    if named {
        let _ = writeln!(out, "<h2>{}</h2>", escape(&entry.name));
    }
    let class = if verdict(outcome) == "ok" { "good" } else { "bad" };
    let _ = writeln!(out, "<p class=\"verdict {class}\">{}</p>", escape(&headline(outcome)));
    list("Not valid", outcome.invalid.iter().map(String::as_str), out);
    thresholds(outcome, out);
    list("Findings", outcome.findings.iter().map(String::as_str), out);
    figures(outcome, out);
    out.push_str("<details><summary>Plan and hardware</summary><dl>");
    let host = &outcome.host;
    term("command", &host.command, out);
    term("hardware", &host.line(), out);
    term("started", &format!("{} ms since 1970 (UTC)", outcome.started_ms), out);
    for (name, value) in &outcome.plan {
        term(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned), out);
    }
    out.push_str("</dl></details></section>\n");
}

fn term(name: &str, value: &str, out: &mut String) {
    let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(name), escape(value));
}

fn list<'a>(title: &str, items: impl Iterator<Item = &'a str>, out: &mut String) {
    let items: String = items.map(|item| format!("<li>{}</li>", escape(item))).collect();
    if !items.is_empty() {
        let _ = writeln!(out, "<h2>{title}</h2><ul>{items}</ul>");
    }
}

fn thresholds(outcome: &Outcome, out: &mut String) {
    if outcome.thresholds.is_empty() {
        return;
    }
    out.push_str("<h2>Thresholds</h2><ul>");
    for threshold in &outcome.thresholds {
        let (class, word) = if threshold.passed { ("good", "kept") } else { ("bad", "broken") };
        let value = threshold.value.map_or_else(|| "no data".to_owned(), number);
        let _ = writeln!(
            out,
            "<li><span class=\"verdict {class}\">{word}</span> <code>{}</code> (is {value})</li>",
            escape(&threshold.expression)
        );
    }
    out.push_str("</ul>");
}

fn figures(outcome: &Outcome, out: &mut String) {
    if outcome.figures.is_empty() {
        return;
    }
    out.push_str("<dl>");
    for (name, value) in &outcome.figures {
        let _ = writeln!(
            out,
            "<dt>{}</dt><dd><data value=\"{value}\">{}</data></dd>",
            escape(name),
            figure(name, *value)
        );
    }
    out.push_str("</dl>");
}

/// The percentiles of every metric of every result.
#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
pub(super) fn times(entries: &[Entry], out: &mut String) {
    out.push_str("<section><h2>Times</h2><div class=\"wide\"><table>");
    let heads = ["time", "count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    head(heads, out);
    out.push_str("<tbody>");
    for metric in Metric::ALL {
        for entry in entries {
            let Some(times) = entry.outcome.latency_us.get(metric.name()) else { continue };
            row_head(entries, entry, metric.name(), out);
            cell(Some(times.count as f64), number, out);
            let ends = [times.min, times.mean, times.p50, times.p90, times.p99];
            let tail = [times.p99_9, times.p99_99, times.max];
            for value in ends.into_iter().chain(tail) {
                cell(Some(value), time_us, out);
            }
            out.push_str("</tr>\n");
        }
    }
    out.push_str("</tbody></table></div></section>\n");
}

fn row_head(entries: &[Entry], entry: &Entry, what: &str, out: &mut String) {
    let of = if entries.len() > 1 { format!(" ({})", entry.name) } else { String::new() };
    let _ = write!(out, "<tr><th scope=\"row\">{}{}</th>", escape(what), escape(&of));
}

/// What both sides of every result cost.
pub(super) fn costs(entries: &[Entry], out: &mut String) {
    out.push_str("<section><h2>Cost of both sides</h2><div class=\"wide\"><table>");
    let heads = [
        "side",
        "processor seconds",
        "resident",
        "before",
        "slab",
        "socket data",
        "user per connection",
        "kernel per connection",
    ];
    head(heads, out);
    out.push_str("<tbody>");
    for entry in entries {
        if let Some(server) = &entry.outcome.server {
            row_head(entries, entry, "server", out);
            side(server, out);
        }
        row_head(entries, entry, "generator", out);
        side(&entry.outcome.client, out);
    }
    out.push_str("</tbody></table></div></section>\n");
}

#[expect(clippy::cast_precision_loss, reason = "memory of a host is far below 2^53 bytes")]
fn side(side: &Side, out: &mut String) {
    cell(Some(side.cpu_seconds), number, out);
    let totals = [side.rss_bytes, side.rss_before_bytes, side.slab_bytes, side.socket_bytes];
    for total in totals {
        cell(Some(total as f64), bytes, out);
    }
    cell(Some(side.user_bytes_per_connection), bytes, out);
    cell(Some(side.kernel_bytes_per_connection), bytes, out);
    out.push_str("</tr>\n");
}

/// Failed connections by cause, with what to do.
pub(super) fn failures(entry: &Entry, out: &mut String) {
    let outcome = &entry.outcome;
    let _ = writeln!(out, "<section><h2>Failed connections: {}</h2>", escape(&entry.name));
    if outcome.failed.is_empty() {
        out.push_str("<p>None.</p></section>\n");
        return;
    }
    out.push_str("<ul>");
    for (name, failed) in &outcome.failed {
        let advice = Cause::ALL.iter().find(|cause| cause.name() == name).map(|c| c.advice());
        let _ = writeln!(
            out,
            "<li><strong>{}</strong>: {}{}. {}</li>",
            escape(name),
            count(*failed),
            escape(&details(outcome, name)),
            escape(advice.unwrap_or_default())
        );
    }
    out.push_str("</ul></section>\n");
}

/// ` (503: 7, 404: 1)`
fn details(outcome: &Outcome, cause: &str) -> String {
    let prefix = format!("{cause}/");
    let of =
        |(name, count): (&String, &u64)| Some(format!("{}: {count}", name.strip_prefix(&prefix)?));
    let details: Vec<String> = outcome.failed_detail.iter().filter_map(of).collect();
    if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) }
}
