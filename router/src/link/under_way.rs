//! Requests of one link under way, and the memory that their answers may take.
//!
//! Credit bounds how many requests there are and what they themselves take, but an answer may be a
//! thousand times as large as its request. So one that reads a page reserves the most that the
//! answer may have, until the answer has left for the outbox. Where there is no room it waits here,
//! first come first served, before its actor hears of it. All other answers are short and their
//! requests never wait: a write is not held up by those who read.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use throng_wire::limits::EVENT_BYTES_MAX;

use super::decode::{HomeOp, Target};
use super::merge::Merge;
use crate::limits::{LINK_ANSWER_BYTES, PAGE_AROUND_BYTES, PAGE_BYTES_MAX};
use crate::owner::{Op, Refusal};

#[derive(Debug)]
struct Pending {
    frame_bytes: usize,
    reserved_bytes: usize,
    merge: Option<Merge>,
}

#[derive(Debug)]
struct Held<T> {
    request: u64,
    answer_bytes: usize,
    asked: T,
}

/// Requests under way; `T` is what goes to the actors.
#[derive(Debug)]
pub(super) struct UnderWay<T> {
    pending: HashMap<u64, Pending>,
    reserved_bytes: usize,
    held: VecDeque<Held<T>>,
}

/// A request has a number that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberInUse;

impl<T> Default for UnderWay<T> {
    fn default() -> Self {
        Self { pending: HashMap::new(), reserved_bytes: 0, held: VecDeque::new() }
    }
}

impl<T> UnderWay<T> {
    /// A request came in a frame of `frame_bytes`.
    pub(super) fn begin(&mut self, request: u64, frame_bytes: usize) -> Result<(), NumberInUse> {
        let pending = Pending { frame_bytes, reserved_bytes: 0, merge: None };
        match self.pending.insert(request, pending) {
            None => Ok(()),
            Some(_) => Err(NumberInUse),
        }
    }

    /// Gives `asked` back if it may go now. Else it is kept, and [`UnderWay::next`] gives it.
    pub(super) fn admit(&mut self, request: u64, answer_bytes: usize, asked: T) -> Option<T> {
        if answer_bytes == 0 {
            return Some(asked);
        }
        self.held.push_back(Held { request, answer_bytes, asked });
        if self.held.len() == 1 { self.next() } else { None }
    }

    /// The next of those that wait, if there is room for its answer now.
    pub(super) fn next(&mut self) -> Option<T> {
        let has_room =
            |held: &mut Held<T>| self.reserved_bytes + held.answer_bytes <= LINK_ANSWER_BYTES;
        let Held { request, answer_bytes, asked } = self.held.pop_front_if(has_room)?;
        if let Some(pending) = self.pending.get_mut(&request) {
            pending.reserved_bytes = answer_bytes;
            self.reserved_bytes += answer_bytes;
        }
        Some(asked)
    }

    /// The request's answer comes in parts.
    pub(super) fn merge(&mut self, request: u64, merge: Merge) {
        if let Some(pending) = self.pending.get_mut(&request) {
            pending.merge = Some(merge);
        }
    }

    /// The whole answer, once every part of it is there.
    pub(super) fn answered(
        &mut self,
        request: u64,
        part: u32,
        body: Bytes,
        refusal: Option<Refusal>,
    ) -> Option<(Bytes, Option<Refusal>)> {
        let pending = self.pending.get_mut(&request)?;
        let Some(merge) = &mut pending.merge else { return Some((body, refusal)) };
        if !merge.put(part, body, refusal) {
            return None;
        }
        pending.merge.take().map(Merge::finish)
    }

    /// The answer has left. Gives the bytes of the request's frame, if it was under way.
    pub(super) fn finish(&mut self, request: u64) -> Option<usize> {
        let pending = self.pending.remove(&request)?;
        self.reserved_bytes -= pending.reserved_bytes;
        Some(pending.frame_bytes)
    }
}

