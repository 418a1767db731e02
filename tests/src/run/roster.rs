//! Who is in a group and with which role, kept beside the gateway, and what docs/protocol.md lets
//! each of them do: what the steward expects as the answer to its next change.

use std::collections::BTreeMap;

/// A change of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// Make this user a member.
    Add(&'a str),
    /// Let this user be no member.
    Remove(&'a str),
    /// Give this member another role.
    SetRole(&'a str, &'a str),
    /// Go oneself.
    Leave,
}

/// How a change is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is an event.
    Done,
    /// It would have changed nothing.
    Unchanged,
    /// It is not in the asker's power.
    Forbidden,
}

/// The members of one group.
#[derive(Debug)]
pub(super) struct Roster {
    pub(super) conv: String,
    roles: BTreeMap<String, String>,
}

impl Roster {
    pub(super) fn new(conv: &str, owner: &str, members: &[String]) -> Self {
        let mut roles: BTreeMap<String, String> =
            members.iter().map(|user| (user.clone(), "member".to_owned())).collect();
        roles.insert(owner.to_owned(), "owner".to_owned());
        Self { conv: conv.to_owned(), roles }
    }

    pub(super) fn role(&self, user: &str) -> Option<&str> {
        self.roles.get(user).map(String::as_str)
    }

    /// What the asker gets for a change, which is then made.
    pub(super) fn make(&mut self, asker: &str, change: Change<'_>) -> Answer {
        let answer = self.judge(asker, change);
        if answer == Answer::Done {
            match change {
                Change::Add(user) => self.roles.insert(user.to_owned(), "member".to_owned()),
                Change::Remove(user) => self.roles.remove(user),
                Change::SetRole(user, role) => self.roles.insert(user.to_owned(), role.to_owned()),
                Change::Leave => self.roles.remove(asker),
            };
        }
        answer
    }

    fn judge(&self, asker: &str, change: Change<'_>) -> Answer {
        let is_above_members = matches!(self.role(asker), Some("admin" | "owner"));
        let is_owner = self.role(asker) == Some("owner");
        match change {
            Change::Leave if self.role(asker).is_some() => Answer::Done,
            Change::Add(_) | Change::Remove(_) if !is_above_members => Answer::Forbidden,
            Change::Add(user) if self.role(user).is_some() => Answer::Unchanged,
            Change::Add(_) => Answer::Done,
            Change::Remove(user) => match self.role(user) {
                None => Answer::Unchanged,
                Some("member") => Answer::Done,
                Some(_) if is_owner => Answer::Done,
                Some(_) => Answer::Forbidden,
            },
            Change::SetRole(user, role) if is_owner && self.role(user) == Some(role) => {
                Answer::Unchanged
            }
            Change::SetRole(..) if is_owner => Answer::Done,
            Change::SetRole(..) | Change::Leave => Answer::Forbidden,
        }
    }
}
