use super::*;
use crate::outcome::testing::echo_outcome;

const FIGURES: &[&str] = &["messages_per_second"];

fn judged(expression: &str) -> Verdict {
    Threshold::parse(expression, "echo", FIGURES).unwrap().judge(&echo_outcome())
}

fn near_of(expression: &str) -> Vec<String> {
    match Threshold::parse(expression, "echo", FIGURES).unwrap_err() {
        ThresholdError::Unknown { near, .. } => near,
        error @ ThresholdError::Form(_) => panic!("{error}"),
    }
}

#[test]
fn each_operator_is_tested_on_both_sides_of_its_edge() {
    let cases = [
        ("established<100", true),
        ("established<99", false),
        ("established<=99", true),
        ("established<=98", false),
        ("established>98", true),
        ("established>99", false),
        ("established>=99", true),
        ("established>=100", false),
        ("established==99", true),
        ("established==98", false),
        ("established!=98", true),
        ("established!=99", false),
    ];
    for (expression, passed) in cases {
        assert_eq!(judged(expression).passed, passed, "{expression}");
        assert_eq!(judged(expression).value, Some(99.0), "{expression}");
    }
}

#[test]
fn a_time_without_a_metric_is_of_the_main_one_and_in_the_unit_asked_for() {
    let value = |expression| judged(expression).value.unwrap();
    let near = |value: f64, wanted: f64| (value - wanted).abs() < wanted * 0.002;
    assert!(near(value("p50_us<1"), 1000.0));
    assert!(near(value("p50_ms<1"), 1.0));
    assert!(near(value("p50_ns<1"), 1e6));
    assert!(near(value("p50_s<1"), 0.001));
    assert!(near(value("echo_uncorrected.p50_us<1"), 500.0));
    assert!(near(value("p99.9_us<1"), 1998.0));
    assert!(near(value("echo.p99_99_us<1"), 2000.0));
    assert!(near(value("echo.count<1"), 1000.0));
}

#[test]
fn counters_causes_sides_and_figures_are_found_by_name() {
    let value = |expression| judged(expression).value;
    assert_eq!(value("failed == 0"), Some(1.0));
    assert_eq!(value("failed.bad_upgrade==0"), Some(1.0));
    assert_eq!(value("failed.refused==0"), Some(0.0));
    assert_eq!(value("server.user_bytes_per_connection < 512"), Some(500.0));
    assert_eq!(value("client.cpu_seconds<3"), Some(2.0));
    assert_eq!(value("messages_per_second>=100"), Some(100.0));
}

#[test]
fn what_has_no_data_fails() {
    for expression in ["ack.p99_ms<5", "ack.p99_ms>=0", "ack.p99_ms!=5", "ack.count>=0"] {
        let verdict = judged(expression);
        assert!(!verdict.passed && verdict.value.is_none(), "{expression}");
    }
    let threshold = Threshold::parse("server.rss_bytes>=0", "echo", FIGURES).unwrap();
    let blind = Outcome { server: None, ..echo_outcome() };
    assert!(!threshold.judge(&blind).passed);
}

#[test]
fn a_result_is_passed_only_if_all_of_its_thresholds_hold() {
    let parse = |expression| Threshold::parse(expression, "echo", FIGURES).unwrap();
    let mut outcome = echo_outcome();
    assert!(judge(&[parse("failed<=1"), parse("p99_s<1")], &mut outcome));
    assert!(!judge(&[parse("failed<=1"), parse("failed<=0")], &mut outcome));
    let passed: Vec<bool> = outcome.thresholds.iter().map(|verdict| verdict.passed).collect();
    assert_eq!(passed, [true, false]);
}

#[test]
fn a_name_that_does_not_exist_is_an_error_with_names_near_it() {
    assert_eq!(near_of("establishd>=1")[0], "established");
    assert_eq!(near_of("ack.p9_ms<5")[0], "ack.p90_ms");
    assert_eq!(near_of("server.rss_byte<5")[0], "server.rss_bytes");
    assert_eq!(near_of("failed.refusd==0")[0], "failed.refused");
    assert_eq!(near_of("message_per_second>1")[0], "messages_per_second");
    for expression in ["p99_minutes<5", "p99<5", "p98_ms<5", "akc.p99_ms<5", "server.p99_ms<5"] {
        assert!(!near_of(expression).is_empty());
    }
}

#[test]
fn every_near_name_is_itself_a_threshold() {
    for name in near("p99_ms", FIGURES).into_iter().chain(near("failed.x", FIGURES)) {
        Threshold::parse(&format!("{name}<1"), "echo", FIGURES).unwrap();
    }
}

#[test]
fn what_has_not_the_form_is_refused() {
    for expression in ["", "p99_ms", "p99_ms<", "<5", "p99_ms=5", "p99_ms<5ms", "p99_ms<NaN", "a!5"]
    {
        let error = Threshold::parse(expression, "echo", FIGURES).unwrap_err();
        assert_eq!(error, ThresholdError::Form(expression.to_owned()));
    }
}
