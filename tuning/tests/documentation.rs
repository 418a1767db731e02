//! docs/tuning.md holds what the profiles hold; UPDATE_GOLDEN=1 writes it anew.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use throng_tune::explain::markdown;
use throng_tune::profile::{Profile, Role};

const MARK: &str = "<!-- Below: throng-tune explain. A test fails when it is stale. -->\n\n";

#[test]
fn the_table_is_that_of_the_profiles() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tuning.md");
    let text = fs::read_to_string(&path).unwrap();
    let (head, table) = text.split_once(MARK).unwrap();
    let profiles: Vec<_> = Role::ALL.into_iter().map(|role| Profile::of(role).unwrap()).collect();
    let wanted = markdown(&profiles);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{head}{MARK}{wanted}")).unwrap();
        return;
    }
    assert!(table == wanted, "docs/tuning.md is stale: UPDATE_GOLDEN=1 writes it anew");
}