/// Bytes to be reserved for the answer; 0 if it is short.
pub(super) fn answer_bytes(target: &Target) -> usize {
    // A page has one event at least, however large.
    let page = |op: &Op| match op {
        Op::History(page) => page.bytes_max.max(EVENT_BYTES_MAX) + PAGE_AROUND_BYTES,
        Op::Members { .. } => PAGE_BYTES_MAX,
        _ => 0,
    };
    match target {
        Target::Owner(_, op) => page(op),
        Target::Sync(parts) => parts.iter().map(|(_, op)| page(op)).sum(),
        Target::Home(HomeOp::Conversations { .. }) => {
            PAGE_BYTES_MAX + EVENT_BYTES_MAX + PAGE_AROUND_BYTES
        }
        Target::Home(HomeOp::Changes { .. }) | Target::Ping => 0,
    }
}

#[cfg(test)]
mod tests {
    use throng_store::{ConvId, Seq};

    use super::*;
    use crate::limits::SYNC_BYTES_MAX;
    use crate::owner::{PageRequest, Span};

    const HALF: usize = LINK_ANSWER_BYTES / 2;

    fn requests(count: u64) -> UnderWay<u64> {
        let mut requests = UnderWay::default();
        for request in 0..count {
            assert_eq!(requests.begin(request, 100), Ok(()));
        }
        requests
    }

    #[test]
    fn answers_of_the_limit_go_and_one_byte_more_waits() {
        let mut requests = requests(3);
        assert_eq!(requests.admit(0, HALF, 0), Some(0));
        assert_eq!(requests.admit(1, HALF, 1), Some(1));
        assert_eq!(requests.admit(2, 1, 2), None);
        assert_eq!(requests.next(), None);
        assert_eq!(requests.finish(0), Some(100));
        assert_eq!((requests.next(), requests.next()), (Some(2), None));
    }

    #[test]
    fn those_that_wait_keep_their_order_and_short_answers_pass_them() {
        let mut requests = requests(4);
        assert_eq!(requests.admit(0, HALF, 0), Some(0));
        assert_eq!(requests.admit(1, HALF + 1, 1), None);
        assert_eq!(requests.admit(2, 1, 2), None, "there is room, but not its turn");
        assert_eq!(requests.admit(3, 0, 3), Some(3));
        assert_eq!(requests.finish(0), Some(100));
        assert_eq!((requests.next(), requests.next()), (Some(1), Some(2)));
    }

    #[test]
    fn what_was_reserved_is_free_again_once() {
        let mut requests = requests(2);
        for _ in 0..10 {
            assert_eq!(requests.admit(0, LINK_ANSWER_BYTES, 0), Some(0));
            assert_eq!(requests.admit(1, 1, 1), None);
            assert_eq!((requests.finish(0), requests.finish(0)), (Some(100), None));
            assert_eq!(requests.next(), Some(1));
            assert_eq!(requests.finish(1), Some(100));
            for request in 0..2 {
                assert_eq!(requests.begin(request, 100), Ok(()));
            }
        }
    }

    #[test]
    fn a_number_is_used_once_at_a_time() {
        let mut requests = requests(1);
        assert_eq!(requests.begin(0, 100), Err(NumberInUse));
    }

    #[test]
    fn the_largest_sync_reserves_one_event_for_each_conversation_and_can_go() {
        let count = throng_wire::limits::SYNC_CONVS_MAX;
        let bytes_max = SYNC_BYTES_MAX / count;
        let page =
            PageRequest { span: Span::After(Seq::default()), limit: 1, bytes_max, bare: true };
        let parts = vec![(ConvId([1; 16]), Op::History(page)); count];
        let bytes = answer_bytes(&Target::Sync(parts));
        assert!((count * EVENT_BYTES_MAX..=LINK_ANSWER_BYTES).contains(&bytes));
        assert_eq!(requests(1).admit(0, bytes, 0), Some(0));
    }
}
