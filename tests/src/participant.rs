//! A whole chat client as docs/protocol.md asks for, that writes down what it does and sees.
//!
//! It keeps a cursor per conversation and moves it over contiguous seqs only; an event beyond
//! cursor + 1 is a hole, filled by `sync`. It resumes with the cursor of the last welcome whose
//! changes it has pulled in full. Messages and changes of groups wait in an outbox, are sent in
//! order, several under way, and are sent again with the same `client_msg_id` until they are
//! acknowledged or refused for good.
//! The caller drives it by [`Participant::step`]; nothing here has a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Client, Closed};
use crate::gateway::Address;
use crate::history::{ClientHistory, Event, LogView, Step};
use crate::ids;
use crate::random::Random;

/// Sends under way at once; the protocol allows 16 requests.
const IN_FLIGHT_MAX: usize = 8;
const PAGE_EVENTS: u64 = 100;
const RETRIED: [&str; 6] =
    ["unknown", "after_failed", "overloaded", "unavailable", "rate_limited", "internal"];

#[derive(Debug, Default)]
struct Conversation {
    cursor: u64,
    /// Seqs above a hole that are known already.
    early: BTreeSet<u64>,
    /// A send failed: nothing more is sent until all that is under way has come back.
    failed: bool,
}

#[derive(Debug)]
struct Outgoing {
    conv: String,
    id: String,
    op: &'static str,
    fields: Value,
    /// What its event will say.
    what: Value,
    request: Option<u64>,
}

/// A user's device.
#[derive(Debug)]
pub struct Participant {
    address: Address,
    user: String,
    device: String,
    random: Random,
    connection: Option<Client>,
    resume: Option<String>,
    paused_until: Instant,
    conversations: BTreeMap<String, Conversation>,
    outbox: Vec<Outgoing>,
    history: ClientHistory,
}

type Alive<T> = Result<T, Closed>;

impl Participant {
    /// A device that has never been connected.
    #[must_use]
    pub fn new(address: Address, user: &str, device: &str, random: Random) -> Self {
        let history =
            ClientHistory { user: user.into(), device: device.into(), ..Default::default() };
        Self {
            address,
            user: user.into(),
            device: device.into(),
            random,
            connection: None,
            resume: None,
            paused_until: Instant::now(),
            conversations: BTreeMap::new(),
            outbox: Vec::new(),
            history,
        }
    }

    /// Puts a message to a conversation into the outbox.
    pub fn say(&mut self, conv: &str, text: &str) {
        self.put(conv, "send", json!({"conv": conv, "text": text}), message(text));
    }

    /// Puts a message to another user into the outbox.
    pub fn say_to(&mut self, user: &str, text: &str) {
        let conv = ids::direct_conversation(&self.user, user);
        self.put(&conv, "send", json!({"to": user, "text": text}), message(text));
    }

    /// Puts the adding of a member into the outbox.
    pub fn add_member(&mut self, conv: &str, user: &str) {
        let what = json!({"member": {"users": [user], "role": "member"}});
        self.put(conv, "add_members", json!({"conv": conv, "members": [user]}), what);
    }

    /// Puts the removal of a member into the outbox.
    pub fn remove_member(&mut self, conv: &str, user: &str) {
        let what = json!({"member": {"users": [user], "left": true}});
        self.put(conv, "remove_members", json!({"conv": conv, "members": [user]}), what);
    }

    /// Puts the change of a member's role into the outbox.
    pub fn set_role(&mut self, conv: &str, user: &str, role: &str) {
        let what = json!({"member": {"users": [user], "role": role}});
        self.put(conv, "set_role", json!({"conv": conv, "user": user, "role": role}), what);
    }

    /// Puts the own leaving into the outbox.
    pub fn leave(&mut self, conv: &str) {
        let what = json!({"member": {"users": [self.user], "left": true}});
        self.put(conv, "leave", json!({"conv": conv}), what);
    }

    fn put(&mut self, conv: &str, op: &'static str, mut fields: Value, what: Value) {
        let id = ids::message_id(&mut self.random);
        fields["client_msg_id"] = json!(id);
        self.outbox.push(Outgoing { conv: conv.into(), id, op, fields, what, request: None });
    }

