//! What an edge may have under way at a router.
//!
//! A request (`Register` or `Request`) costs one request and the bytes of its whole frame. The
//! router grants totals counted from the link's beginning, in `Welcome` and then in `Credit`: the
//! edge has what was granted less what it spent, and no lost or repeated grant can falsify that.

use super::messages::{Credit, Welcome};

/// The edge has too little credit: the request waits. Nothing was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no credit for another request")]
pub struct NoCredit;

/// The router granted less than before: it is at fault, and the link must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the total of granted credit went down")]
pub struct GrantDecreased;

/// The edge spent more than it was granted: it is at fault, and the link must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request beyond the granted credit")]
pub struct Overspent;

/// Requests and bytes, each a total since the link began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Total {
    requests: u64,
    bytes: u64,
}

impl Total {
    fn plus_request(self, frame_bytes: usize) -> Self {
        Self {
            requests: self.requests.saturating_add(1),
            bytes: self.bytes.saturating_add(frame_bytes as u64),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn covers(self, other: Self) -> bool {
        self.requests >= other.requests && self.bytes >= other.bytes
    }
}

/// The edge's side.
#[derive(Debug, Default)]
pub struct CreditSpender {
    granted: Total,
    spent: Total,
}

impl CreditSpender {
    /// As granted by the router's `Welcome`.
    #[must_use]
    pub fn new(welcome: &Welcome<'_>) -> Self {
        let granted = Total { requests: welcome.requests, bytes: welcome.bytes };
        Self { granted, spent: Total::default() }
    }

    /// Takes credit for a request whose frame has this many bytes, header included.
    ///
    /// # Errors
    /// There is not enough; try again after the next grant.
    pub fn spend(&mut self, frame_bytes: usize) -> Result<(), NoCredit> {
        let spent = self.spent.plus_request(frame_bytes);
        if !self.granted.covers(spent) {
            return Err(NoCredit);
        }
        self.spent = spent;
        Ok(())
    }

    /// Takes note of a grant.
    ///
    /// # Errors
    /// It is below an earlier one.
    pub fn grant(&mut self, credit: &Credit) -> Result<(), GrantDecreased> {
        let granted = Total { requests: credit.requests, bytes: credit.bytes };
        if !granted.covers(self.granted) {
            return Err(GrantDecreased);
        }
        self.granted = granted;
        Ok(())
    }
}

/// The router's side: keeps a fixed window of requests and bytes open.
#[derive(Debug)]
pub struct CreditGranter {
    window: Total,
    granted: Total,
    received: Total,
    finished: Total,
}

impl CreditGranter {
    /// At most `requests` with `bytes` in all may be under way. The first grant goes with
    /// `Welcome`.
    #[must_use]
    pub fn new(requests: u64, bytes: u64) -> Self {
        let window = Total { requests, bytes };
        Self { window, granted: window, received: Total::default(), finished: Total::default() }
    }

    /// What was granted so far.
    #[must_use]
    pub fn granted(&self) -> Credit {
        Credit { requests: self.granted.requests, bytes: self.granted.bytes }
    }

    /// A request came whose frame has this many bytes, header included.
    ///
    /// # Errors
    /// It was not covered.
    pub fn receive(&mut self, frame_bytes: usize) -> Result<(), Overspent> {
        let received = self.received.plus_request(frame_bytes);
        if !self.granted.covers(received) {
            return Err(Overspent);
        }
        self.received = received;
        Ok(())
    }

    /// A request was answered in full. Its frame had this many bytes.
    pub fn finish(&mut self, frame_bytes: usize) {
        let finished = self.finished.plus_request(frame_bytes);
        debug_assert!(self.received.covers(finished), "finished more than was received");
        self.finished = finished;
    }

    /// A new grant, once a quarter of the window can be given again: fewer frames than one each.
    pub fn grant(&mut self) -> Option<Credit> {
        let open = self.finished.plus(self.window);
        let is_due = |open: u64, granted: u64, window: u64| open - granted >= window.div_ceil(4);
        if !is_due(open.requests, self.granted.requests, self.window.requests)
            && !is_due(open.bytes, self.granted.bytes, self.window.bytes)
        {
            return None;
        }
        self.granted = open;
        Some(self.granted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(requests: u64, bytes: u64) -> (CreditSpender, CreditGranter) {
        let granter = CreditGranter::new(requests, bytes);
        let welcome = Welcome { requests, bytes, ..Welcome::default() };
        (CreditSpender::new(&welcome), granter)
    }

    #[test]
    fn the_last_request_of_the_window_passes_and_one_more_does_not() {
        let (mut spender, mut granter) = ends(2, 1000);
        for _ in 0..2 {
            assert_eq!(spender.spend(10), Ok(()));
            assert_eq!(granter.receive(10), Ok(()));
        }
        assert_eq!(spender.spend(10), Err(NoCredit));
        assert_eq!(granter.receive(10), Err(Overspent));
    }

    #[test]
    fn the_last_byte_of_the_window_passes_and_one_more_does_not() {
        let (mut spender, mut granter) = ends(10, 100);
        assert_eq!(spender.spend(101), Err(NoCredit));
        assert_eq!(granter.receive(101), Err(Overspent));
        assert_eq!(spender.spend(100), Ok(()));
        assert_eq!(granter.receive(100), Ok(()));
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let (mut spender, _) = ends(1, 100);
        assert_eq!(spender.spend(101), Err(NoCredit));
        assert_eq!(spender.spend(1), Ok(()));
    }

    #[test]
    fn what_is_finished_is_granted_again_and_no_more() {
        let (mut spender, mut granter) = ends(4, 400);
        for _ in 0..4 {
            spender.spend(100).unwrap();
            granter.receive(100).unwrap();
        }
        assert_eq!(granter.grant(), None);
        granter.finish(100);
        let credit = granter.grant().expect("a quarter is free");
        assert_eq!(credit, Credit { requests: 5, bytes: 500 });
        assert_eq!(granter.grant(), None);
        assert_eq!(spender.spend(100), Err(NoCredit));
        spender.grant(&credit).unwrap();
        assert_eq!(spender.spend(100), Ok(()));
        assert_eq!(granter.receive(100), Ok(()));
        assert_eq!(spender.spend(1), Err(NoCredit));
    }

    #[test]
    fn a_repeated_grant_changes_nothing_and_a_lower_one_is_an_error() {
        let (mut spender, mut granter) = ends(1, 100);
        let credit = granter.granted();
        assert_eq!(spender.grant(&credit), Ok(()));
        spender.spend(10).unwrap();
        assert_eq!(spender.grant(&credit), Ok(()));
        assert_eq!(spender.spend(10), Err(NoCredit));
        assert_eq!(spender.grant(&Credit { requests: 0, bytes: 500 }), Err(GrantDecreased));
        assert_eq!(granter.receive(10), Ok(()));
    }

    #[test]
    fn totals_near_their_end_do_not_wrap() {
        let mut granter = CreditGranter::new(u64::MAX, u64::MAX);
        granter.receive(usize::MAX).unwrap();
        granter.finish(usize::MAX);
        assert_eq!(granter.grant(), None);
    }
}
