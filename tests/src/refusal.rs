//! A host that refuses io_uring, as container runtimes' default seccomp profiles do.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// io_uring_setup, io_uring_enter, io_uring_register: the same numbers on every architecture.
const CALLS: [i64; 3] = [425, 426, 427];

/// What Docker's profile answers.
const EPERM: u32 = 1;

/// Runs `act` on a thread that may not call io_uring; neither may processes that it starts.
///
/// # Panics
/// The filter cannot be made for this machine, or `act` panicked.
pub fn without_io_uring<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            apply_filter(&filter()).expect("every process may restrict itself");
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn filter() -> BpfProgram {
    let rules: BTreeMap<_, _> = CALLS.into_iter().map(|call| (call, Vec::new())).collect();
    let architecture = std::env::consts::ARCH.try_into().expect("a known architecture");
    let refused = SeccompAction::Errno(EPERM);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture);
    filter.expect("well-formed rules").try_into().expect("a short program")
}
