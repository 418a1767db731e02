//! What is to be done with a write: refused, answered as before, looked up, or made into events.

use smallvec::{SmallVec, smallvec};
use throng_store::{ConvId, Seq, UserId};
use throng_wire::{id, v1};

use super::conversation::{Conversation, Turn};
use super::event;
use super::known::Verdict;
use super::request::{Asker, Named, Op, Refusal, Request, What, Write};
use super::roster;
use super::writing::Draft;
use crate::limits;

/// `Row::kind` of a message, the only event that counts as unread.
pub(super) const MESSAGE_KIND: u8 = v1::Event::MESSAGE as u8;

/// What is to be done with a write.
pub(super) enum Decision {
    /// Add events, the last of which is acknowledged.
    Append(SmallVec<[Content; 1]>),
    /// It is there already.
    Duplicate(Seq, u64),
    /// It would change nothing.
    Unchanged,
    /// Something must be read first.
    Lookup(Lookup),
}

/// What must be known first.
pub(super) enum Lookup {
    /// Whether one of the rows below this seq has the id: so many of them.
    Scan(Seq, usize),
    /// The first event.
    First,
    /// How many groups the asker has created.
    Count,
}

/// An event to be.
pub(super) struct Content {
    pub(super) client_msg_id: id::Id,
    pub(super) digest: [u8; 8],
    pub(super) kind: u8,
    pub(super) ref_seq: Seq,
    pub(super) body: bytes::Bytes,
}

impl Content {
    fn event(asker: &Asker, write: &Write, what: v1::What<'_>) -> Self {
        let kind = match what {
            v1::What::Message(_) => v1::Event::MESSAGE,
            v1::What::Member(_) => v1::Event::MEMBER,
            v1::What::Meta(_) => v1::Event::META,
            v1::What::Created(_) => v1::Event::CREATED,
        };
        Self {
            client_msg_id: write.client_msg_id,
            digest: write.digest,
            kind: kind as u8,
            ref_seq: 0,
            body: event::body(&asker.user.name, &asker.device, &write.client_msg_id, what),
        }
    }
}

impl Conversation {
    /// Decides. Changes nothing.
    pub(super) fn decide(
        &self,
        request: &Request,
        draft: &Draft,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        if request.deadline_ms <= turn.now.mono_ms {
            return Err(Refusal::Overloaded);
        }
        if !self.senders.admits(request.asker.connection, request.order) {
            return Err(Refusal::AfterFailed);
        }
        let write = match &request.op {
            Op::Write(write) => write,
            Op::Refused(refusal) => return Err(*refusal),
            _ => return Err(Refusal::Internal),
        };
        let exists = self.exists() || !draft.rows.is_empty();
        let user = &request.asker.user;
        if exists && matches!(write.what, What::Create { .. }) {
            return self.created_before(user.id, write, turn);
        }
        if exists && self.roster.member(user.id).is_none() {
            return self.sent_before(user.id, write);
        }
        if !exists && !creates(self.id, user, write) {
            return Err(Refusal::NotMember);
        }
        let made_ms = fresh(write, turn)?;
        match self.known.find(user.id, &write.client_msg_id, made_ms, turn.now.moment_ms) {
            Verdict::At(seq) => return self.duplicate(seq, write),
            Verdict::Ask { below, rows } => {
                return Ok(Decision::Lookup(Lookup::Scan(below, rows)));
            }
            Verdict::TooFar => return Err(Refusal::SyncFirst),
            Verdict::New => {}
        }
        if exists {
            self.plan(request, write, draft, turn)
        } else {
            self.create(request, write, turn)
        }
    }

    fn duplicate(&self, seq: Seq, write: &Write) -> Result<Decision, Refusal> {
        let known = self.known.at(seq).ok_or(Refusal::Internal)?;
        if known.digest != write.digest {
            return Err(Refusal::IdReused);
        }
        Ok(Decision::Duplicate(seq, known.created_at_ms))
    }

    /// A write of somebody who is no member. Their own row may be answered for: it was accepted
    /// before they left. Nothing is read for it, or strangers could make work.
    fn sent_before(&self, user: UserId, write: &Write) -> Result<Decision, Refusal> {
        let seq = self.known.seq_of(user, &write.client_msg_id).ok_or(Refusal::NotMember)?;
        self.duplicate(seq, write)
    }

