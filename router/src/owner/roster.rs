//! Who is in a conversation and what they may do: a function of its log.
//!
//! `apply` takes the log's events in order and gives the projections of each; applying an event
//! again changes nothing. `plan` says what event a change makes, or why it is not allowed. Rules:
//! - A direct conversation has the members it was created with, for ever, and no roles.
//! - In a group owners and admins add, remove and rename; only owners set roles and remove owners
//!   and admins.
//! - A group with members has an owner: the last one leaves, or gives the role up, only when alone.
//! - A change that would change nothing makes no event.

use std::collections::BTreeMap;
use std::sync::Arc;

use throng_store::{ConvId, ConvRow, MemberRow, Projection, Role, Row, Seq, UserId};
use throng_wire::{DecodeError, v1};

use super::deciding::MESSAGE_KIND;
use super::event;
use super::request::{Named, Refusal};
use crate::limits::TOUCH_MEMBERS_MAX;

/// A present member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Their name.
    pub(crate) name: Box<str>,
    /// What they may do.
    pub(crate) role: Role,
    /// Seq of the event by which they joined.
    pub(crate) joined_seq: Seq,
}

/// A conversation's settings and present members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roster {
    /// Direct or group.
    pub(crate) direct: bool,
    /// Name of a group.
    pub(crate) name: String,
    /// Whether members see what was before they joined.
    pub(crate) history_all: bool,
    members: BTreeMap<UserId, Member>,
    audience: Option<Arc<[UserId]>>,
}

/// What applying one event gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What to write.
    pub(crate) projections: Vec<Projection>,
    /// Users who are no members any more.
    pub(crate) left: Vec<UserId>,
}

impl Roster {
    /// From the projections.
    pub(crate) fn load(conv: &ConvRow, members: Vec<MemberRow>) -> Self {
        let present = members.into_iter().filter(|row| row.left_seq == 0);
        Self {
            direct: conv.direct,
            name: conv.name.clone(),
            history_all: conv.history_all,
            members: present
                .map(|row| {
                    let name = row.name.into_boxed_str();
                    (row.user, Member { name, role: row.role, joined_seq: row.joined_seq })
                })
                .collect(),
            audience: None,
        }
    }

