//! A comparison as text or as markdown.

use std::fmt::Write;

use super::{Comparison, Row, Unit};
use crate::outcome::format::{bytes, figure, number, time_us};
use crate::spread::Spread;

/// How a comparison is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Columns of a terminal.
    Text,
    /// A table of GitHub-flavoured markdown.
    Markdown,
}

/// The whole comparison, ending with a line break.
#[must_use]
pub fn render(comparison: &Comparison, style: Style) -> String {
    let mut cells = vec![heads(comparison)];
    cells.extend(comparison.rows.iter().map(row));
    let mut text = String::new();
    for note in &comparison.notes {
        let _ = match style {
            Style::Text => writeln!(text, "{note}"),
            Style::Markdown => writeln!(text, "> {}\n>", one_line(note)),
        };
    }
    text.push('\n');
    match style {
        Style::Text => columns(&cells, &mut text),
        Style::Markdown => markdown(&cells, &mut text),
    }
    text
}

fn heads(comparison: &Comparison) -> Vec<String> {
    let mut heads = vec!["figure".to_owned()];
    for (at, (name, rounds)) in comparison.names.iter().zip(&comparison.rounds).enumerate() {
        heads.push(if *rounds > 1 { format!("{name} ({rounds} rounds)") } else { name.clone() });
        if at > 0 {
            heads.push("ratio".to_owned());
        }
    }
    heads
}

fn row(row: &Row) -> Vec<String> {
    let mut cells = vec![row.name.clone()];
    for (at, side) in row.sides.iter().enumerate() {
        cells.push(side.map_or_else(|| "-".to_owned(), |side| spread(side, row)));
        if at > 0 {
            cells.push(row.ratio(at).map_or_else(|| "-".to_owned(), ratio));
        }
    }
    cells
}

fn spread(spread: Spread, row: &Row) -> String {
    let text = |value| match row.unit {
        Unit::Time => time_us(value),
        Unit::Bytes => bytes(value),
        Unit::Number => number(value),
        Unit::Figure => figure(&row.name, value),
    };
    if spread.low == spread.high {
        return text(spread.median);
    }
    format!("{} ({} - {})", text(spread.median), text(spread.low), text(spread.high))
}

fn ratio(spread: Spread) -> String {
    if spread.low == spread.high {
        return format!("{:.3}", spread.median);
    }
    format!("{:.3} ({:.3} - {:.3})", spread.median, spread.low, spread.high)
}

fn columns(cells: &[Vec<String>], out: &mut String) {
    let wide = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..).map_while(wide).collect();
    for row in cells {
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at {
                0 => write!(out, "{cell:<width$}"),
                _ => write!(out, "  {cell:>width$}"),
            };
        }
        out.push('\n');
    }
}

fn markdown(cells: &[Vec<String>], out: &mut String) {
    for (at, row) in cells.iter().enumerate() {
        let escaped: Vec<String> = row.iter().map(|cell| one_line(cell)).collect();
        let _ = writeln!(out, "| {} |", escaped.join(" | "));
        if at == 0 {
            let _ = writeln!(out, "|---|{}", "---:|".repeat(row.len() - 1));
        }
    }
}

/// A cell must not end its row or its column, nor be a tag.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|").replace('<', "&lt;")
}
