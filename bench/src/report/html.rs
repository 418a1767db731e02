//! Text in HTML.

use std::fmt::Write;

/// Text that is content or a quoted attribute, whatever it holds.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            control if control.is_control() && !"\n\t".contains(control) => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// A cell with a figure: exact for programs, short for people.
pub(super) fn cell(value: Option<f64>, show: fn(f64) -> String, out: &mut String) {
    let _ = match value {
        Some(value) => {
            write!(out, "<td><data value=\"{value}\">{}</data></td>", escape(&show(value)))
        }
        None => write!(out, "<td>–</td>"),
    };
}

/// The first row of a table.
pub(super) fn head<'a>(names: impl IntoIterator<Item = &'a str>, out: &mut String) {
    out.push_str("<thead><tr>");
    for name in names {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n");
}
