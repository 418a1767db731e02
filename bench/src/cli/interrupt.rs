//! SIGINT ends a run early, and its figures are still reported; a second one ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Exit code of a program that SIGINT ended.
const EXIT_INTERRUPTED: i32 = 130;

/// A flag that SIGINT sets from now on. Without a runtime to wait for it (the host refuses a
/// thread) the signal keeps its usual effect.
pub(crate) fn flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    if let Ok(runtime) = runtime {
        let set = Arc::clone(&flag);
        let wait = move || {
            runtime.block_on(async {
                if tokio::signal::ctrl_c().await.is_ok() {
                    set.store(true, Ordering::Release);
                }
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(EXIT_INTERRUPTED);
                }
            });
        };
        // Detached: it ends with the program.
        drop(thread::Builder::new().name("interrupt".to_owned()).spawn(wait));
    }
    flag
}
