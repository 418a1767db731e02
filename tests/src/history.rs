//! What happened in a run, as its clients saw it: the checker's only input.

use serde_json::Value;

/// One event of a conversation's log, as a client was given it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The conversation.
    pub conv: String,
    /// Its place, from 1.
    pub seq: u64,
    /// The server's time, Unix milliseconds.
    pub time_ms: u64,
    /// Who caused it.
    pub sender: String,
    /// From which device.
    pub device: String,
    /// The sender's id for it; empty if it gave none.
    pub client_msg_id: String,
    /// The rest: one of message, member, meta, created.
    pub what: Value,
}

const ENVELOPE: [&str; 6] = ["conv", "seq", "time_ms", "sender", "device", "client_msg_id"];

impl Event {
    /// Reads an event's JSON; `conv` is given where a page names it once for all.
    ///
    /// # Panics
    /// When it is not an event.
    #[must_use]
    pub fn read(json: &Value, conv: &str) -> Self {
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| {
            json[key].as_u64().unwrap_or_else(|| panic!("no number {key} in the event {json}"))
        };
        let mut what = json.as_object().expect("an event is an object").clone();
        what.retain(|key, _| !ENVELOPE.contains(&key.as_str()));
        let named = text("conv");
        Self {
            conv: if named.is_empty() { conv.to_owned() } else { named },
            seq: number("seq"),
            time_ms: number("time_ms"),
            sender: text("sender"),
            device: text("device"),
            client_msg_id: text("client_msg_id"),
            what: Value::Object(what),
        }
    }

    /// The text of a message.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.what["message"]["text"].as_str()
    }
}

/// One thing that a client did or was told, in its own order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It was welcomed on a new connection.
    Connected {
        /// When, Unix milliseconds.
        time_ms: u64,
    },
    /// It handed a message, or a change of a group, to the connection.
    Sent {
        /// The conversation.
        conv: String,
        /// The `client_msg_id`.
        id: String,
        /// What its event must say, as in [`Event::what`].
        what: Value,
    },
    /// It was acknowledged.
    Acked {
        /// The conversation.
        conv: String,
        /// The `client_msg_id`.
        id: String,
        /// Its place.
        seq: u64,
        /// The server said that it had it already.
        duplicate: bool,
    },
    /// It was refused for good.
    Refused {
        /// The conversation.
        conv: String,
        /// The `client_msg_id`.
        id: String,
        /// The error's code.
        code: String,
    },
    /// It would have changed nothing, and so is no event.
    Unchanged {
        /// The conversation.
        conv: String,
        /// The `client_msg_id`.
        id: String,
    },
    /// An event reached it.
    Saw {
        /// The event.
        event: Event,
        /// It was pushed, and not asked for.
        pushed: bool,
    },
    /// Its cursor moved on to this event.
    Applied {
        /// The conversation.
        conv: String,
        /// The cursor's new place.
        seq: u64,
    },
}

/// One device's story.
#[derive(Clone, Debug, Default)]
pub struct ClientHistory {
    /// Its user.
    pub user: String,
    /// Its device.
    pub device: String,
    /// Whether it caught up at the end of the run: then it must have everything.
    pub caught_up: bool,
    /// What happened.
    pub steps: Vec<Step>,
}

/// A conversation's log as one member read it after the run, from `min_seq` to the head.
#[derive(Clone, Debug)]
pub struct LogView {
    /// The reader.
    pub user: String,
    /// The conversation.
    pub conv: String,
    /// The first seq that the server says this member may see.
    pub min_seq: u64,
    /// The head the server told.
    pub head: u64,
    /// The events, as they came.
    pub events: Vec<Event>,
}

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every device's story.
    pub clients: Vec<ClientHistory>,
    /// Every member's final reading of every conversation.
    pub logs: Vec<LogView>,
}
