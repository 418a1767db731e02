use std::collections::BTreeSet;

use super::*;
use crate::generator::Cause;
use crate::outcome::Verdict;
use crate::outcome::testing::echo_outcome;

const HOSTILE: &str = "</script><script>alert(1)</script>\"' onload=x & <b>";

fn entry(name: &str) -> Entry {
    Entry { name: name.to_owned(), outcome: echo_outcome() }
}

/// Exact values of the page.
fn values(page: &str) -> BTreeSet<u64> {
    let quoted = page.split("<data value=\"").skip(1);
    quoted.map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap().to_bits()).collect()
}

/// The tags of a page, in order; fails if they do not nest.
fn tags(page: &str) -> Vec<&str> {
    const VOID: &[&str] = &["!doctype", "meta"];
    let (mut open, mut all) = (Vec::new(), Vec::new());
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').unwrap();
        let name = tag.split([' ', '/']).find(|word| !word.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "<{tag}> closes what is not open");
        } else {
            all.push(name);
            if !tag.ends_with('/') && !VOID.contains(&name) {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    all
}

#[test]
fn every_number_of_the_result_is_in_the_page() {
    let page = render(&[entry("a.json")]);
    let present = values(&page);
    let outcome = echo_outcome();
    let numbers = |value: &serde_json::Value| -> Vec<(String, f64)> {
        let fields = value.as_object().unwrap().iter();
        fields.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
    };
    let mut wanted = Vec::new();
    for times in outcome.latency_us.values() {
        wanted.extend(numbers(&serde_json::to_value(times).unwrap()));
    }
    wanted.extend(numbers(&serde_json::to_value(&outcome.server).unwrap()));
    wanted.extend(numbers(&serde_json::to_value(&outcome.client).unwrap()));
    wanted.extend(outcome.figures.clone());
    for second in &outcome.series {
        let fields = numbers(&serde_json::to_value(second).unwrap());
        wanted.extend(fields.into_iter().filter(|(_, value)| *value > 0.0));
    }
    for (name, value) in wanted {
        assert!(present.contains(&value.to_bits()), "{name} {value} is missing");
    }
}

#[test]
fn the_page_is_well_formed_and_needs_nothing_else() {
    let page = render(&[entry("a.json"), entry("b.json")]);
    let tags: BTreeSet<&str> = tags(&page).into_iter().collect();
    for tag in ["script", "link", "img", "iframe", "object", "a", "use", "image", "base"] {
        assert!(!tags.contains(tag), "{tag}");
    }
    for reference in ["http:", "https:", "src=", "href=", "url(", "@import", "//"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn what_a_result_says_stays_text() {
    let mut hostile = entry(HOSTILE);
    let outcome = &mut hostile.outcome;
    outcome.plan.insert(HOSTILE.to_owned(), HOSTILE.into());
    outcome.kind = HOSTILE.to_owned();
    outcome.host.command = HOSTILE.to_owned();
    outcome.invalid.push(HOSTILE.to_owned());
    outcome.findings.push(HOSTILE.to_owned());
    outcome.failed.insert(HOSTILE.to_owned(), 1);
    outcome.failed_detail.insert(format!("{HOSTILE}/{HOSTILE}"), 1);
    outcome.figures.insert(HOSTILE.to_owned(), 1.0);
    let expression = HOSTILE.to_owned();
    outcome.thresholds.push(Verdict { expression, value: Some(1.0), passed: true });
    let page = render(&[hostile, entry("b")]);
    assert!(!tags(&page).contains(&"script"));
    assert!(!page.contains("\"' onload") && !page.contains("<b>"));
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;alert(1)"));
}

#[test]
fn every_chart_has_a_title_a_description_and_a_table() {
    let page = render(&[entry("a.json")]);
    let charts: Vec<&str> = page.split("<figure>").skip(1).collect();
    assert!(charts.len() >= 6, "{}", charts.len());
    for chart in charts {
        let chart = chart.split("</figure>").next().unwrap();
        for part in ["role=\"img\"><title>", "<desc>", "<table>", "class=\"line"] {
            assert!(chart.contains(part), "{part} is missing");
        }
    }
}

#[test]
fn the_uncorrected_times_lie_over_the_corrected_ones() {
    let page = render(&[entry("a.json")]);
    let chart = page.split("<figure>").nth(1).unwrap();
    assert!(chart.contains("Percentiles of echo"));
    assert!(chart.contains("line c0\"") && chart.contains("line c1 dashed\""));
}

#[test]
fn several_results_are_overlaid_in_colours_of_their_own() {
    let page = render(&[entry("before"), entry("after")]);
    let open = page.split("<figure>").find(|chart| chart.contains("<h2>Open")).unwrap();
    assert!(open.contains("line c0\"") && open.contains("line c1\""));
    assert!(open.contains(">before</text>") && open.contains(">after</text>"));
}

#[test]
fn failures_thresholds_and_findings_are_shown() {
    let mut one = entry("a.json");
    let expression = "p99_ms<1".to_owned();
    one.outcome.thresholds.push(Verdict { expression, value: Some(2.0), passed: false });
    one.outcome.findings.push("accept queue: full".to_owned());
    let page = render(&[one]);
    assert!(page.contains("<code>p99_ms&lt;1</code> (is 2)") && page.contains("broken"));
    assert!(page.contains("accept queue: full"));
    assert!(page.contains("<strong>bad_upgrade</strong>: 1 (503: 1)"));
    assert!(page.contains(&escape(Cause::BadUpgrade.advice())));
}

#[test]
fn a_result_without_anything_is_a_page_too() {
    let mut bare = entry("a.json");
    bare.outcome.latency_us.clear();
    bare.outcome.histograms.clear();
    bare.outcome.series.clear();
    bare.outcome.server = None;
    assert!(!tags(&render(&[bare])).contains(&"figure"));
}
