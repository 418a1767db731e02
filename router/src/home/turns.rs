//! Whose list is made next: users take turns, and nobody's lists take all the room.
//!
//! A user has one list under way at a time; their next one waits behind the other users who wait.
//! What waits is bounded, for each user and for all. Who drives it: the home's actor, which calls
//! [`Turns::wait`] for each list, then [`Turns::next`] until there is none, and [`Turns::done`]
//! when a list that `next` gave has been made or let go.

use std::collections::{HashMap, VecDeque};

use throng_store::UserId;

use crate::limits;

/// Lists that wait, and how many are being made.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    running_max: usize,
    running: usize,
    waiting: usize,
    /// What waits of each user who has a list being made, or one that waits.
    users: HashMap<UserId, VecDeque<T>>,
    /// Users of whom something waits and nothing is being made, in the order of their turns.
    next: VecDeque<UserId>,
}

impl<T> Turns<T> {
    /// With so many lists being made at a time.
    pub(crate) fn new(running_max: usize) -> Self {
        Self { running_max, running: 0, waiting: 0, users: HashMap::new(), next: VecDeque::new() }
    }

    /// Lets a list wait for its turn, or gives it back if too many wait.
    pub(crate) fn wait(&mut self, user: UserId, list: T) -> Result<(), T> {
        let waiting = self.users.get(&user);
        if self.waiting >= limits::LISTS_WAITING_MAX
            || waiting.is_some_and(|lists| lists.len() >= limits::USER_LISTS_WAITING_MAX)
        {
            return Err(list);
        }
        if waiting.is_none() {
            self.next.push_back(user);
        }
        self.users.entry(user).or_default().push_back(list);
        self.waiting += 1;
        Ok(())
    }

    /// The next list, if there is one and room to make it.
    pub(crate) fn next(&mut self) -> Option<T> {
        if self.running >= self.running_max {
            return None;
        }
        let user = self.next.pop_front()?;
        let list = self.users.get_mut(&user)?.pop_front()?;
        self.waiting -= 1;
        self.running += 1;
        Some(list)
    }

    /// A list of this user is made, or let go.
    pub(crate) fn done(&mut self, user: UserId) {
        self.running = self.running.saturating_sub(1);
        if self.users.get(&user).is_some_and(VecDeque::is_empty) {
            self.users.remove(&user);
        } else {
            self.next.push_back(user);
        }
    }

    /// Lists that are being made or wait.
    pub(crate) fn len(&self) -> usize {
        self.running + self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u32) -> UserId {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        UserId(id)
    }

    #[test]
    fn a_user_with_many_lists_waits_behind_those_with_one() {
        let mut turns = Turns::new(1);
        for list in 1..=3 {
            turns.wait(user(1), (1, list)).unwrap();
        }
        turns.wait(user(2), (2, 1)).unwrap();
        turns.wait(user(3), (3, 1)).unwrap();
        let mut order = Vec::new();
        while let Some((number, list)) = turns.next() {
            order.push((number, list));
            turns.done(user(number));
        }
        assert_eq!(order, [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]);
        assert_eq!((turns.len(), turns.users.len()), (0, 0));
    }

    #[test]
    fn one_list_of_a_user_is_made_at_a_time_and_no_more_than_allowed_of_all() {
        let mut turns = Turns::new(2);
        for number in [1, 1, 2, 3] {
            turns.wait(user(number), number).unwrap();
        }
        assert_eq!([turns.next(), turns.next(), turns.next()], [Some(1), Some(2), None]);
        turns.done(user(2));
        assert_eq!([turns.next(), turns.next()], [Some(3), None]);
        turns.done(user(1));
        turns.done(user(3));
        assert_eq!([turns.next(), turns.next()], [Some(1), None]);
    }

    #[test]
    fn as_many_wait_of_a_user_as_allowed_and_not_one_more() {
        let mut turns = Turns::new(1);
        for _ in 0..limits::USER_LISTS_WAITING_MAX {
            turns.wait(user(1), 0).unwrap();
        }
        assert_eq!(turns.wait(user(1), 9), Err(9));
        assert_eq!(turns.wait(user(2), 0), Ok(()));
        turns.next();
        assert_eq!((turns.wait(user(1), 0), turns.wait(user(1), 9)), (Ok(()), Err(9)));
    }

    #[test]
    fn as_many_wait_of_all_as_allowed_and_not_one_more() {
        let mut turns = Turns::new(1);
        for number in 0..limits::LISTS_WAITING_MAX as u32 {
            turns.wait(user(number), 0).unwrap();
        }
        assert_eq!(turns.wait(user(u32::MAX), 9), Err(9));
        turns.next();
        assert_eq!(turns.wait(user(u32::MAX), 0), Ok(()));
    }
}