    /// A present member.
    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user)
    }

    /// Present members after `after`, by id.
    pub(crate) fn members_after(
        &self,
        after: Option<UserId>,
    ) -> impl Iterator<Item = (&UserId, &Member)> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.members.range((from, Bound::Unbounded))
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Too many members to touch each one's list.
    pub(crate) fn big(&self) -> bool {
        self.members.len() > TOUCH_MEMBERS_MAX
    }

    /// All members, shared by the deliveries of many events.
    pub(crate) fn audience(&mut self) -> Arc<[UserId]> {
        let members = &self.members;
        Arc::clone(self.audience.get_or_insert_with(|| members.keys().copied().collect()))
    }

    /// The first event that a member may see.
    pub(crate) fn min_seq(&self, member: &Member) -> Seq {
        if self.history_all { 1 } else { member.joined_seq }
    }

    /// The conversation's row when everything up to `row` is applied.
    pub(crate) fn conv_row(&self, conv: ConvId, row: &Row) -> ConvRow {
        ConvRow {
            conv,
            direct: self.direct,
            name: self.name.clone(),
            history_all: self.history_all,
            applied_seq: row.seq,
            applied_n: row.n,
            member_count: u32::try_from(self.members.len()).unwrap_or(u32::MAX),
        }
    }

    /// Applies the event of a row.
    ///
    /// # Errors
    /// The row's body is not an event.
    pub(crate) fn apply(&mut self, conv: ConvId, row: &Row) -> Result<Applied, DecodeError> {
        let mut applied = Applied::default();
        if row.kind == MESSAGE_KIND {
            return Ok(applied);
        }
        let was_big = self.big();
        match event::what(row)? {
            Some(v1::What::Created(created)) => self.create(conv, row, &created, &mut applied),
            Some(v1::What::Member(change)) => self.change(conv, row, &change, &mut applied),
            Some(v1::What::Meta(meta)) => self.name = meta.name.into_owned(),
            Some(v1::What::Message(_)) | None => {}
        }
        if was_big != self.big() && row.seq > 1 {
            let all: Vec<UserId> = self.members.keys().copied().collect();
            applied.projections.extend(all.iter().map(|user| self.listed(conv, *user, row)));
        }
        Ok(applied)
    }

    fn create(&mut self, conv: ConvId, row: &Row, created: &v1::Created<'_>, out: &mut Applied) {
        self.direct = created.kind == "direct";
        self.name = created.name.to_string();
        self.history_all = created.history == "all";
        for member in &created.members {
            let role = event::role_of(&member.role).unwrap_or(Role::Member);
            self.insert(&member.user, role, row.seq);
        }
        self.project_joined(conv, row, created.members.iter().map(|member| &*member.user), out);
    }

    fn change(
        &mut self,
        conv: ConvId,
        row: &Row,
        change: &v1::MemberChange<'_>,
        out: &mut Applied,
    ) {
        if change.left {
            for name in &change.users {
                self.remove(conv, row, name, out);
            }
            return;
        }
        let role = event::role_of(&change.role).unwrap_or(Role::Member);
        for name in &change.users {
            self.insert(name, role, row.seq);
        }
        self.project_joined(conv, row, change.users.iter().map(|name| &**name), out);
    }

    /// Adds a member, or sets the role of one.
    fn insert(&mut self, name: &str, role: Role, seq: Seq) {
        let new = || Member { name: name.into(), role, joined_seq: seq };
        self.members.entry(event::user_id(name)).or_insert_with(new).role = role;
        self.audience = None;
    }

    fn remove(&mut self, conv: ConvId, row: &Row, name: &str, out: &mut Applied) {
        let user = event::user_id(name);
        let Some(member) = self.members.remove(&user) else { return };
        self.audience = None;
        let interval = MemberRow {
            user,
            name: name.to_owned(),
            role: member.role,
            joined_seq: member.joined_seq,
            left_seq: row.seq,
        };
        out.projections.push(Projection::Member { conv, row: interval, at: row.seq });
        out.projections.push(self.listing(conv, user, member.joined_seq, row.seq, row));
        out.left.push(user);
    }

    /// Members as they are after the event that made or changed them.
    fn project_joined<'n>(
        &self,
        conv: ConvId,
        row: &Row,
        names: impl Iterator<Item = &'n str>,
        out: &mut Applied,
    ) {
        for name in names {
            let user = event::user_id(name);
            let Some(member) = self.members.get(&user) else { continue };
            let interval = MemberRow {
                user,
                name: name.to_owned(),
                role: member.role,
                joined_seq: member.joined_seq,
                left_seq: 0,
            };
            out.projections.push(Projection::Member { conv, row: interval, at: row.seq });
            if member.joined_seq == row.seq {
                out.projections.push(self.listed(conv, user, row));
            }
        }
    }

    /// A member's entry in their list of conversations.
    fn listed(&self, conv: ConvId, user: UserId, row: &Row) -> Projection {
        let joined_seq = self.members.get(&user).map_or(0, |member| member.joined_seq);
        self.listing(conv, user, joined_seq, 0, row)
    }

    fn listing(
        &self,
        conv: ConvId,
        user: UserId,
        joined_seq: Seq,
        left_seq: Seq,
        row: &Row,
    ) -> Projection {
        Projection::Listed {
            user,
            conv,
            direct: self.direct,
            peer: self.peer(user),
            joined_seq,
            left_seq,
            // Only grows in the list, so 0 leaves that of an older joining alone.
            joined_n: if joined_seq == row.seq { row.n } else { 0 },
            big: self.big(),
            // Stays so in the list, whatever is written later.
            created: !self.direct && row.seq == 1 && row.sender == user,
            at: row.seq,
        }
    }

    /// The other member of a direct conversation; oneself when alone.
    fn peer(&self, user: UserId) -> String {
        if !self.direct {
            return String::new();
        }
        let other = self.members.iter().find(|(id, _)| **id != user);
        let peer = other.or_else(|| self.members.iter().next());
        peer.map_or_else(String::new, |(_, member)| member.name.to_string())
    }

    /// The event that a change by `by` makes; `None` if it would change nothing.
    pub(crate) fn plan_add(
        &self,
        by: &Member,
        users: &[Named],
        members_max: usize,
    ) -> Result<Option<v1::What<'static>>, Refusal> {
        self.administers(by)?;
        let mut new: Vec<&Named> =
            users.iter().filter(|user| !self.members.contains_key(&user.id)).collect();
        new.sort_by_key(|user| user.id);
        new.dedup_by_key(|user| user.id);
        if self.members.len() + new.len() > members_max {
            return Err(Refusal::TooLarge("the group would have too many members"));
        }
        Ok(member_change(new.iter().map(|user| &*user.name), Some(Role::Member)))
    }

    /// See [`Roster::plan_add`].
    pub(crate) fn plan_remove(
        &self,
        by: &Member,
        users: &[Named],
    ) -> Result<Option<v1::What<'static>>, Refusal> {
        self.administers(by)?;
        let mut gone: Vec<(&UserId, &Member)> =
            users.iter().filter_map(|user| self.members.get_key_value(&user.id)).collect();
        gone.sort_by_key(|(id, _)| **id);
        gone.dedup_by_key(|(id, _)| **id);
        if by.role != Role::Owner && gone.iter().any(|(_, member)| member.role > Role::Member) {
            return Err(Refusal::NotAllowed("only an owner can remove owners and admins"));
        }
        let owners_gone = gone.iter().filter(|(_, member)| member.role == Role::Owner).count();
        self.keeps_an_owner(owners_gone, gone.len())?;
        Ok(member_change(gone.iter().map(|(_, member)| &*member.name), None))
    }

    /// See [`Roster::plan_add`].
    pub(crate) fn plan_role(
        &self,
        by: &Member,
        user: &Named,
        role: Role,
    ) -> Result<Option<v1::What<'static>>, Refusal> {
        self.administers(by)?;
        if by.role != Role::Owner {
            return Err(Refusal::NotAllowed("only an owner can set roles"));
        }
        let Some(member) = self.members.get(&user.id) else {
            return Err(Refusal::NotAllowed("this user is not a member"));
        };
        if member.role == role {
            return Ok(None);
        }
        if member.role == Role::Owner {
            self.keeps_an_owner(1, 0)?;
        }
        Ok(member_change(std::iter::once(&*member.name), Some(role)))
    }

    /// See [`Roster::plan_add`].
    pub(crate) fn plan_rename(
        &self,
        by: &Member,
        name: &str,
    ) -> Result<Option<v1::What<'static>>, Refusal> {
        self.administers(by)?;
        let same = self.name == name;
        Ok((!same).then(|| v1::What::Meta(v1::MetaChange { name: name.to_owned().into() })))
    }

    /// See [`Roster::plan_add`].
    pub(crate) fn plan_leave(&self, by: &Member) -> Result<Option<v1::What<'static>>, Refusal> {
        self.is_group()?;
        if by.role == Role::Owner {
            self.keeps_an_owner(1, 1)?;
        }
        Ok(member_change(std::iter::once(&*by.name), None))
    }

    fn is_group(&self) -> Result<(), Refusal> {
        if self.direct {
            return Err(Refusal::NotAllowed("a direct conversation keeps its two members"));
        }
        Ok(())
    }

    fn administers(&self, by: &Member) -> Result<(), Refusal> {
        self.is_group()?;
        if by.role == Role::Member {
            return Err(Refusal::NotAllowed("only an owner or an admin of the group can do this"));
        }
        Ok(())
    }

    fn keeps_an_owner(&self, owners_less: usize, members_less: usize) -> Result<(), Refusal> {
        let owners = self.members.values().filter(|member| member.role == Role::Owner).count();
        if owners_less > 0 && owners <= owners_less && self.members.len() > members_less {
            return Err(Refusal::NotAllowed("the group needs an owner; make another one first"));
        }
        Ok(())
    }
}

