//! Which windows of a partition are open.
//!
//! Table `windows` has one row per partition and epoch with the open windows of that epoch, all in
//! one cell: this process alone writes it, from what it knows, with a version for timestamp, so
//! that the newest set wins. A window is in it, at a quorum, before any append of the window is
//! acknowledged. Table `dirty` has the conversations of each window.
//!
//! Windows of earlier epochs are read when a partition was taken; their row goes when the last of
//! them is closed. A row that comes back late, or a closing that was lost, costs the next owner
//! work that was done already, and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::client::Client;
use super::session::Failure;
use super::values::{bytes, epoch, signed_epoch, small};
use crate::{ConvId, DirtyWindow, Epoch, PartitionId, StoreError, limits};

type Term = (PartitionId, Epoch);

/// Later than every version: nothing that was written late comes back.
const DROPPED: i64 = i64::MAX / 2;

/// What this process knows of open windows.
#[derive(Default)]
pub(super) struct Windows {
    own: Mutex<HashMap<Term, Own>>,
    earlier: Mutex<HashMap<Term, BTreeSet<u32>>>,
}

/// Windows of one term of this process.
#[derive(Default)]
struct Own {
    open: BTreeSet<u32>,
    /// Those of them that a quorum knows to be open.
    known: BTreeSet<u32>,
    version: i64,
}

impl Own {
    /// The next version of the cell.
    fn next(&mut self) -> (i64, Vec<u8>) {
        self.version += 1;
        (self.version, encode(&self.open))
    }
}

fn encode(open: &BTreeSet<u32>) -> Vec<u8> {
    open.iter().flat_map(|window| window.to_be_bytes()).collect()
}

fn decode(cell: &[u8]) -> Result<BTreeSet<u32>, StoreError> {
    let window = |chunk: &[u8]| Ok(u32::from_be_bytes(bytes(chunk)?));
    cell.chunks(size_of::<u32>()).map(window).collect()
}

fn slice(partition: PartitionId) -> i32 {
    (partition / limits::SLICE_PARTITIONS).into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Windows {
    /// A window is being opened: gives the cell to write, `None` if a quorum knows it already.
    fn open(&self, window: DirtyWindow) -> Result<Option<(i64, Vec<u8>)>, Failure> {
        let mut own = lock(&self.own);
        let own = own.entry((window.partition, window.epoch)).or_default();
        if own.known.contains(&window.window) {
            return Ok(None);
        }
        if !own.open.contains(&window.window) && own.open.len() >= limits::OPEN_WINDOWS {
            return Err(Failure::Refused("too many windows of the partition are open".into()));
        }
        own.open.insert(window.window);
        Ok(Some(own.next()))
    }

    fn opened(&self, window: DirtyWindow) {
        if let Some(own) = lock(&self.own).get_mut(&(window.partition, window.epoch))
            && own.open.contains(&window.window)
        {
            own.known.insert(window.window);
        }
    }

    /// A window is closed: gives the cell to write if it was open.
    fn close(&self, window: DirtyWindow) -> Option<(i64, Vec<u8>)> {
        let mut own = lock(&self.own);
        let own = own.get_mut(&(window.partition, window.epoch))?;
        own.known.remove(&window.window);
        own.open.remove(&window.window).then(|| own.next())
    }

    /// A window of an earlier term is closed. Says whether it was the last.
    fn close_earlier(&self, window: DirtyWindow) -> bool {
        let mut earlier = lock(&self.earlier);
        let term = (window.partition, window.epoch);
        let Some(open) = earlier.get_mut(&term) else { return false };
        let last = open.remove(&window.window) && open.is_empty();
        if last {
            earlier.remove(&term);
        }
        last
    }

    /// A partition was taken: earlier terms of this process are earlier terms now.
    pub(super) fn taken(&self, partition: PartitionId, epoch: Epoch) {
        lock(&self.own).retain(|(of, term), _| *of != partition || *term >= epoch);
    }
}

/// Makes a window known to a quorum.
pub(super) async fn open(
    client: &Client,
    windows: &Windows,
    window: DirtyWindow,
) -> Result<(), Failure> {
    let Some((version, cell)) = windows.open(window)? else { return Ok(()) };
    put(client, window, version, &cell).await?;
    windows.opened(window);
    Ok(())
}

async fn put(
    client: &Client,
    window: DirtyWindow,
    version: i64,
    cell: &[u8],
) -> Result<(), Failure> {
    let (partition, term) = (i32::from(window.partition), signed_epoch(window.epoch));
    let values = (version, cell, slice(window.partition), partition, term);
    client.write_for_append(&client.statements.put_windows, values).await
}

/// Notes a conversation in a window.
pub(super) async fn mark(
    client: &Client,
    window: DirtyWindow,
    conv: ConvId,
) -> Result<(), Failure> {
    let (partition, term) = (i32::from(window.partition), signed_epoch(window.epoch));
    let values = (partition, term, i64::from(window.window), &conv.0[..]);
    client.write_for_append(&client.statements.put_dirty, values).await
}

pub(super) async fn close(
    client: &Client,
    windows: &Windows,
    window: DirtyWindow,
) -> Result<(), StoreError> {
    if let Some((version, cell)) = windows.close(window) {
        return Ok(put(client, window, version, &cell).await?);
    }
    if windows.close_earlier(window) {
        drop_row(client, (window.partition, window.epoch)).await?;
    }
    Ok(())
}

async fn drop_row(client: &Client, (partition, term): Term) -> Result<(), StoreError> {
    let values = (DROPPED, slice(partition), i32::from(partition), signed_epoch(term));
    client.write(&client.statements.drop_windows, values).await
}

/// Windows of terms before the present one, for each partition that `present` knows.
async fn earlier(
    client: &Client,
    windows: &Windows,
    found: Vec<(i32, i32, Option<Vec<u8>>)>,
    present: impl Fn(PartitionId) -> Option<Epoch>,
) -> Result<Vec<DirtyWindow>, StoreError> {
    let mut listed = Vec::new();
    for (partition, term, cell) in found {
        let (partition, term) = (small(partition.into())?, epoch(term)?);
        if present(partition).is_none_or(|present| term >= present) {
            continue;
        }
        let open = decode(&cell.unwrap_or_default())?;
        if open.is_empty() {
            drop_row(client, (partition, term)).await?;
            continue;
        }
        // What was closed since it was read first is not open again.
        let mut earlier = lock(&windows.earlier);
        let open = earlier.entry((partition, term)).or_insert(open);
        let window = |window: &u32| DirtyWindow { partition, epoch: term, window: *window };
        listed.extend(open.iter().map(window));
    }
    Ok(listed)
}

/// Conversations of a window, after `after`.
async fn conversations(
    client: &Client,
    window: DirtyWindow,
    after: Option<ConvId>,
    limit: usize,
) -> Result<Vec<ConvId>, StoreError> {
    let (partition, term) = (i32::from(window.partition), signed_epoch(window.epoch));
    let after = after.as_ref().map_or(&[][..], |conv| &conv.0[..]);
    let values = (partition, term, i64::from(window.window), after, limit as i32);
    let found = client.read::<(Vec<u8>,)>(&client.statements.dirty, values).await?;
    found.into_iter().map(|(conv,)| Ok(ConvId(bytes(&conv)?))).collect()
}

/// Adds the conversations of windows until there are `limit`. A window that nobody wrote to is
/// closed at once: its first append never came that far.
async fn gather(
    client: &Client,
    windows: &Windows,
    listed: Vec<DirtyWindow>,
    after: Option<(DirtyWindow, ConvId)>,
    limit: usize,
    gathered: &mut Vec<(DirtyWindow, ConvId)>,
) -> Result<(), StoreError> {
    for window in listed {
        if after.is_some_and(|(last, _)| window < last) {
            continue;
        }
        let begun = after.filter(|(last, _)| *last == window).map(|(_, conv)| conv);
        let mut last = begun;
        while gathered.len() < limit {
            let ask = (limit - gathered.len()).min(limits::PAGE_ROWS_MAX);
            let convs = conversations(client, window, last, ask).await?;
            let short = convs.len() < ask;
            last = convs.last().copied().or(last);
            gathered.extend(convs.into_iter().map(|conv| (window, conv)));
            if short {
                break;
            }
        }
        if last.is_none() && gathered.len() < limit {
            close(client, windows, window).await?;
        }
    }
    Ok(())
}

/// All open windows of one partition.
pub(super) async fn of_partition(
    client: &Client,
    windows: &Windows,
    partition: PartitionId,
    present: Option<Epoch>,
) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
    let values = (slice(partition), i32::from(partition));
    let found = client.read(&client.statements.windows, values).await?;
    let listed = earlier(client, windows, found, |_| present).await?;
    let mut gathered = Vec::new();
    gather(client, windows, listed, None, usize::MAX, &mut gathered).await?;
    Ok(gathered)
}

