//! The resource limits that systemd will give a service: its unit file and drop-ins.

use super::Host;
use crate::value::{Word, parse_bytes};

/// In the order in which they mask each other.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// The directive of a limit (`LimitNOFILE` of `nofile`).
#[must_use]
pub fn directive(limit: &str) -> String {
    format!("Limit{}", limit.to_uppercase())
}

/// The hard limit that a unit asks for, by the limit's name; `None` if nothing does. A drop-in
/// named `except` does not count.
#[must_use]
pub fn unit_limit(host: &Host, unit: &str, limit: &str, except: Option<&str>) -> Option<Word> {
    let directive = directive(limit);
    let mut texts: Vec<String> = DIRECTORIES
        .iter()
        .find_map(|place| host.read(&format!("{place}/{unit}")).ok())
        .into_iter()
        .collect();
    let mut drop_ins = std::collections::BTreeMap::new();
    for place in DIRECTORIES {
        let names = host.names(&format!("{place}/{unit}.d")).into_iter();
        let counts = |name: &String| name.ends_with(".conf") && except != Some(name.as_str());
        for name in names.filter(counts) {
            drop_ins.entry(name.clone()).or_insert_with(|| format!("{place}/{unit}.d/{name}"));
        }
    }
    texts.extend(drop_ins.values().filter_map(|path| host.read(path).ok()));
    let values = texts.iter().flat_map(|text| text.lines());
    let mut values =
        values.filter_map(|line| line.trim().strip_prefix(&directive)?.trim().strip_prefix('='));
    // A limit may be written `soft:hard`.
    let hard = values.next_back().map(|value| value.rsplit(':').next().unwrap_or(value).trim())?;
    Some(word(limit, hard))
}

fn word(limit: &str, text: &str) -> Word {
    if limit == "nice" && text.starts_with(['+', '-']) {
        // setrlimit(2): the limit is 20 less the nice value.
        return text.parse::<i64>().map_or_else(
            |_| Word::Text(text.to_owned()),
            |nice| Word::Number(u64::try_from(20 - nice).unwrap_or(0)),
        );
    }
    parse_bytes(text).map_or_else(|_| Word::parse(text), Word::Number)
}
