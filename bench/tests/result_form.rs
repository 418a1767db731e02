//! The form of a result is a contract with scripts: this file was written by version 1 and must be
//! read by every later one, with the same fields in the same places. Needs no server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use serde_json::Value;
use throng_bench::outcome::histogram::from_text;
use throng_bench::outcome::read::{parse, read};
use throng_bench::outcome::{Outcome, Percentiles};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/echo.json");

fn golden_value() -> Value {
    serde_json::from_slice(&std::fs::read(GOLDEN).unwrap()).unwrap()
}

fn golden() -> Outcome {
    read(Path::new(GOLDEN)).unwrap()
}

/// Every field of `wanted` is in `got`, with the same value; numbers to one part in 10^12.
fn contains(got: &Value, wanted: &Value, place: &str) {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            for (name, value) in wanted {
                let place = format!("{place}.{name}");
                contains(got.get(name).unwrap_or_else(|| panic!("{place}")), value, &place);
            }
        }
        (Value::Array(got), Value::Array(wanted)) => {
            assert_eq!(got.len(), wanted.len(), "{place}");
            for (got, wanted) in got.iter().zip(wanted) {
                contains(got, wanted, place);
            }
        }
        (Value::Number(got), Value::Number(wanted)) => {
            let (got, wanted) = (got.as_f64().unwrap(), wanted.as_f64().unwrap());
            assert!((got - wanted).abs() <= wanted.abs() * 1e-12, "{place}: {got} {wanted}");
        }
        (got, wanted) => assert_eq!(got, wanted, "{place}"),
    }
}

#[test]
fn every_field_is_read_and_written_again_under_its_name() {
    contains(&serde_json::to_value(golden()).unwrap(), &golden_value(), "");
}

#[test]
fn the_names_that_scripts_rely_on_are_there() {
    let value = golden_value();
    let names = [
        "/schema",
        "/valid",
        "/established",
        "/failed/bad_upgrade",
        "/latency_us/echo/p99",
        "/server/cpu_seconds",
        "/server/rss_bytes",
        "/server/slab_bytes",
        "/client/cpu_seconds",
        "/client/rss_bytes",
        "/client/slab_bytes",
    ];
    let written = serde_json::to_value(golden()).unwrap();
    for name in names {
        assert!(value.pointer(name).is_some() && written.pointer(name).is_some(), "{name}");
    }
}

#[test]
fn fields_of_the_future_are_passed_over() {
    let mut value = golden_value();
    for place in ["", "/host", "/server", "/client", "/latency_us/echo", "/series/0"] {
        let object = value.pointer_mut(place).unwrap().as_object_mut().unwrap();
        object.insert("added_later".to_owned(), 1.into());
    }
    let outcome = parse(Path::new("new.json"), &serde_json::to_vec(&value).unwrap()).unwrap();
    contains(&serde_json::to_value(outcome).unwrap(), &golden_value(), "");
}

#[test]
fn the_kept_histogram_has_the_percentiles_of_the_result() {
    let outcome = golden();
    for (name, text) in &outcome.histograms {
        let found = Percentiles::of(&from_text(text).unwrap()).unwrap();
        let wanted = outcome.latency_us[name];
        assert_eq!((found.count, found.p99_99), (wanted.count, wanted.p99_99), "{name}");
        assert_eq!((found.p50, found.p99, found.max), (wanted.p50, wanted.p99, wanted.max));
    }
}
