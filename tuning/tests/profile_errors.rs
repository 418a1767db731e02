//! A wrong profile is an error with file and line.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use throng_tune::profile::{Profile, Role};

const HEAD: &str = "role = \"edge\"\nsummary = \"s\"\nunit = \"u.service\"\n";

const KEY: &str = "[[key]]
name = \"net.core.somaxconn\"
kind = \"sysctl\"
value = [\"4096\"]
bound = [\"at_least\"]
scope = \"netns\"
kernel = \"2.6\"
default = \"d\"
why = \"w\"
risk = \"r\"
counter = \"c\"
source = \"s\"
";

fn error(text: &str) -> String {
    Profile::parse("own.toml", text).unwrap_err().to_string()
}

/// The error after a piece of the key is replaced.
fn changed(from: &str, to: &str) -> String {
    assert!(KEY.contains(from));
    error(&format!("{HEAD}{}", KEY.replacen(from, to, 1)))
}

#[test]
fn the_profiles_that_come_with_the_program_are_right() {
    for role in Role::ALL {
        let profile = Profile::of(role).unwrap();
        assert_eq!(profile.role, role);
        assert!(profile.keys.len() >= 8, "{role}");
    }
    assert!(Profile::parse("own.toml", &format!("{HEAD}{KEY}")).is_ok());
}

#[test]
fn unknown_and_missing_fields() {
    assert_eq!(
        changed("why =", "reason ="),
        "own.toml:12: unknown field `reason`, expected one of \
        `name`, `kind`, `read`, `value`, `words`, `bound`, `need`, `need_column`, `when`, `scope`, \
        `pod_safe_since`, `kernel`, `module`, `capability`, `lowers`, `apply`, `at_listen`, \
        `default`, `why`, `risk`, `counter`, `source`"
    );
    assert_eq!(changed("risk = \"r\"\n", ""), "own.toml:4: missing field `risk`");
}

#[test]
fn formulas() {
    assert_eq!(
        changed("\"4096\"", "\"4096 +\""),
        "own.toml:7: \"4096 +\": at byte 6: expected a number, a name or `(`"
    );
    assert_eq!(changed("\"4096\"", "\"users\""), "own.toml:7: \"users\": unknown variable users");
}

#[test]
fn a_key_that_stands_twice() {
    let text = format!("{HEAD}{KEY}{KEY}");
    assert_eq!(error(&text), "own.toml:17: net.core.somaxconn stands twice, first in line 5");
}

#[test]
fn contradictions() {
    let both = changed("bound =", "words = [\"x\"]\nbound =");
    assert_eq!(both, "own.toml:5: net.core.somaxconn: it has both a value and words");
    let pod = changed("scope = \"netns\"", "scope = \"host\"\npod_safe_since = \"1.0\"");
    assert!(pod.ends_with("a pod can only set what belongs to a network namespace"), "{pod}");
    let need = changed("scope", "need = \"1\"\nneed_column = 1\nscope");
    assert!(need.ends_with("need_column 1 is not one of its columns"), "{need}");
    let left = format!("{HEAD}{KEY}[[left]]\nname = \"net.core.somaxconn\"\nwhy = \"w\"\n");
    assert_eq!(error(&left), "own.toml:17: net.core.somaxconn is both asked for and left alone");
}

#[test]
fn a_value_that_would_not_do_is_a_contradiction_of_the_plan() {
    let text = format!("{HEAD}{}", KEY.replacen("scope", "need = \"4097\"\nscope", 1));
    let profile = Profile::parse("own.toml", &text).unwrap();
    let error = profile.ask(&throng_tune::formula::Variables::new()).unwrap_err().to_string();
    let told = "own.toml:5: net.core.somaxconn asks for 4096 but needs 4097: a contradiction";
    assert_eq!(error, told);
    let text = format!("{HEAD}{}", KEY.replacen("\"4096\"", "\"1 / connections\"", 1));
    let profile = Profile::parse("own.toml", &text).unwrap();
    let variables = [("connections".to_owned(), 0.0)].into();
    let error = profile.ask(&variables).unwrap_err().to_string();
    assert_eq!(error, "own.toml:7: \"1 / connections\": the value is not a finite number");
}
