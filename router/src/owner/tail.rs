//! The committed end of one conversation's log: its head, and the newest rows in memory.

use std::collections::VecDeque;

use throng_store::{Row, Seq};

use super::request::Span;
use crate::limits;

/// Fixed part of a row in memory, bytes.
const ROW_BYTES: usize = size_of::<Row>();

/// Committed rows only.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    head: Seq,
    n: u64,
    created_at_ms: u64,
    rows: VecDeque<Row>,
    bytes: usize,
}

impl Tail {
    /// Seq of the last committed row, 0 = none.
    pub(crate) fn head(&self) -> Seq {
        self.head
    }

    /// Messages up to the head.
    pub(crate) fn n(&self) -> u64 {
        self.n
    }

    /// When the head was created.
    pub(crate) fn created_at_ms(&self) -> u64 {
        self.created_at_ms
    }

    /// Takes the next committed row.
    pub(crate) fn push(&mut self, row: Row) {
        self.head = row.seq;
        self.n = row.n;
        self.created_at_ms = row.created_at_ms;
        self.bytes += row.body.len();
        self.rows.push_back(row);
        while self.rows.len() > limits::TAIL_ROWS_MAX
            || (self.bytes > limits::TAIL_BYTES_MAX && self.rows.len() > 1)
        {
            self.bytes -= self.rows.pop_front().map_or(0, |row| row.body.len());
        }
    }

    /// The row, if it is in memory.
    pub(crate) fn row(&self, seq: Seq) -> Option<&Row> {
        let index = seq.checked_sub(self.floor())?;
        self.rows.get(usize::try_from(index).ok()?)
    }

    /// The last row.
    pub(crate) fn last(&self) -> Option<&Row> {
        self.rows.back()
    }

    /// Seq of the oldest row in memory; above the head if there is none.
    pub(crate) fn floor(&self) -> Seq {
        self.rows.front().map_or(self.head + 1, |row| row.seq)
    }

    /// Rows of a window in ascending order, if all of it is in memory.
    pub(crate) fn window(&self, window: &Window) -> Option<Vec<Row>> {
        if window.is_empty() {
            return Some(Vec::new());
        }
        if window.first < self.floor() {
            return None;
        }
        (window.first..=window.last).map(|seq| self.row(seq).cloned()).collect()
    }

    /// Memory in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.rows.len() * ROW_BYTES
    }
}

/// The seqs of a page, both ends included; empty if `first > last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Lowest.
    pub(crate) first: Seq,
    /// Highest.
    pub(crate) last: Seq,
}

impl Window {
    /// What a member who may see events from `min_seq` on gets of a log that ends at `head`.
    pub(crate) fn of(span: Span, limit: usize, min_seq: Seq, head: Seq) -> Self {
        let limit = limit as Seq;
        match span {
            Span::Before(before) => {
                let last = before.saturating_sub(1).min(head);
                Self { first: (last + 1).saturating_sub(limit).max(min_seq), last }
            }
            Span::After(after) => {
                let first = after.saturating_add(1).max(min_seq);
                Self { first, last: first.saturating_add(limit - 1).min(head) }
            }
        }
    }

    /// Whether there is no seq in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// How many seqs are in it.
    pub(crate) fn len(&self) -> usize {
        usize::try_from((self.last + 1).saturating_sub(self.first)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::testing::row_of;

    fn window(span: Span, limit: usize, min_seq: Seq, head: Seq) -> (Seq, Seq) {
        let window = Window::of(span, limit, min_seq, head);
        (window.first, window.last)
    }

    #[test]
    fn a_page_from_the_head_ends_there() {
        assert_eq!(window(Span::Before(Seq::MAX), 10, 1, 25), (16, 25));
        assert_eq!(window(Span::Before(Seq::MAX), 10, 1, 5), (1, 5));
        assert_eq!(window(Span::Before(16), 10, 1, 25), (6, 15));
    }

    #[test]
    fn a_member_sees_nothing_below_their_first_event() {
        assert_eq!(window(Span::Before(Seq::MAX), 10, 20, 25), (20, 25));
        assert_eq!(window(Span::After(0), 3, 20, 25), (20, 22));
        assert!(Window::of(Span::Before(20), 10, 20, 25).is_empty());
        assert!(!Window::of(Span::Before(21), 10, 20, 25).is_empty());
    }

    #[test]
    fn nothing_above_the_head_is_served() {
        assert_eq!(window(Span::After(23), 10, 1, 25), (24, 25));
        assert!(Window::of(Span::After(25), 10, 1, 25).is_empty());
        assert!(Window::of(Span::After(Seq::MAX), 10, 1, 25).is_empty());
        assert!(Window::of(Span::Before(0), 10, 1, 25).is_empty());
    }

    #[test]
    fn memory_keeps_the_newest_rows_within_its_limits() {
        let mut tail = Tail::default();
        for seq in 1..=limits::TAIL_ROWS_MAX as Seq + 1 {
            tail.push(row_of(seq));
        }
        assert_eq!((tail.floor(), tail.head()), (2, limits::TAIL_ROWS_MAX as Seq + 1));
        assert!(tail.row(1).is_none());
        assert_eq!(tail.row(2).map(|row| row.seq), Some(2));
        assert!(tail.window(&Window { first: 1, last: 3 }).is_none());
        assert_eq!(tail.window(&Window { first: 2, last: 3 }).map(|rows| rows.len()), Some(2));
    }

    #[test]
    fn memory_keeps_as_many_bytes_as_allowed_and_not_one_more() {
        for (last_bytes, floor) in [(1, 1), (2, 2)] {
            let mut tail = Tail::default();
            for (seq, bytes) in [(1, limits::TAIL_BYTES_MAX - 1), (2, last_bytes)] {
                tail.push(Row { body: vec![0; bytes].into(), ..row_of(seq) });
            }
            assert_eq!((tail.floor(), tail.head()), (floor, 2), "{last_bytes}");
        }
    }

    #[test]
    fn the_last_row_stays_however_long_it_is() {
        let mut tail = Tail::default();
        tail.push(Row { body: vec![0; limits::TAIL_BYTES_MAX + 1].into(), ..row_of(1) });
        assert_eq!((tail.floor(), tail.head()), (1, 1));
    }
}
