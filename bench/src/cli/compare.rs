//! `compare`: results side by side.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use throng_bench::outcome::compare::{Group, Style, compare, render};
use throng_bench::outcome::read::{ReadError, read};

use super::{Exit, Failure};

/// Two or more JSON results side by side
#[derive(Args, Debug)]
pub(crate) struct CompareArguments {
    /// Sides: each a JSON result, or a quoted pattern of repeated ones ('before-*.json')
    #[arg(required = true, num_args = 2..)]
    sides: Vec<String>,
    /// Compare results of different configurations too
    #[arg(long)]
    anyway: bool,
    /// Write a table of markdown
    #[arg(long)]
    markdown: bool,
}

pub(crate) fn main(arguments: &CompareArguments) -> Result<Exit, Failure> {
    let groups =
        arguments.sides.iter().map(|side| group(side)).collect::<Result<Vec<_>, Failure>>()?;
    let comparison = compare(&groups, arguments.anyway).map_err(Failure::usage)?;
    let style = if arguments.markdown { Style::Markdown } else { Style::Text };
    io::stdout().write_all(render(&comparison, style).as_bytes())?;
    Ok(Exit::Pass)
}

fn group(side: &str) -> Result<Group, Failure> {
    let outcomes: Result<Vec<_>, ReadError> = files(side)?.iter().map(|path| read(path)).collect();
    Ok(Group { name: side.to_owned(), outcomes: outcomes.map_err(Failure::usage)? })
}

/// The files of a side, sorted. A `*` in the file's name stands for anything.
fn files(side: &str) -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new(side);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.exists() || !name.contains('*') {
        return Ok(vec![path.to_owned()]);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|found| matches(name, found)) {
            files.push(entry.path());
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::Usage(format!("{side}: there is no such file")));
    }
    Ok(files)
}

/// Whether a name is as a pattern with `*` says.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| matches(rest, tail)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_for_nothing() {
        for name in ["before-1.json", "before-.json", "before-é.json"] {
            assert!(matches("before-*.json", name), "{name}");
        }
        for name in ["before-1.jso", "after-1.json", "before-1.json.old"] {
            assert!(!matches("before-*.json", name), "{name}");
        }
        assert!(matches("a*b*c", "abbc") && !matches("a*b*c", "acb"));
    }

    #[test]
    fn a_pattern_finds_its_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b-2.json", "b-1.json", "c.json"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let side = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let found = files(&side("b-*.json")).unwrap();
        assert_eq!(found, ["b-1.json", "b-2.json"].map(|name| directory.path().join(name)));
        assert_eq!(files(&side("d-*.json")).unwrap_err().exit(), Exit::Usage);
    }
}
