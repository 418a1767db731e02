//! Loading: from what the store has to a conversation that serves.
//!
//! Read, choose the log, bring the projections up to date, write again what may not be at a quorum,
//! and after a fence read that began later than all that: serve.

use throng_store::{ConvRow, MemberRow, Range, Row, Seq, Tag};

use super::after::{AfterWork, Heard};
use super::choose::{Chosen, choose};
use super::conversation::{Conversation, Fenced, Phase, Turn};
use super::known::KnownIds;
use super::reading::Pending;
use super::request::Refusal;
use super::roster::Roster;
use super::{Loaded, Output};
use crate::limits;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Loading {
    conv: Option<ConvRow>,
    members: Vec<MemberRow>,
    /// Newest rows, descending.
    rows: Vec<Row>,
    /// Adopted rows that are still to be written under our term.
    rewrite: Vec<Row>,
    /// All is read and written; a fence read is awaited, with this tag.
    complete: Option<Tag>,
}

impl Loading {
    fn applied_seq(&self) -> Seq {
        self.conv.as_ref().map_or(0, |conv| conv.applied_seq)
    }

    /// Whether the rows reach down to everything that is not certain yet.
    fn reaches_down(&self, whole: bool) -> bool {
        let acked = self.rows.iter().map(|row| row.acked).max().unwrap_or(0);
        let lowest = self.rows.last().map_or(0, |row| row.seq);
        whole || lowest <= 1 || lowest <= self.applied_seq().min(acked)
    }
}

impl Conversation {
    /// What the store has; `None` if it did not say.
    pub(crate) fn loaded(&mut self, loaded: Option<Loaded>, turn: &mut Turn<'_>) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        let Some(loaded) = loaded else { return self.give_up(Refusal::Unavailable, turn) };
        let whole = !limits::TAIL.ended(&loaded.tail);
        loading.conv = loaded.conv;
        loading.members = loaded.members;
        loading.rows = loaded.tail;
        self.load_on(whole, turn);
    }

    /// Older rows, asked for because the newest did not reach down far enough.
    pub(super) fn loaded_older(&mut self, rows: Option<Vec<Row>>, turn: &mut Turn<'_>) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        let Some(rows) = rows else { return self.give_up(Refusal::Unavailable, turn) };
        let whole = !limits::OLDER.ended(&rows);
        loading.rows.extend(rows);
        self.load_on(whole, turn);
    }

    fn load_on(&mut self, whole: bool, turn: &mut Turn<'_>) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        if loading.rows.iter().any(|row| row.epoch > turn.epoch) {
            turn.lost = true;
            return;
        }
        if loading.reaches_down(whole) {
            return self.adopt(whole, turn);
        }
        if loading.rows.len() > limits::CATCH_UP_ROWS_MAX {
            return self.give_up(Refusal::Internal, turn);
        }
        let lowest = loading.rows.last().map_or(0, |row| row.seq);
        self.read(Range::Before(lowest), limits::OLDER, Pending::Older, turn);
    }

    fn adopt(&mut self, whole: bool, turn: &mut Turn<'_>) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        // What ends above the first seq was cut off by a limit, at a row that is committed.
        let lowest = loading.rows.last().map_or(1, |row| row.seq);
        let first = if whole { 1 } else { lowest };
        let chosen = choose(first, std::mem::take(&mut loading.rows));
        let applied = loading.applied_seq();
        let members = std::mem::take(&mut loading.members);
        let conv = loading.conv.take();
        if chosen.head() < applied || chosen.head() < chosen.acked {
            return self.give_up(Refusal::Internal, turn);
        }
        self.roster = conv.map_or_else(Roster::default, |conv| Roster::load(&conv, members));
        if self.catch_up(&chosen, applied).is_err() {
            return self.give_up(Refusal::Internal, turn);
        }
        self.keep(chosen, turn);
    }

    /// Applies what the projections do not have yet. It is delivered, too: its owner may have died
    /// before it did.
    fn catch_up(&mut self, chosen: &Chosen, applied: Seq) -> Result<(), throng_wire::DecodeError> {
        let mut work = AfterWork::default();
        for row in chosen.rows.iter().filter(|row| row.seq > applied) {
            let done = self.roster.apply(self.id, row)?;
            work.left.extend(done.left.iter().map(|user| (*user, row.seq, row.n)));
            work.projections.extend(done.projections);
            work.sent(row);
            self.marks.sent(row);
            let users = self.roster.audience();
            work.heard.push(Heard { row: row.clone(), users, except: None });
            work.conv = Some(self.roster.conv_row(self.id, row));
        }
        if work.conv.is_some() && !self.roster.big() {
            work.touched = Some(self.roster.audience());
        }
        self.pending.extend(work);
        Ok(())
    }

    fn keep(&mut self, chosen: Chosen, turn: &mut Turn<'_>) {
        let head = chosen.head();
        self.base = head + 1;
        self.known = KnownIds::above(chosen.rows.first().map_or(head, |row| row.seq - 1));
        let mut rewrite = Vec::new();
        for mut row in chosen.rows {
            self.known.push(&row);
            if Self::rewrites(turn) && row.seq > chosen.acked && row.epoch < turn.epoch {
                row.epoch = turn.epoch;
                row.base = self.base;
                row.acked = chosen.acked;
                rewrite.push(row.clone());
            }
            self.tail.push(row);
        }
        self.known.prune(turn.now.moment_ms, limits::KNOWN_IDS_AGE_MS);
        let Phase::Loading(loading) = &mut self.phase else { return };
        rewrite.reverse();
        loading.rewrite = rewrite;
        self.rewrite_next(turn);
    }

    /// Writes the next adopted rows again, or waits for the fence read when there are no more.
    pub(super) fn rewrite_next(&mut self, turn: &mut Turn<'_>) {
        let Phase::Loading(loading) = &mut self.phase else { return };
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = loading.rewrite.pop_if(|row| {
            rows.len() < limits::BATCH_ROWS_MAX && bytes + row.body.len() <= limits::BATCH_BYTES_MAX
        }) {
            bytes += row.body.len();
            rows.push(row);
        }
        if rows.is_empty() {
            *turn.tag += 1;
            loading.complete = Some(*turn.tag);
            turn.fence.push(Fenced { conv: self.id, tag: *turn.tag });
        } else {
            self.send_rewrite(rows, turn);
        }
    }

    /// A fence read that began after everything was read showed us as owner.
    pub(super) fn loading_held(&mut self, tag: Tag, turn: &mut Turn<'_>) {
        if matches!(&self.phase, Phase::Loading(loading) if loading.complete == Some(tag)) {
            self.serve_arrived(turn);
        }
    }

    /// Refuses everybody who waits. The next request loads again.
    fn give_up(&mut self, refusal: Refusal, turn: &mut Turn<'_>) {
        turn.counters.load_failures += 1;
        for request in std::mem::take(&mut self.arrived) {
            turn.refuse(&request, refusal);
        }
        if std::mem::take(&mut self.recovering) {
            turn.out.push(Output::Recovered { conv: self.id, done: false });
        }
        self.phase = Phase::Loading(Box::default());
        turn.forget = true;
    }
}
