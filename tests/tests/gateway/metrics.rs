//! `/metrics` is Prometheus text; its names and those of docs/operations.md are the same set.

use std::collections::BTreeSet;
use std::path::Path;

use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::http;

fn scrape(gateway: &Gateway) -> String {
    let response = http::get(gateway.ready().admin_address(), "/metrics");
    assert_eq!(response.status, 200);
    response.body
}

/// Names after `# TYPE`, as they are documented.
fn families(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn sample(text: &str, name: &str) -> f64 {
    let of_name = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    of_name.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn every_line_is_a_comment_or_a_sample() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    ann.create_group("tea", &["bob"]);
    let text = scrape(&gateway);
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(value.parse::<f64>().is_ok(), "{line:?}");
        assert!(name.starts_with("throng_"), "{line:?}");
    }
    assert!(!families(&text).is_empty());
}

fn section(title: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, after) = document.split_once(&format!("\n## {title}\n")).unwrap();
    after.split("\n## ").next().unwrap().to_owned()
}

/// What stands in backquotes in the first column of a section's table.
fn first_column(section: &str) -> BTreeSet<String> {
    let table = section.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = table.filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let names = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// OpenMetrics names the family; a counter's sample has a suffix, and so has its documentation.
fn documented_name(line: &str) -> Option<String> {
    let (family, kind) = line.strip_prefix("# TYPE throng_")?.split_once(' ')?;
    let suffix = if kind == "counter" && !family.ends_with("_total") { "_total" } else { "" };
    Some(format!("{family}{suffix}"))
}

#[test]
fn the_documented_names_are_the_served_ones() {
    let text = scrape(&Gateway::start());
    let served: BTreeSet<String> = text.lines().filter_map(documented_name).collect();
    assert_eq!(served, first_column(&section("Metrics")));
}

#[test]
fn the_documented_reasons_of_closing_are_the_counted_ones() {
    let text = scrape(&Gateway::start());
    let lines = text.lines().filter(|line| line.starts_with("throng_edge_closes_total{"));
    let served: BTreeSet<String> = lines
        .map(|line| line.split("reason=\"").nth(1).unwrap().split('"').next().unwrap().into())
        .collect();
    assert_eq!(served, first_column(&section("Why connections end")));
}

#[test]
fn sessions_are_counted_up_and_down() {
    let gateway = Gateway::start_with(&["--shards", "2"]);
    let name = "throng_edge_sessions";
    assert!((sample(&scrape(&gateway), name) - 0.0).abs() < 0.1);
    let mut clients: Vec<Client> = (0..7)
        .map(|number| Client::join(&gateway.url(), &format!("user-{number}"), "phone").0)
        .collect();
    assert!((sample(&scrape(&gateway), name) - 7.0).abs() < 0.1);
    clients.truncate(2);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while (sample(&scrape(&gateway), name) - 2.0).abs() > 0.1 {
        assert!(std::time::Instant::now() < deadline, "{}", scrape(&gateway));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
