//! A shard's thread runs on the core it was bound to, or is told why not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use throng_ring::host;

#[test]
fn a_pinned_thread_may_run_on_its_core_only_and_one_past_the_last_is_refused() {
    let cores = host::cores();
    let core = *cores.last().unwrap();
    std::thread::spawn(move || {
        host::pin_to_core(core).unwrap();
        assert_eq!(host::cores(), [core]);
    })
    .join()
    .unwrap();
    assert_eq!(host::cores(), cores);
    assert!(host::pin_to_core(usize::MAX).is_err());
}
