//! A TOML file takes the flags' names; flags win; what is not known is refused by name.

use std::collections::BTreeSet;
use std::path::Path;

use tempfile::TempDir;
use throng_tests::gateway::{Ended, run_to_end};

fn run_with_file(text: &str, arguments: &[&str]) -> Ended {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("edge.toml");
    std::fs::write(&file, text).unwrap();
    run_to_end(&[&["--config", file.to_str().unwrap()], arguments].concat())
}

fn value(printed: &str, key: &str) -> String {
    let line = printed.lines().find(|line| line.starts_with(&format!("{key} =")));
    let line = line.unwrap_or_else(|| panic!("no {key} in:\n{printed}"));
    line.split_once('=').unwrap().1.trim().to_owned()
}

#[test]
fn print_config_shows_the_documented_defaults() {
    let ended = run_to_end(&["--print-config"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(value(&ended.stdout, "listen"), "\"127.0.0.1:7400\"");
    assert_eq!(value(&ended.stdout, "admin"), "\"127.0.0.1:7401\"");
    assert_eq!(value(&ended.stdout, "data"), "\"./throng-data\"");
    assert_eq!(value(&ended.stdout, "durability"), "\"sync\"");
}

#[test]
fn a_file_changes_defaults_and_flags_change_the_file() {
    let ended =
        run_with_file("shards = 3\nheartbeat-ms = 7000\n", &["--shards", "5", "--print-config"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(value(&ended.stdout, "shards"), "5");
    assert_eq!(value(&ended.stdout, "heartbeat-ms"), "7000");
}

#[test]
fn what_is_printed_is_a_file_that_means_the_same() {
    let first = run_to_end(&["--shards", "7", "--print-config"]);
    let second = run_with_file(&first.stdout, &["--print-config"]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(first.stdout, second.stdout);
}

#[test]
fn an_unknown_key_is_78_and_named() {
    let ended = run_with_file("shard = 3\n", &["--print-config"]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("shard") && ended.stderr.contains("edge.toml"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_value_of_the_wrong_type_is_78_with_its_line() {
    let ended = run_with_file("\nshards = \"many\"\n", &["--print-config"]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("edge.toml:2"), "{}", ended.stderr);
}

#[test]
fn a_file_that_is_not_there_is_78_and_named() {
    let ended = run_to_end(&["--config", "/no/such/edge.toml"]);
    assert_eq!(ended.code, Some(78), "{}", ended.stderr);
    assert!(ended.stderr.contains("/no/such/edge.toml"), "{}", ended.stderr);
}

#[test]
fn shards_have_bounds_on_both_sides() {
    for (shards, code) in [("0", 64), ("1", 0), ("1024", 0), ("1025", 64)] {
        let ended = run_to_end(&["--shards", shards, "--print-config"]);
        assert_eq!(ended.code, Some(code), "{shards}: {}", ended.stderr);
        assert!(code == 0 || ended.stderr.contains("--shards"), "{}", ended.stderr);
    }
}

#[test]
fn a_value_out_of_its_range_in_a_file_is_78_with_line_and_key() {
    for (value, code) in [("0", 78), ("1", 0), ("1024", 0), ("1025", 78)] {
        let ended = run_with_file(&format!("\nshards = {value}\n"), &["--print-config"]);
        assert_eq!(ended.code, Some(code), "{value}: {}", ended.stderr);
        assert!(code == 0 || ended.stderr.contains("edge.toml:2: shards"), "{}", ended.stderr);
    }
}

#[test]
fn an_interval_of_durability_may_be_written_as_a_number() {
    let ended = run_with_file("durability = 250\n", &["--print-config"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(value(&ended.stdout, "durability"), "250");
}

/// The settings' table of docs/operations.md and the flags are the same set.
#[test]
fn every_setting_is_documented_and_every_documented_one_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, settings) = document.split_once("\n## Settings\n").unwrap();
    let settings = settings.split("\n## ").next().unwrap();
    let rows = settings.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let documented: BTreeSet<&str> =
        rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let help = run_to_end(&["--help"]).stdout;
    let not_settings = ["config", "print-config", "help", "version"];
    let flags: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().split_once("--"))
        .filter(|(before, _)| before.is_empty() || before.starts_with('-'))
        .map(|(_, name)| name.split([' ', '[', '=']).next().unwrap())
        .filter(|name| !not_settings.contains(name))
        .collect();
    assert_eq!(flags, documented);
}
