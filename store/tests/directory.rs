//! A data directory is used by one process, of a version that knows it, and never taken by mistake.

mod fixture;

use std::fs;

use fixture::{append, conv, open, write};
use throng_store::Store;
use throng_store::embedded::{Config, Embedded, OpenError};

#[test]
fn a_second_opener_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let refused = Embedded::open(Config::new(dir.path())).unwrap_err();
    assert!(refused.to_string().contains(&format!("(pid {})", std::process::id())), "{refused}");
    assert!(refused.to_string().contains(&dir.path().display().to_string()));
    assert!(matches!(refused, OpenError::Locked { .. }));
    drop(store);
    open(dir.path());
}

#[test]
fn a_newer_format_is_refused_and_this_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let format = dir.path().join("FORMAT");
    assert_eq!(fs::read_to_string(&format).unwrap(), "throng-store 1\n");
    fs::write(&format, "throng-store 2\n").unwrap();
    let refused = Embedded::open(Config::new(dir.path())).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{refused}");
    fs::write(&format, "throng-store 1\n").unwrap();
    open(dir.path());
}

#[test]
fn a_format_file_with_something_else_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    for text in [&b""[..], b"throng-store", b"throng-store 0\n", b"1\n", b"\xff\xfe"] {
        fs::write(dir.path().join("FORMAT"), text).unwrap();
        let refused = Embedded::open(Config::new(dir.path())).unwrap_err();
        assert!(matches!(refused, OpenError::Corrupt { .. }), "{refused}");
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "years of work").unwrap();
    let refused = Embedded::open(Config::new(dir.path())).unwrap_err();
    assert!(matches!(&refused, OpenError::Foreign { found, .. } if found == "thesis.tex"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_or_an_empty_directory_becomes_a_store() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path());
    let parent = tempfile::tempdir().unwrap();
    open(&parent.path().join("new/deep"));
    let mounted = tempfile::tempdir().unwrap();
    fs::create_dir(mounted.path().join("lost+found")).unwrap();
    open(mounted.path());
}

#[test]
fn a_path_that_is_a_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "x").unwrap();
    let refused = Embedded::open(Config::new(&path)).unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }));
    assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
}

#[test]
fn an_interrupted_creation_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    // As a crash just before the last step leaves it, with part of the engine's files missing.
    fs::rename(dir.path().join("FORMAT"), dir.path().join("FORMAT.new")).unwrap();
    fs::remove_dir_all(dir.path().join("db/keyspaces")).unwrap();
    assert_eq!(open(dir.path()).epoch(), 1);
    assert!(dir.path().join("FORMAT").exists());
}

#[test]
fn damaged_engine_files_are_an_error_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::write(dir.path().join("db/version"), "garbage").unwrap();
    let refused = Embedded::open(Config::new(dir.path())).unwrap_err();
    assert!(matches!(refused, OpenError::Corrupt { .. } | OpenError::Io { .. }), "{refused}");
}

#[tokio::test]
async fn what_was_written_is_there_after_a_close() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    write(&store, append(1, 1..=2, store.epoch()));
    store.close().await.unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(store.tail(conv(1), 9.into()).await.unwrap().len(), 2);
}
