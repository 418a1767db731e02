//! How many groups users have created: counted in the store, and kept for a while.
//!
//! A count is read again after a while, as groups are left, and after some creations, as other
//! workers create groups of the same user and know nothing of ours.

use std::collections::HashMap;

use throng_store::UserId;

use crate::limits;

#[derive(Debug)]
struct Kept {
    groups: usize,
    /// Of them those created since they were counted.
    added: usize,
    counted_at_ms: u64,
}

/// Counts of users who created groups lately.
#[derive(Debug, Default)]
pub(crate) struct CreatedGroups {
    kept: HashMap<UserId, Kept>,
}

impl CreatedGroups {
    /// How many the user has created, if that was counted lately.
    pub(crate) fn of(&self, user: UserId, mono_ms: u64) -> Option<usize> {
        let kept = self.kept.get(&user)?;
        let fresh = mono_ms < kept.counted_at_ms + limits::CREATED_KEPT_MS
            && kept.added < limits::CREATED_UNCOUNTED_MAX;
        fresh.then_some(kept.groups)
    }

    /// They were counted.
    pub(crate) fn put(&mut self, user: UserId, groups: usize, mono_ms: u64) {
        if self.kept.len() >= limits::CREATED_USERS_MAX {
            self.kept.clear();
        }
        self.kept.insert(user, Kept { groups, added: 0, counted_at_ms: mono_ms });
    }

    /// One more is being created.
    pub(crate) fn add(&mut self, user: UserId) {
        if let Some(kept) = self.kept.get_mut(&user) {
            kept.groups += 1;
            kept.added += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId([1; 16]);

    #[test]
    fn a_count_is_kept_until_it_is_too_old_or_too_much_was_added() {
        let mut created = CreatedGroups::default();
        assert_eq!(created.of(USER, 0), None);
        created.put(USER, 5, 0);
        assert_eq!(created.of(USER, limits::CREATED_KEPT_MS - 1), Some(5));
        assert_eq!(created.of(USER, limits::CREATED_KEPT_MS), None);
        for _ in 1..limits::CREATED_UNCOUNTED_MAX {
            created.add(USER);
        }
        assert_eq!(created.of(USER, 0), Some(4 + limits::CREATED_UNCOUNTED_MAX));
        created.add(USER);
        assert_eq!(created.of(USER, 0), None);
    }

    #[test]
    fn as_many_users_are_kept_as_there_is_room_for_and_the_newest_always() {
        let mut created = CreatedGroups::default();
        let user = |number: usize| {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&(number as u64).to_be_bytes());
            UserId(id)
        };
        for number in 0..limits::CREATED_USERS_MAX {
            created.put(user(number), 1, 0);
        }
        assert_eq!(created.of(user(0), 0), Some(1));
        created.put(USER, 2, 0);
        assert_eq!((created.of(user(0), 0), created.of(USER, 0)), (None, Some(2)));
    }
}