/// A page of the open windows of all partitions that `present` knows.
pub(super) async fn of_all(
    client: &Client,
    windows: &Windows,
    after: Option<(DirtyWindow, ConvId)>,
    limit: usize,
    present: impl Fn(PartitionId) -> Option<Epoch>,
) -> Result<Vec<(DirtyWindow, ConvId)>, StoreError> {
    let limit = limit.min(limits::PAGE_ROWS_MAX);
    let first = after.map_or(0, |(window, _)| slice(window.partition));
    let mut gathered = Vec::new();
    for slice in first..i32::from(limits::PARTITIONS / limits::SLICE_PARTITIONS) {
        if gathered.len() >= limit {
            break;
        }
        let found = client.read(&client.statements.windows_of_slice, (slice,)).await?;
        let listed = earlier(client, windows, found, &present).await?;
        gather(client, windows, listed, after, limit, &mut gathered).await?;
    }
    Ok(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(epoch: Epoch, window: u32) -> DirtyWindow {
        DirtyWindow { partition: 3, epoch, window }
    }

    fn sets(cell: Option<(i64, Vec<u8>)>) -> Option<(i64, Vec<u32>)> {
        cell.map(|(version, cell)| (version, decode(&cell).unwrap().into_iter().collect()))
    }

    #[test]
    fn a_window_is_written_until_a_quorum_knows_it() {
        let windows = Windows::default();
        let open = |number| sets(windows.open(window(1, number)).unwrap());
        assert_eq!(open(5), Some((1, vec![5])));
        assert_eq!(open(5), Some((2, vec![5])));
        windows.opened(window(1, 5));
        assert_eq!(open(5), None);
        assert_eq!(open(9), Some((3, vec![5, 9])));
        assert_eq!(sets(windows.close(window(1, 5))), Some((4, vec![9])));
        assert_eq!(windows.close(window(1, 5)), None);
    }

    #[test]
    fn a_term_has_so_many_open_windows_and_not_one_more() {
        let windows = Windows::default();
        for number in 0..limits::OPEN_WINDOWS as u32 {
            assert!(windows.open(window(1, number)).is_ok());
        }
        assert!(windows.open(window(1, 0)).is_ok());
        assert!(windows.open(window(1, limits::OPEN_WINDOWS as u32)).is_err());
        windows.taken(3, 2);
        assert_eq!(sets(windows.open(window(2, 7)).unwrap()), Some((1, vec![7])));
    }
}
