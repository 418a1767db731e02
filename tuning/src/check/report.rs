//! Findings as text and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{Finding, Level};

/// Name and version of the JSON format.
const SCHEMA: &str = "throng-tune-check/1";

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    exit: u8,
    findings: &'a [Finding],
}

/// Writes one JSON document.
///
/// # Errors
/// Nobody takes the output.
pub fn json(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    let exit = super::exit(findings) as u8;
    serde_json::to_writer_pretty(&mut *out, &Document { schema: SCHEMA, exit, findings })?;
    writeln!(out)
}

/// Writes a line for each finding, and under what is not good why and what to do.
///
/// # Errors
/// Nobody takes the output.
pub fn text(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    for finding in findings {
        let asked = if finding.asked.is_empty() {
            String::new()
        } else {
            format!(" (asked: {})", finding.asked)
        };
        writeln!(out, "{:<10} {}: {}{asked}", word(finding.level), finding.subject, finding.live)?;
        if finding.level > Level::Note {
            let lines =
                [("why", &finding.why), ("do", &finding.action), ("shows in", &finding.counter)];
            for (title, line) in lines.into_iter().filter(|(_, line)| !line.is_empty()) {
                writeln!(out, "           {title}: {line}")?;
            }
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    writeln!(
        out,
        "{} good, {} to know, {} to better, {} unreadable, {} by which the plan would fail",
        count(Level::Good),
        count(Level::Note),
        count(Level::Advice),
        count(Level::Unreadable),
        count(Level::Fails),
    )
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Note => "note",
        Level::Advice => "advice",
        Level::Unreadable => "UNREADABLE",
        Level::Fails => "FAILS",
    }
}