    /// Whose device it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What it did and saw so far.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.history.steps
    }

    /// What is in the outbox and not yet answered for good.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// The cursor in a conversation.
    #[must_use]
    pub fn cursor(&self, conv: &str) -> u64 {
        self.conversations.get(conv).map_or(0, |conversation| conversation.cursor)
    }

    /// Breaks the connection without a word.
    pub fn cut(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.cut();
        }
    }

    /// Connects if need be, sends what waits, and takes what comes within `wait`.
    pub fn step(&mut self, wait: Duration) {
        if self.connection.is_none() && self.connect().is_err() {
            self.lose_connection();
            std::thread::sleep(Duration::from_millis(20 + self.random.below(80)));
            return;
        }
        if self.exchange(wait).is_err() {
            self.lose_connection();
        }
    }

    /// Steps until everything is acknowledged, then reads every conversation to its head; panics if
    /// that takes longer than `limit`.
    pub fn finish(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            self.step(Duration::from_millis(20));
            self.assert_in_time(deadline);
            if self.outbox.is_empty() && self.connection.is_some() {
                match self.pull_everything() {
                    Ok(()) => break,
                    Err(_) => self.lose_connection(),
                }
            }
        }
        self.history.caught_up = true;
    }

    /// Steps until everything is acknowledged or refused for good; panics if that takes longer than
    /// `limit`.
    pub fn empty_outbox(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.outbox.is_empty() {
            self.step(Duration::from_millis(2));
            self.assert_in_time(deadline);
        }
    }

    fn assert_in_time(&self, deadline: Instant) {
        let late = Instant::now() > deadline;
        assert!(!late, "{} still waits for {:?}", self.user, self.outbox.first());
    }

    /// The conversations of its list; panics if the connection is lost meanwhile.
    #[must_use]
    pub fn listed(&mut self) -> Vec<String> {
        let connection = self.connection.as_mut().expect("a connection");
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let asked = json!({"after": after});
            let page = connection.ask_for("conversations", "conversations", &asked);
            let items = page["items"].as_array().cloned().unwrap_or_default();
            found.extend(items.iter().filter_map(|item| item["conv"].as_str().map(str::to_owned)));
            match page["next"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut after),
                _ => return found,
            }
        }
    }

    /// What it did and saw.
    #[must_use]
    pub fn into_history(self) -> ClientHistory {
        self.history
    }

    /// Reads a conversation's log from the head down to what this member may see; panics if the
    /// connection is lost meanwhile.
    #[must_use]
    pub fn read_log(&mut self, conv: &str) -> LogView {
        let connection = self.connection.as_mut().expect("a connection");
        let mut view = LogView {
            user: self.user.clone(),
            conv: conv.into(),
            min_seq: 0,
            head: 0,
            events: vec![],
        };
        let mut before = 0;
        loop {
            let asked = json!({"conv": conv, "before": before, "limit": 200});
            let page = connection.ask_for("history", "history", &asked);
            let mut events = read_events(&page, conv);
            if before == 0 {
                view.head = page["head"].as_u64().unwrap_or(0);
            }
            view.min_seq = page["min_seq"].as_u64().unwrap_or(0);
            before = events.first().map_or(0, |event| event.seq);
            events.append(&mut view.events);
            view.events = events;
            if !page["has_more"].as_bool().unwrap_or(false) || before == 0 {
                return view;
            }
        }
    }

    fn connect(&mut self) -> Alive<()> {
        let refused = |refused| Closed { code: None, reason: format!("{refused:?}") };
        let mut connection = Client::connect(&self.address.url()).map_err(refused)?;
        let mut hello = json!({"user": self.user, "device": self.device, "agent": "tests"});
        if let Some(cursor) = &self.resume {
            hello["cursor"] = json!(cursor);
        }
        let id = connection.request("hello", &hello);
        let answer = connection.answer(id)?;
        let Some(welcome) = answer.get("welcome") else {
            return Err(Closed { code: None, reason: answer.to_string() });
        };
        self.connection = Some(connection);
        self.history.steps.push(Step::Connected { time_ms: ids::now_ms() });
        if welcome["sync"] == "resumed" {
            self.pull_changes(welcome.clone())
        } else {
            self.pull_everything()?;
            self.resume = welcome["cursor"].as_str().map(str::to_owned);
            Ok(())
        }
    }

    fn lose_connection(&mut self) {
        self.connection = None;
        for message in &mut self.outbox {
            message.request = None;
        }
        for conversation in self.conversations.values_mut() {
            conversation.failed = false;
        }
    }

    fn ask(&mut self, op: &str, fields: &Value) -> Alive<Value> {
        let none = || Closed { code: None, reason: "not connected".into() };
        let connection = self.connection.as_mut().ok_or_else(none)?;
        let id = connection.request(op, fields);
        let answer = connection.answer(id)?;
        match answer.get("error") {
            Some(error) if RETRIED.contains(&error["code"].as_str().unwrap_or_default()) => {
                Err(Closed { code: None, reason: error.to_string() })
            }
            _ => Ok(answer),
        }
    }

    fn pull_changes(&mut self, mut page: Value) -> Alive<()> {
        loop {
            let items = page["changes"].as_array().or(page["items"].as_array()).cloned();
            for item in items.unwrap_or_default() {
                let conv = item["conv"].as_str().expect("a change names its conversation");
                if item["head"].as_u64() != Some(self.cursor(conv)) {
                    self.pull(conv)?;
                }
            }
            let cursor =
                page["cursor"].as_str().expect("a page of changes has a cursor").to_owned();
            if !page["more"].as_bool().unwrap_or(false) {
                self.resume = Some(cursor);
                return Ok(());
            }
            let answer = self.ask("changes", &json!({"cursor": cursor}))?;
            page = answer["changes"].clone();
        }
    }

    fn pull_everything(&mut self) -> Alive<()> {
        let mut after = String::new();
        loop {
            let answer = self.ask("conversations", &json!({"after": after}))?;
            let page = &answer["conversations"];
            for item in page["items"].as_array().cloned().unwrap_or_default() {
                let conv = item["conv"].as_str().expect("an item names its conversation");
                if item["head"].as_u64() != Some(self.cursor(conv)) {
                    self.pull(conv)?;
                }
            }
            match page["next"].as_str() {
                Some(next) if !next.is_empty() => next.clone_into(&mut after),
                _ => return Ok(()),
            }
        }
    }

    /// Asks the log for what follows the cursor, page by page.
    fn pull(&mut self, conv: &str) -> Alive<()> {
        loop {
            let position = json!([{"conv": conv, "after": self.cursor(conv)}]);
            let answer = self.ask("sync", &json!({"convs": position, "limit": PAGE_EVENTS}))?;
            let Some(page) = answer["sync"]["convs"].get(0) else {
                return Ok(());
            };
            if let Some(min_seq) = page["min_seq"].as_u64() {
                let conversation = self.conversations.entry(conv.into()).or_default();
                conversation.cursor = conversation.cursor.max(min_seq.saturating_sub(1));
            }
            for event in read_events(page, conv) {
                let seq = event.seq;
                self.history.steps.push(Step::Saw { event, pushed: false });
                self.advance(conv, seq);
            }
            if !page["has_more"].as_bool().unwrap_or(false) {
                return Ok(());
            }
        }
    }

    /// Moves the cursor if `seq` is next; true if it leaves a hole.
    fn advance(&mut self, conv: &str, seq: u64) -> bool {
        let conversation = self.conversations.entry(conv.into()).or_default();
        if seq > conversation.cursor {
            conversation.early.insert(seq);
        }
        while let Some(next) = conversation.early.first().copied() {
            if next > conversation.cursor + 1 {
                return true;
            }
            conversation.early.pop_first();
            if next == conversation.cursor + 1 {
                conversation.cursor = next;
                self.history.steps.push(Step::Applied { conv: conv.into(), seq: next });
            }
        }
        false
    }

    fn exchange(&mut self, wait: Duration) -> Alive<()> {
        self.send_waiting();
        let mut wait = wait;
        loop {
            let none = || Closed { code: None, reason: "not connected".into() };
            let connection = self.connection.as_mut().ok_or_else(none)?;
            let frame = connection.pushed_within(wait);
            let closed = connection.closed().cloned();
            if let Some(frame) = &frame {
                self.take_pushed(frame)?;
            }
            self.take_answers()?;
            match (frame, closed) {
                (None, Some(closed)) => return Err(closed),
                (None, None) => return Ok(()),
                _ => wait = Duration::from_millis(1),
            }
        }
    }

    fn take_pushed(&mut self, frame: &Value) -> Alive<()> {
        if let Some(event) = frame.get("event") {
            let event = Event::read(event, "");
            let (conv, seq) = (event.conv.clone(), event.seq);
            self.history.steps.push(Step::Saw { event, pushed: true });
            if self.advance(&conv, seq) {
                self.pull(&conv)?;
            }
        } else if let Some(changes) = frame.get("changes") {
            self.pull_changes(changes.clone())?;
        } else if frame.get("reconnect").is_some() {
            self.cut();
        }
        Ok(())
    }

    fn send_waiting(&mut self) {
        let Some(connection) = self.connection.as_mut() else { return };
        if Instant::now() < self.paused_until {
            return;
        }
        let mut under_way = self.outbox.iter().filter(|message| message.request.is_some()).count();
        let busy: BTreeSet<String> = self
            .outbox
            .iter()
            .filter(|message| message.request.is_some())
            .map(|message| message.conv.clone())
            .collect();
        for message in self.outbox.iter_mut().filter(|message| message.request.is_none()) {
            let conversation = self.conversations.entry(message.conv.clone()).or_default();
            conversation.failed &= busy.contains(&message.conv);
            if conversation.failed || under_way >= IN_FLIGHT_MAX {
                continue;
            }
            let Outgoing { conv, id, what, .. } = &*message;
            let sent = Step::Sent { conv: conv.clone(), id: id.clone(), what: what.clone() };
            self.history.steps.push(sent);
            message.request = Some(connection.request(message.op, &message.fields));
            under_way += 1;
        }
    }

    fn take_answers(&mut self) -> Alive<()> {
        let mut index = 0;
        while index < self.outbox.len() {
            let answer = self.outbox[index]
                .request
                .and_then(|request| self.connection.as_mut()?.answer_at_hand(request));
            let gone = match answer {
                Some(answer) => self.take_answer(index, &answer)?,
                None => false,
            };
            index += usize::from(!gone);
        }
        Ok(())
    }

    /// True if the message is done with.
    fn take_answer(&mut self, index: usize, answer: &Value) -> Alive<bool> {
        if let Some(ack) = answer.get("ack") {
            let Outgoing { conv, id, .. } = self.outbox.remove(index);
            let seq = ack["seq"].as_u64().expect("an ack has a seq");
            let duplicate = ack["duplicate"].as_bool().unwrap_or(false);
            self.history.steps.push(Step::Acked { conv: conv.clone(), id, seq, duplicate });
            if self.advance(&conv, seq) {
                self.pull(&conv)?;
            }
            return Ok(true);
        }
        if answer.get("ok").is_some() {
            let Outgoing { conv, id, .. } = self.outbox.remove(index);
            self.history.steps.push(Step::Unchanged { conv, id });
            return Ok(true);
        }
        let error = answer.get("error").unwrap_or_else(|| panic!("a request got {answer}"));
        let code = error["code"].as_str().expect("an error has a code");
        let conv = self.outbox[index].conv.clone();
        if RETRIED.contains(&code) {
            let pause_ms = error["retry_after_ms"].as_u64().unwrap_or(0);
            self.paused_until = Instant::now() + Duration::from_millis(pause_ms);
            self.outbox[index].request = None;
            self.conversations.entry(conv).or_default().failed = true;
            return Ok(false);
        }
        let Outgoing { id, .. } = self.outbox.remove(index);
        self.history.steps.push(Step::Refused { conv, id, code: code.into() });
        Ok(true)
    }
}

fn message(text: &str) -> Value {
    json!({"message": {"kind": "text", "text": text}})
}

fn read_events(page: &Value, conv: &str) -> Vec<Event> {
    let events = page["events"].as_array().cloned().unwrap_or_default();
    events.iter().map(|event| Event::read(event, conv)).collect()
}