    /// A creation of what is there: the id is part of the conversation's, so it is in event 1.
    fn created_before(
        &self,
        user: UserId,
        write: &Write,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        fresh(write, turn)?;
        let Some(first) = self.tail.row(1).or(self.first_row.as_ref()) else {
            return Ok(Decision::Lookup(Lookup::First));
        };
        if first.sender != user || first.client_msg_id != write.client_msg_id {
            return Err(Refusal::NotMember);
        }
        if first.digest != write.digest {
            return Err(Refusal::IdReused);
        }
        Ok(Decision::Duplicate(1, first.created_at_ms))
    }

    fn create(
        &self,
        request: &Request,
        write: &Write,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        let asker = &request.asker;
        match &write.what {
            What::Message { to: Some(peer), .. } => {
                let nil = Write { client_msg_id: [0; 16], ..write.clone() };
                let created = roster::created_direct(&asker.user.name, &peer.name);
                let message = self.message(write, 1, 1)?;
                Ok(Decision::Append(smallvec![Content::event(asker, &nil, created), message]))
            }
            What::Create { name, members, history_all } => {
                match turn.created.of(asker.user.id, turn.now.mono_ms) {
                    None => return Ok(Decision::Lookup(Lookup::Count)),
                    Some(groups) if groups >= turn.settings.limits.created_groups_max => {
                        return Err(Refusal::TooLarge("you have created too many groups"));
                    }
                    Some(_) => {}
                }
                let created = roster::created_group(&asker.user.name, name, members, *history_all);
                if members_of(&created) > turn.settings.limits.group_members_max {
                    return Err(Refusal::TooLarge("the group would have too many members"));
                }
                Ok(Decision::Append(smallvec![Content::event(asker, write, created)]))
            }
            _ => Err(Refusal::NotMember),
        }
    }

    /// The event that a write of a member makes.
    fn plan(
        &self,
        request: &Request,
        write: &Write,
        draft: &Draft,
        turn: &Turn<'_>,
    ) -> Result<Decision, Refusal> {
        let by = self.roster.member(request.asker.user.id).ok_or(Refusal::NotMember)?;
        let members_max = turn.settings.limits.group_members_max;
        let what = match &write.what {
            What::Message { .. } => {
                let (head, _) = self.newest(draft);
                let message = self.message(write, self.roster.min_seq(by), head)?;
                return Ok(Decision::Append(smallvec![message]));
            }
            What::Add(users) => self.roster.plan_add(by, users, members_max)?,
            What::Remove(users) => self.roster.plan_remove(by, users)?,
            What::SetRole(user, role) => self.roster.plan_role(by, user, *role)?,
            What::Rename(name) => self.roster.plan_rename(by, name)?,
            What::Leave => self.roster.plan_leave(by)?,
            What::Create { .. } => return Err(Refusal::Internal),
        };
        let Some(what) = what else { return Ok(Decision::Unchanged) };
        Ok(Decision::Append(smallvec![Content::event(&request.asker, write, what)]))
    }

    fn message(&self, write: &Write, min_seq: Seq, head: Seq) -> Result<Content, Refusal> {
        let What::Message { body, reply_to, .. } = &write.what else {
            return Err(Refusal::Internal);
        };
        if *reply_to != 0 && !(min_seq..=head).contains(reply_to) {
            return Err(Refusal::BadFrame("reply_to names no event that you can see"));
        }
        Ok(Content {
            client_msg_id: write.client_msg_id,
            digest: write.digest,
            kind: MESSAGE_KIND,
            ref_seq: *reply_to,
            body: body.clone(),
        })
    }
}

/// Whether a write of the user is the creation of this conversation: its id is made of their name.
pub(super) fn creates(conv: ConvId, user: &Named, write: &Write) -> bool {
    match &write.what {
        What::Message { to: Some(peer), .. } => id::direct_conv(&user.name, &peer.name) == conv.0,
        What::Create { .. } => id::group_conv(&user.name, &write.client_msg_id) == conv.0,
        _ => false,
    }
}

/// The id's time, if it is within the limits around ours.
fn fresh(write: &Write, turn: &Turn<'_>) -> Result<u64, Refusal> {
    let made_ms = id::v7_time_ms(&write.client_msg_id)
        .ok_or(Refusal::BadFrame("client_msg_id is not a UUIDv7"))?;
    if made_ms > turn.now.wall_ms + limits::CLOCK_AHEAD_MS_MAX {
        return Err(Refusal::Clock);
    }
    if made_ms + limits::ID_AGE_MS_MAX < turn.now.wall_ms {
        return Err(Refusal::ExpiredId);
    }
    Ok(made_ms)
}

fn members_of(created: &v1::What<'_>) -> usize {
    match created {
        v1::What::Created(created) => created.members.len(),
        _ => 0,
    }
}
