//! Which rows are the log, when several owners wrote rows at the same seqs.
//!
//! An owner that was replaced may have rows in the store that nobody acknowledged, and they may
//! arrive after its successor's. Each row therefore says what its writer knew: `acked`, the seq up
//! to which the writer had committed, and `base`, the first seq the writer assigned itself.
//! - A row at seq s of epoch f is *dead* if some row of an epoch g > f has `base` ≤ s: the later
//!   owner had chosen its log without it.
//! - At each seq the highest live epoch is the log; it ends before the first seq without one, be
//!   that the very first: rows of one append arrive each by itself.
//! - Everything up to the highest `acked` of any row is committed; what is above may not be at a
//!   quorum, and is written again by the new owner before it serves.

use throng_store::{Row, Seq};

/// The end of a log, as an owner adopts it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chosen {
    /// Contiguous, ascending.
    pub rows: Vec<Row>,
    /// Rows up to here are committed. If they are not all in `rows`, what was read is not the log.
    pub acked: Seq,
}

impl Chosen {
    /// Seq of the last row, 0 if there is none.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.rows.last().map_or(0, |row| row.seq)
    }
}

/// Chooses the log from the newest rows of a conversation, all epochs, in any order. It begins with
/// the seq `first`: 1, or one of which it is known that the log has it.
#[must_use]
pub fn choose(first: Seq, mut seen: Vec<Row>) -> Chosen {
    let acked = seen.iter().map(|row| row.acked).max().unwrap_or(0);
    seen.sort_by_key(|row| (row.seq, row.epoch));
    let mut rows: Vec<Row> = Vec::new();
    for row in live_rows(seen) {
        let next = rows.last().map_or(first, |last| last.seq + 1);
        match rows.last_mut() {
            Some(last) if last.seq == row.seq => *last = row,
            _ if next == row.seq => rows.push(row),
            _ => break,
        }
    }
    Chosen { rows, acked }
}

/// Rows that no later owner left out, in the order given.
fn live_rows(seen: Vec<Row>) -> Vec<Row> {
    let mut terms: Vec<(u32, Seq)> = seen.iter().map(|row| (row.epoch, row.base)).collect();
    terms.sort_unstable();
    terms.dedup();
    if terms.len() == 1 {
        return seen;
    }
    let dead = |row: &Row| terms.iter().any(|&(epoch, base)| epoch > row.epoch && base <= row.seq);
    seen.into_iter().filter(|row| !dead(row)).collect()
}

/// The highest epoch at each seq, for rows at or below the committed head.
///
/// `rows` are in the order of one read, ascending or descending by seq; the order is kept.
#[must_use]
pub fn highest_epochs(rows: Vec<Row>) -> Vec<Row> {
    let mut chosen: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match chosen.last_mut() {
            Some(last) if last.seq == row.seq => {
                if row.epoch > last.epoch {
                    *last = row;
                }
            }
            _ => chosen.push(row),
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::testing::row_of;

    fn row(seq: Seq, epoch: u32, acked: Seq, base: Seq) -> Row {
        Row { epoch, acked, base, ..row_of(seq) }
    }

    fn log(rows: &[Row]) -> Vec<(Seq, u32)> {
        choose(1, rows.to_vec()).rows.iter().map(|row| (row.seq, row.epoch)).collect()
    }

    #[test]
    fn one_owner_is_taken_as_it_is() {
        let rows: Vec<Row> = (1..=3).rev().map(|seq| row(seq, 1, seq - 1, 1)).collect();
        assert_eq!(log(&rows), [(1, 1), (2, 1), (3, 1)]);
        assert_eq!(choose(1, rows).acked, 2);
    }

    #[test]
    fn the_log_ends_at_the_first_hole() {
        let rows = [row(1, 1, 0, 1), row(2, 1, 1, 1), row(4, 1, 1, 1)];
        assert_eq!(log(&rows), [(1, 1), (2, 1)]);
    }

    #[test]
    fn the_log_is_empty_without_its_first_row_however_many_follow() {
        let second = row(2, 1, 0, 1);
        assert_eq!(log(std::slice::from_ref(&second)), []);
        // The first is there, but dead.
        let rows = [row(1, 1, 0, 1), second, row(2, 2, 0, 1)];
        assert_eq!(log(&rows), []);
        assert_eq!(choose(11, vec![row(12, 1, 10, 1)]).rows, []);
    }

    #[test]
    fn a_row_at_a_later_owners_base_is_dead_and_one_below_lives() {
        // Epoch 2 adopted seq 1 and assigned from 2 on; epoch 1's rows at 2 and 3 came late.
        let rows = [row(1, 1, 0, 1), row(2, 1, 0, 1), row(3, 1, 0, 1), row(2, 2, 1, 2)];
        assert_eq!(log(&rows), [(1, 1), (2, 2)]);
        let above = [row(1, 1, 0, 1), row(2, 1, 0, 1), row(2, 2, 1, 3), row(3, 2, 1, 3)];
        assert_eq!(log(&above), [(1, 1), (2, 2), (3, 2)]);
    }

    #[test]
    fn an_unshadowed_late_row_above_the_new_head_is_not_adopted() {
        let rows = [row(1, 1, 0, 1), row(2, 2, 1, 2), row(3, 1, 0, 1)];
        assert_eq!(log(&rows), [(1, 1), (2, 2)]);
    }

    #[test]
    fn a_row_written_again_keeps_its_content_under_the_higher_epoch() {
        let rows = [row(1, 1, 0, 1), row(2, 1, 1, 1), row(2, 3, 1, 3)];
        assert_eq!(log(&rows), [(1, 1), (2, 3)]);
    }

    #[test]
    fn reading_below_the_head_takes_the_highest_epoch_in_either_direction() {
        let up = vec![row(1, 1, 0, 1), row(1, 2, 0, 2), row(2, 2, 1, 2)];
        let down: Vec<Row> = up.iter().rev().cloned().collect();
        let keys = |rows: Vec<Row>| -> Vec<(Seq, u32)> {
            highest_epochs(rows).iter().map(|row| (row.seq, row.epoch)).collect()
        };
        assert_eq!(keys(up), [(1, 2), (2, 2)]);
        assert_eq!(keys(down), [(2, 2), (1, 2)]);
    }

    #[test]
    fn nothing_seen_is_an_empty_log() {
        assert_eq!(choose(1, Vec::new()), Chosen::default());
    }
}