/// The first event of a direct conversation between two users, who may be the same.
pub(crate) fn created_direct(one: &str, other: &str) -> v1::What<'static> {
    let mut names = vec![one];
    if one != other {
        names.push(other);
    }
    created("direct", "", false, names.into_iter().map(|name| (name, Role::Member)))
}

/// The first event of a group.
pub(crate) fn created_group(
    creator: &str,
    name: &str,
    members: &[Named],
    history_all: bool,
) -> v1::What<'static> {
    let mut others: Vec<&str> =
        members.iter().map(|member| &*member.name).filter(|name| *name != creator).collect();
    others.sort_unstable();
    others.dedup();
    let others = others.into_iter().map(|name| (name, Role::Member));
    created("group", name, history_all, std::iter::once((creator, Role::Owner)).chain(others))
}

fn created<'n>(
    kind: &'static str,
    name: &str,
    history_all: bool,
    members: impl Iterator<Item = (&'n str, Role)>,
) -> v1::What<'static> {
    let member = |(user, role): (&str, Role)| v1::Member {
        user: user.to_owned().into(),
        role: event::role_name(role).into(),
        joined_seq: 1,
        ..v1::Member::default()
    };
    v1::What::Created(v1::Created {
        kind: kind.into(),
        name: name.to_owned().into(),
        members: members.map(member).collect(),
        history: if history_all { "all" } else { "joined" }.into(),
    })
}

/// Users who now have a role, or left; `None` if there are none.
fn member_change<'n>(
    users: impl Iterator<Item = &'n str>,
    role: Option<Role>,
) -> Option<v1::What<'static>> {
    let users: Vec<_> = users.map(|name| name.to_owned().into()).collect();
    let change = v1::MemberChange {
        left: role.is_none(),
        role: role.map_or("", event::role_name).into(),
        users,
    };
    (!change.users.is_empty()).then_some(v1::What::Member(change))
}
