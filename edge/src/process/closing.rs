//! The end of the store: waited for, but neither for ever nor against the operator's will.

use std::future::Future;

use crate::exit::Fatal;
use crate::limits;

/// Waits until `closed` resolves. `told` to stop once more, it gives up at once, which loses
/// nothing that was acknowledged.
///
/// # Errors
/// 74: the store failed, or did not close in time.
pub(super) async fn close(
    closed: impl Future<Output = Result<(), Fatal>>,
    told: impl Future<Output = ()>,
) -> Result<(), Fatal> {
    tokio::select! {
        biased;
        outcome = closed => outcome,
        () = told => {
            tracing::warn!("told twice to stop: ending before the store is closed");
            Ok(())
        }
        () = tokio::time::sleep(limits::STORE_CLOSE_DEADLINE) => Err(Fatal::data(format!(
            "the store did not close within {} s: its disk does not answer; nothing acknowledged \
             is lost, check the disk, then start again",
            limits::STORE_CLOSE_DEADLINE.as_secs()
        ))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::exit::Exit;

    /// A store that takes so long.
    async fn closes_after(span: Duration) -> Result<(), Fatal> {
        sleep(span).await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_closes_in_time_ends_well_and_one_that_is_later_is_74() {
        let tick = Duration::from_millis(1);
        let deadline = limits::STORE_CLOSE_DEADLINE;
        close(closes_after(deadline - tick), pending()).await.unwrap();
        let fatal = close(closes_after(deadline + tick), pending()).await.unwrap_err();
        assert_eq!(fatal.exit, Exit::Data);
        assert!(fatal.message.contains("disk"), "{fatal}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_waits_for_no_disk() {
        let start = tokio::time::Instant::now();
        close(pending(), sleep(Duration::from_secs(1))).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_store_that_failed_says_so() {
        let fatal = close(ready(Err(Fatal::data("no space"))), pending()).await.unwrap_err();
        assert_eq!((fatal.exit, fatal.message.as_str()), (Exit::Data, "no space"));
    }
}
