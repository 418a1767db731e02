//! Flags win over the file, the file over the defaults; what is wrong is said with its place.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fs;

use tempfile::NamedTempFile;
use throng_edge::config::{Asked, Settings, read};
use throng_edge::exit::{Exit, Fatal};

fn ask(arguments: &[&str]) -> Result<Asked, Fatal> {
    let mut line = vec!["throng-edge"];
    line.extend(arguments);
    read(line)
}

fn settings(arguments: &[&str]) -> Settings {
    match ask(arguments) {
        Ok(Asked::Run(settings)) => *settings,
        other => panic!("{other:?}"),
    }
}

fn refused(arguments: &[&str]) -> Fatal {
    match ask(arguments) {
        Err(fatal) => fatal,
        other => panic!("{other:?}"),
    }
}

fn file(content: &str) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), content).unwrap();
    file
}

#[test]
fn without_arguments_it_is_a_development_gateway_on_loopback() {
    let settings = settings(&[]);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:7400");
    assert_eq!(settings.admin.to_string(), "127.0.0.1:7401");
    assert_eq!(settings.data.to_str(), Some("./throng-data"));
    assert!(settings.is_development() && !settings.echo && settings.shards >= 1);
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = file("shards = 3\nheartbeat-ms = 5000\n");
    let path = file.path().to_str().unwrap();
    let settings = settings(&["--config", path, "--shards", "7"]);
    assert_eq!((settings.shards, settings.heartbeat_ms, settings.ops_burst), (7, 5000, 200));
}

#[test]
fn what_is_printed_can_be_read_again() {
    let arguments = ["--shards", "5", "--durability", "250", "--jwks", "keys.json"];
    let Ok(Asked::Print(first)) = ask(&[&arguments[..], &["--print-config"]].concat()) else {
        panic!("prints")
    };
    let file = file(&first);
    let Ok(Asked::Print(second)) =
        ask(&["--config", file.path().to_str().unwrap(), "--print-config"])
    else {
        panic!("prints")
    };
    assert_eq!(first, second);
    assert!(first.contains("shards = 5") && first.contains("durability = 250"), "{first}");
}

#[test]
fn what_is_not_set_is_printed_as_a_comment() {
    let Ok(Asked::Print(text)) = ask(&["--print-config", "--jwks", "keys.json"]) else {
        panic!("prints")
    };
    let comments: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let unset = ["jwt-key", "jwt-alg", "jwt-audience", "jwt-issuer"];
    assert_eq!(comments, unset.map(|key| format!("{key} = \"\"")));
}

#[test]
fn what_tokens_must_say_is_refused_without_a_key_that_verifies_them() {
    for flag in ["--jwt-audience", "--jwt-issuer"] {
        let fatal = refused(&[flag, "chat"]);
        assert_eq!(fatal.exit, Exit::Configuration);
        assert!(fatal.message.contains("--jwt-key or --jwks"), "{fatal}");
        assert!(ask(&[flag, "chat", "--jwks", "keys.json"]).is_ok(), "{flag} with a key");
    }
}

#[test]
fn an_unknown_key_is_an_error_with_file_and_line() {
    let file = file("shards = 3\n\nshard = 4\n");
    let path = file.path().to_str().unwrap();
    let fatal = refused(&["--config", path]);
    assert_eq!(fatal.exit, Exit::Configuration);
    assert!(fatal.message.contains(&format!("{path}:3:")), "{fatal}");
    assert!(fatal.message.contains("shard"), "{fatal}");
}

