//! A line chart as inline SVG, with its table.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::html::{cell, escape, head};
use super::scale::Scale;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 100.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// Distance of labels at the ends of lines, so that none covers another.
const LABEL_DISTANCE: f64 = 14.0;

/// Characters of a label that fit beside the chart.
const LABEL_CHARACTERS: usize = 13;

/// Lines of different colours; further ones begin anew.
const COLOURS: usize = 6;

/// Points drawn of a line: more than this are not told apart.
const POINTS_MAX: usize = 600;

/// How values of an axis are shown, and what it is called.
pub(super) struct Axis {
    /// With the unit, if the values have none.
    pub(super) title: &'static str,
    /// A value as text.
    pub(super) show: fn(f64) -> String,
}

/// One line of a chart.
pub(super) struct Line {
    /// Direct label, and the head of its column.
    pub(super) label: String,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
    /// Which of the colours.
    pub(super) colour: usize,
    /// Dashed lines are the lesser truth: uncorrected, or the generator's.
    pub(super) dashed: bool,
}

/// A chart.
pub(super) struct Figure {
    pub(super) title: String,
    /// For those who do not see it, and as its caption.
    pub(super) description: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) x_scale: Scale,
    pub(super) y_scale: Scale,
    pub(super) lines: Vec<Line>,
}

impl Figure {
    /// The chart, its caption and its table.
    pub(super) fn write(&self, out: &mut String) {
        let title = escape(&self.title);
        let _ = writeln!(out, "<figure><h2>{title}</h2>");
        let _ = writeln!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><title>{title}</title><desc>{}</desc>",
            escape(&self.description)
        );
        self.axes(out);
        for line in &self.lines {
            self.line(line, out);
        }
        self.labels(out);
        let _ = writeln!(out, "</svg><figcaption>{}</figcaption>", escape(&self.description));
        self.table(out);
        out.push_str("</figure>\n");
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x_scale.position(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y_scale.position(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y_scale.ticks() {
            let y = self.y(tick);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"y\" x=\"{:.1}\" \
                 y=\"{:.1}\">{}</text>",
                LEFT - 5.0,
                y + 4.0,
                escape(&tick_text(self.y.show, tick))
            );
        }
        for tick in self.x_scale.ticks() {
            let x = self.x(tick);
            let _ = writeln!(
                out,
                "<path class=\"grid\" d=\"M{x:.1} {bottom}v5\"/><text class=\"x\" x=\"{x:.1}\" \
                 y=\"{:.1}\">{}</text>",
                bottom + 17.0,
                escape(&tick_text(self.x.show, tick))
            );
        }
        let _ = writeln!(
            out,
            "<path class=\"axis\" d=\"M{LEFT} {bottom}H{right}\"/><text class=\"x title\" \
             x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0,
            escape(self.x.title)
        );
    }

    fn line(&self, line: &Line, out: &mut String) {
        let step = line.points.len().div_ceil(POINTS_MAX).max(1);
        let last = line.points.len().saturating_sub(1);
        let mut path = String::new();
        for (at, &(x, y)) in line.points.iter().enumerate() {
            if at.is_multiple_of(step) || at == last {
                let command = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{command}{:.1} {:.1}", self.x(x), self.y(y));
            }
        }
        let dashed = if line.dashed { " dashed" } else { "" };
        let colour = line.colour % COLOURS;
        let _ = writeln!(
            out,
            "<path class=\"line c{colour}{dashed}\" d=\"{path}\"><title>{}</title></path>",
            escape(&line.label)
        );
    }

    /// Labels stand at the ends of their lines, moved apart where the ends are close.
    fn labels(&self, out: &mut String) {
        let mut ends: Vec<(f64, f64, &Line)> = self
            .lines
            .iter()
            .filter_map(|line| {
                let &(x, y) = line.points.last()?;
                Some((self.y(y), self.x(x), line))
            })
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = TOP;
        for end in &mut ends {
            end.0 = end.0.max(free);
            free = end.0 + LABEL_DISTANCE;
        }
        let mut bottom = HEIGHT - BOTTOM;
        for end in ends.iter_mut().rev() {
            end.0 = end.0.min(bottom);
            bottom = end.0 - LABEL_DISTANCE;
        }
        for (y, x, line) in ends {
            let colour = line.colour % COLOURS;
            let x = x.max(WIDTH - RIGHT) + 5.0;
            let _ = writeln!(
                out,
                "<text class=\"label c{colour}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                y + 4.0,
                escape(&shortened(&line.label))
            );
        }
    }

    fn table(&self, out: &mut String) {
        out.push_str("<details><summary>Table</summary><div class=\"wide\"><table>\n");
        let labels = self.lines.iter().map(|line| line.label.as_str());
        head([self.x.title].into_iter().chain(labels), out);
        out.push_str("<tbody>\n");
        for (x, values) in self.rows() {
            out.push_str("<tr>");
            cell(Some(x), self.x.show, out);
            for value in values {
                cell(value, self.y.show, out);
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div></details>\n");
    }

    /// The values of all lines by where they are on the x axis.
    fn rows(&self) -> impl Iterator<Item = (f64, Vec<Option<f64>>)> {
        // Positive floats sort as their bits do.
        let mut rows: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
        for (at, line) in self.lines.iter().enumerate() {
            for &(x, y) in &line.points {
                let row = rows.entry(x.max(0.0).to_bits());
                row.or_insert_with(|| vec![None; self.lines.len()])[at] = Some(y);
            }
        }
        rows.into_iter().map(|(x, values)| (f64::from_bits(x), values))
    }
}

/// Ticks are round: `20 ms`, not `20.0 ms`.
fn tick_text(show: fn(f64) -> String, tick: f64) -> String {
    let text = show(tick);
    match text.split_once(' ') {
        Some((digits, unit)) if digits.contains('.') => {
            format!("{} {unit}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => text,
    }
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL_CHARACTERS {
        return label.to_owned();
    }
    label.chars().take(LABEL_CHARACTERS - 1).chain(['…']).collect()
}
