//! Results as one HTML file: no script, no network, nothing beside it. Charts are inline SVG with a
//! title, a description and a table of the same numbers; exact values stand in `<data value>`.
//!
//! Everything that comes from a result goes through [`html::escape`]: a result may be a stranger's.

mod chart;
mod figures;
mod html;
mod scale;
mod sections;

use std::fmt::Write;

use crate::outcome::Outcome;
use crate::outcome::text::verdict;
use html::escape;

/// A result and what the user calls it (its file).
pub struct Entry {
    /// Shown in headings and labels.
    pub name: String,
    /// The result.
    pub outcome: Outcome,
}

const STYLE: &str = include_str!("style.css");

/// The page. Several results are drawn over each other.
#[must_use]
pub fn render(entries: &[Entry]) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let title = escape(&title(entries));
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    let _ = write!(page, "<title>{title}</title>\n<style>{STYLE}</style></head>\n<body><main>\n");
    let _ = writeln!(page, "<h1>{title}</h1>");
    for entry in entries {
        sections::header(entry, entries.len() > 1, &mut page);
    }
    sections::times(entries, &mut page);
    page.push_str("<div class=\"charts\">\n");
    for figure in figures::all(entries) {
        figure.write(&mut page);
    }
    page.push_str("</div>\n");
    sections::costs(entries, &mut page);
    for entry in entries {
        sections::failures(entry, &mut page);
    }
    page.push_str("</main></body></html>\n");
    page
}

fn title(entries: &[Entry]) -> String {
    match entries {
        [one] => format!("throng-bench {}: {}", one.outcome.kind, verdict(&one.outcome)),
        many => format!("throng-bench: {} results", many.len()),
    }
}

#[cfg(test)]
mod tests;