#[test]
fn a_value_of_the_wrong_type_is_an_error_with_file_and_line() {
    let file = file("# comment\nshards = \"many\"\n");
    let fatal = refused(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(fatal.exit, Exit::Configuration);
    assert!(fatal.message.contains(":2:"), "{fatal}");
}

#[test]
fn a_missing_file_is_a_wrong_configuration() {
    assert_eq!(refused(&["--config", "/nowhere/throng.toml"]).exit, Exit::Configuration);
}

#[test]
fn a_wrong_command_line_is_a_wrong_usage() {
    for line in [&["--no-such-flag"][..], &["--shards", "many"], &["--listen", "here"], &["file"]] {
        assert_eq!(refused(line).exit, Exit::Usage, "{line:?}");
    }
}

#[test]
fn help_and_version_are_printed() {
    for flag in ["--help", "--version"] {
        assert!(matches!(ask(&[flag]), Ok(Asked::Print(text)) if text.contains("throng-edge")));
    }
}

#[test]
fn without_keys_only_loopback_may_be_listened_on() {
    let fatal = refused(&["--listen", "0.0.0.0:7400"]);
    assert_eq!(fatal.exit, Exit::Configuration);
    assert!(fatal.message.contains("--jwt-key"), "{fatal}");
    assert!(settings(&["--listen", "127.8.8.8:7400"]).is_development());
    assert!(settings(&["--listen", "[::1]:7400"]).is_development());
    assert!(!settings(&["--listen", "0.0.0.0:7400", "--jwks", "set.json"]).is_development());
    assert!(settings(&["--listen", "0.0.0.0:7400", "--echo"]).echo);
}

/// Each setting that has a range: what it takes, and what it does not.
const RANGES: [(&str, &[&str], &[&str]); 16] = [
    ("shards", &["1", "1024"], &["0", "1025"]),
    ("frame-bytes-max", &["1", "65536"], &["0", "67108865"]),
    ("heartbeat-ms", &["100", "86400000"], &["99", "86400001"]),
    ("http-deadline-ms", &["1", "86400000"], &["0", "86400001"]),
    ("hello-deadline-ms", &["1", "86400000"], &["0", "86400001"]),
    ("output-stall-ms", &["1", "86400000"], &["0", "86400001"]),
    ("cold-after-ms", &["0", "86400000"], &["-1", "86400001"]),
    ("drain-window-ms", &["0", "86400000"], &["-1", "86400001"]),
    ("accepts-per-s", &["1", "4294967295"], &["0", "4294967296"]),
    ("ops-per-s", &["1", "4294967295"], &["0", "4294967296"]),
    ("ops-burst", &["1", "65535"], &["0", "65536"]),
    ("handshakes-per-shard-max", &["1"], &["0"]),
    ("handshakes-per-address-max", &["1"], &["0"]),
    ("group-members-max", &["2", "500"], &["1", "501"]),
    ("devices-max", &["1", "64"], &["0", "65"]),
    ("durability", &["1", "86400000"], &["0", "86400001"]),
];

#[test]
fn a_flag_out_of_its_range_is_a_wrong_usage_and_named() {
    for (name, right, wrong) in RANGES {
        for value in right {
            assert!(ask(&[&format!("--{name}={value}")]).is_ok(), "{name} {value}");
        }
        for value in wrong {
            let fatal = refused(&[&format!("--{name}={value}")]);
            assert_eq!(fatal.exit, Exit::Usage, "{name} {value}");
            assert!(fatal.message.contains(&format!("--{name}")), "{fatal}");
        }
    }
}

#[test]
fn a_key_out_of_its_range_is_named_with_file_and_line() {
    for (name, right, wrong) in RANGES {
        let with = |value: &str| {
            let file = file(&format!("# a comment\n\n{name} = {value}\n"));
            let path = file.path().to_str().unwrap().to_owned();
            (ask(&["--config", &path]), path)
        };
        for value in right {
            assert!(with(value).0.is_ok(), "{name} {value}");
        }
        for value in wrong {
            let (outcome, path) = with(value);
            let Err(fatal) = outcome else { panic!("{name} {value}") };
            assert_eq!(fatal.exit, Exit::Configuration, "{name} {value}");
            assert!(fatal.message.starts_with(&format!("{path}:3: {name}: ")), "{fatal}");
        }
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let wrong: [(&[&str], &str); 3] = [
        (&["--output-burst-bytes", "65535"], "output-budget-bytes"),
        (&["--frame-bytes-max", "65537"], "frame-bytes-max"),
        (&["--jwt-alg", "HS256"], "jwt-key"),
    ];
    for (line, named) in wrong {
        let fatal = refused(line);
        assert_eq!(fatal.exit, Exit::Configuration, "{line:?}");
        assert!(fatal.message.contains(named), "{fatal}");
    }
    assert!(ask(&["--output-burst-bytes", "65536"]).is_ok());
}

#[test]
fn messages_to_echo_have_a_bound_of_their_own() {
    for (bytes, is_taken) in [("67108864", true), ("67108865", false)] {
        let line = ["--echo", "--frame-bytes-max", bytes, "--output-burst-bytes", "200000000"];
        assert_eq!(ask(&line).is_ok(), is_taken, "{bytes}");
    }
}

#[test]
fn echo_takes_the_large_messages_of_the_conformance_suite() {
    let settings = settings(&["--echo"]);
    assert_eq!(settings.frame_bytes_max, 16 * 1024 * 1024);
    assert!(settings.output_burst_bytes >= 2 * settings.frame_bytes_max);
}

#[test]
fn durability_is_sync_os_or_an_interval() {
    for value in ["sync", "os", "100"] {
        assert_eq!(settings(&["--durability", value]).durability.to_string(), value);
    }
    for value in ["0", "never", "-1"] {
        let line = format!("--durability={value}");
        assert_eq!(refused(&[&line]).exit, Exit::Usage, "{value}");
    }
}

#[test]
fn in_a_file_an_interval_of_durability_is_a_number_with_or_without_quotes() {
    for (value, meant) in [("250", "250"), ("\"250\"", "250"), ("\"os\"", "os")] {
        let file = file(&format!("durability = {value}\n"));
        let settings = settings(&["--config", file.path().to_str().unwrap()]);
        assert_eq!(settings.durability.to_string(), meant, "{value}");
    }
    for value in ["\"never\"", "0", "-1", "1.5", "true"] {
        let file = file(&format!("durability = {value}\n"));
        let fatal = refused(&["--config", file.path().to_str().unwrap()]);
        assert_eq!(fatal.exit, Exit::Configuration, "{value}");
        assert!(fatal.message.contains(":1: durability: "), "{fatal}");
    }
}

#[test]
fn every_setting_metric_and_reason_is_documented() {
    use throng_edge::metrics::{CloseReason, Counters, Gauges};
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let manual = fs::read_to_string(path).unwrap();
    let Ok(Asked::Print(printed)) = ask(&["--print-config"]) else { panic!("prints") };
    let lines = printed.lines().map(|line| line.trim_start_matches("# "));
    let settings = lines.filter_map(|line| line.split(" = ").next());
    let counters = Counters::NAMES.iter().map(|(name, _)| format!("{name}_total"));
    let gauges = Gauges::NAMES.iter().map(|(name, _)| (*name).to_owned());
    let reasons = CloseReason::ALL.iter().map(|reason| reason.label().to_owned());
    for name in settings.map(str::to_owned).chain(counters).chain(gauges).chain(reasons) {
        assert!(manual.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
    }
}
