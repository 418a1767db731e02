//! What the owner actor asks of the store: reads in pages to their end, writes until they are taken.

use std::time::Duration;

use throng_store::{ConvId, DirtyWindow, MemberRow, Projection, Store, StoreError, UserId};
use tokio::time::sleep;
use tracing::{error, warn};

use crate::limits;
use crate::owner::Loaded;

pub(super) fn told<T>(result: Result<T, StoreError>) -> Option<T> {
    result.inspect_err(|error| warn!(%error, "the store did not answer a read")).ok()
}

pub(super) async fn load<S: Store>(store: &S, conv: ConvId) -> Result<Loaded, StoreError> {
    let row = store.conv(conv).await?;
    let members = present_members(store, conv).await?;
    let tail = store.tail(conv, limits::TAIL).await?;
    Ok(Loaded { conv: row, members, tail })
}

async fn present_members<S: Store>(store: &S, conv: ConvId) -> Result<Vec<MemberRow>, StoreError> {
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let page = store.members(conv, after, limits::SCAN_PAGE_ROWS).await?;
        let last = page.len() < limits::SCAN_PAGE_ROWS;
        after = page.last().map(|row| row.user);
        members.extend(page.into_iter().filter(|row| row.left_seq == 0));
        if last {
            return Ok(members);
        }
    }
}

pub(super) async fn count<S: Store>(store: &S, user: UserId) -> Result<usize, StoreError> {
    let mut count = 0;
    let mut after = None;
    loop {
        let page = store.user_convs(user, after, limits::SCAN_PAGE_ROWS).await?;
        count += page.iter().filter(|row| row.created && row.left_seq == 0).count();
        after = page.last().map(|row| row.conv);
        if page.len() < limits::SCAN_PAGE_ROWS {
            return Ok(count);
        }
    }
}

/// The store can write no more: nothing is ours any longer.
pub(super) struct StoreEnded;

/// Until the store takes them. Where it cannot read what one of them is to change, it has written
/// all others: members are told nevertheless.
pub(super) async fn project<S: Store>(
    store: &S,
    projections: Vec<Projection>,
) -> Result<(), StoreEnded> {
    let mut wait_ms = limits::RETRY_MS_MIN;
    while let Err(error) = store.project(projections.clone()).await {
        match error {
            StoreError::Fatal(_) => return Err(StoreEnded),
            StoreError::Corrupt(_) => {
                error!(%error, "a projection stays as it is");
                return Ok(());
            }
            StoreError::Unavailable(_) => warn!(%error, "projections are not written yet"),
        }
        sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(limits::RETRY_MS_MAX);
    }
    Ok(())
}

/// A window that stays open costs the next start some work, and nothing else.
pub(super) async fn close_windows<S: Store>(store: &S, windows: Vec<DirtyWindow>) {
    for window in windows {
        if let Err(error) = store.close_window(window).await {
            warn!(%error, "a window stays open");
        }
    }
}
