use super::*;
use crate::outcome::testing::echo_outcome;

fn group(name: &str, outcomes: Vec<Outcome>) -> Group {
    Group { name: name.to_owned(), outcomes }
}

fn changed(change: impl FnOnce(&mut Outcome)) -> Outcome {
    let mut outcome = echo_outcome();
    change(&mut outcome);
    outcome
}

fn with_rate(rate: f64) -> Outcome {
    changed(|outcome| {
        outcome.figures.insert("messages_per_second".to_owned(), rate);
    })
}

fn refused(other: Outcome) -> Vec<String> {
    let groups = [group("a", vec![echo_outcome()]), group("b", vec![other])];
    match compare(&groups, false).err().unwrap() {
        CompareError::Different { differences } => differences,
        error @ CompareError::TooFew => panic!("{error}"),
    }
}

#[test]
fn one_side_is_no_comparison() {
    let one = [group("a", vec![echo_outcome()])];
    assert_eq!(compare(&one, false).err(), Some(CompareError::TooFew));
    let empty = [group("a", vec![echo_outcome()]), group("b", Vec::new())];
    assert_eq!(compare(&empty, true).err(), Some(CompareError::TooFew));
}

#[test]
fn another_plan_is_refused_and_its_difference_named() {
    let other = changed(|outcome| {
        outcome.plan.insert("connections".to_owned(), 200.into());
        outcome.plan.insert("size".to_owned(), "64".into());
    });
    let wanted = ["connections: 100 in a | 200 in b", "size: (absent) in a | 64 in b"];
    assert_eq!(refused(other), wanted);
}

#[test]
fn another_kind_and_another_machine_are_refused() {
    assert_eq!(refused(changed(|o| o.kind = "chat".to_owned())), ["(kind): echo in a | chat in b"]);
    assert_eq!(refused(changed(|o| o.host.cores = 64)), ["(cores): 2 in a | 64 in b"]);
}

#[test]
fn rounds_of_one_side_must_have_one_plan_too() {
    let odd = changed(|outcome| outcome.kind = "chat".to_owned());
    let groups = [group("a", vec![echo_outcome(), odd]), group("b", vec![echo_outcome()])];
    assert!(matches!(compare(&groups, false), Err(CompareError::Different { .. })));
}

#[test]
fn where_the_server_was_and_its_commit_may_differ_and_the_commit_is_said() {
    let other = changed(|outcome| {
        outcome.plan.insert("url".to_owned(), "ws://other/".into());
        outcome.host.commit = "fedcba9876".to_owned();
    });
    let groups = [group("a", vec![echo_outcome()]), group("b", vec![other])];
    let comparison = compare(&groups, false).unwrap();
    assert_eq!(comparison.notes, ["commit: 0123456789 | fedcba9876"]);
}

#[test]
fn different_ones_are_compared_if_told_and_marked() {
    let other = changed(|outcome| outcome.host.cores = 64);
    let groups = [group("a", vec![echo_outcome()]), group("b", vec![other])];
    let text = render(&compare(&groups, true).unwrap(), Style::Text);
    assert!(text.starts_with("DIFFERENT: (cores)"), "{text}");
}

#[test]
fn an_invalid_result_is_marked() {
    let other = changed(|outcome| {
        outcome.valid = false;
        outcome.invalid.push("generator: it lagged".to_owned());
    });
    let groups = [group("a", vec![echo_outcome()]), group("b", vec![other])];
    let comparison = compare(&groups, false).unwrap();
    assert_eq!(comparison.notes, ["INVALID: b: generator: it lagged"]);
}

#[test]
fn rounds_become_a_spread_and_ratios_the_widest_range() {
    let side = |name, rates: [f64; 3]| group(name, rates.map(with_rate).into());
    let groups = [side("a", [100.0, 80.0, 125.0]), side("b", [200.0, 160.0, 250.0])];
    let comparison = compare(&groups, false).unwrap();
    let row = comparison.rows.iter().find(|row| row.name == "messages_per_second").unwrap();
    assert_eq!(row.sides[1], Some(Spread { low: 160.0, median: 200.0, high: 250.0 }));
    let wanted = Spread { low: 160.0 / 125.0, median: 2.0, high: 250.0 / 80.0 };
    assert_eq!(row.ratio(1), Some(wanted));
}

#[test]
fn what_one_side_has_not_measured_has_no_ratio() {
    let blind = changed(|outcome| outcome.server = None);
    let groups = [group("a", vec![echo_outcome()]), group("b", vec![blind])];
    let comparison = compare(&groups, false).unwrap();
    let row = comparison.rows.iter().find(|row| row.name == "server cpu_seconds").unwrap();
    assert!(row.sides[0].is_some() && row.sides[1].is_none() && row.ratio(1).is_none());
}

#[test]
fn markdown_is_one_table_that_no_name_can_break() {
    let groups = [group("a|<b>\n", vec![echo_outcome()]), group("b", vec![echo_outcome()])];
    let text = render(&compare(&groups, false).unwrap(), Style::Markdown);
    let mut lines = text.trim().lines();
    assert_eq!(lines.next(), Some("| figure | a\\|&lt;b>  | b | ratio |"));
    assert_eq!(lines.next(), Some("|---|---:|---:|---:|"));
    assert!(lines.all(|line| line.matches('|').count() == 5));
}
