//! A server of a few lines that is right by construction: one group, devices that come and go,
//! acknowledgements that get lost. Its runs are what the checker must find good.

use serde_json::{Value, json};

use crate::history::{ClientHistory, Event, History, LogView, Step};
use crate::random::Random;

pub(super) const CONV: &str = "group";
const USERS: [&str; 4] = ["ann", "bob", "cid", "dot"];

struct Device {
    history: ClientHistory,
    online: bool,
    cursor: u64,
    unacked: Option<(String, String)>,
}

struct Model {
    random: Random,
    log: Vec<Event>,
    devices: Vec<Device>,
    members: Vec<(&'static str, u64)>,
    ids: u64,
}

pub(super) fn run(seed: u64, turns: usize) -> History {
    let mut model = Model::new(seed);
    for _ in 0..turns {
        model.turn();
    }
    model.finish()
}

impl Model {
    fn new(seed: u64) -> Self {
        let device = |user: &str, device: &str| Device {
            history: ClientHistory {
                user: user.into(),
                device: device.into(),
                ..Default::default()
            },
            online: false,
            cursor: 0,
            unacked: None,
        };
        let devices =
            USERS.iter().flat_map(|user| [device(user, "a"), device(user, "b")]).collect();
        let random = Random::seeded(seed);
        let mut model = Self { random, log: Vec::new(), devices, members: Vec::new(), ids: 0 };
        model.members = vec![("ann", 1), ("bob", 1)];
        let members = json!([{"user": "ann", "role": "owner"}, {"user": "bob", "role": "member"}]);
        model.append("ann", "c0", json!({"created": {"kind": "group", "members": members}}), None);
        model
    }

    fn append(&mut self, sender: &str, id: &str, what: Value, by: Option<usize>) -> u64 {
        let seq = self.log.len() as u64 + 1;
        let device = by.map_or(String::new(), |by| self.devices[by].history.device.clone());
        let event = Event {
            conv: CONV.into(),
            seq,
            time_ms: 1_000 + seq * 10,
            sender: sender.into(),
            device,
            client_msg_id: id.into(),
            what,
        };
        self.log.push(event);
        for index in (0..self.devices.len()).filter(|index| Some(*index) != by) {
            if self.devices[index].online {
                self.catch_up(index, true);
            }
        }
        seq
    }

    fn now_ms(&self) -> u64 {
        1_000 + self.log.len() as u64 * 10
    }

    /// Shows what a device has not seen yet, by push or because it asks.
    fn catch_up(&mut self, index: usize, pushed: bool) {
        let device = &mut self.devices[index];
        let user = device.history.user.as_str();
        let Some((_, joined)) = self.members.iter().find(|(member, _)| *member == user) else {
            return;
        };
        let from = device.cursor.max(joined - 1);
        for event in &self.log[usize::try_from(from).unwrap()..] {
            device.history.steps.push(Step::Saw { event: event.clone(), pushed });
            device.history.steps.push(Step::Applied { conv: CONV.into(), seq: event.seq });
        }
        device.cursor = self.log.len() as u64;
    }

    fn turn(&mut self) {
        let index = usize::try_from(self.random.below(self.devices.len() as u64)).unwrap();
        match self.random.below(10) {
            0 => self.devices[index].online = false,
            1 => self.change_membership(index),
            2 | 3 => self.connect(index),
            _ => self.send(index),
        }
    }

    fn is_member(&self, index: usize) -> bool {
        let user = self.devices[index].history.user.as_str();
        self.members.iter().any(|(member, _)| *member == user)
    }

    fn connect(&mut self, index: usize) {
        self.devices[index].online = true;
        let connected = Step::Connected { time_ms: self.now_ms() };
        self.devices[index].history.steps.push(connected);
        self.catch_up(index, false);
        if let Some((id, text)) = self.devices[index].unacked.take()
            && self.is_member(index)
        {
            self.submit(index, id, text);
        }
    }

    fn change_membership(&mut self, index: usize) {
        let user = USERS[index / 2];
        if user == "ann" {
            return;
        }
        if self.is_member(index) {
            self.append("ann", "", json!({"member": {"users": [user], "left": true}}), None);
            self.members.retain(|(member, _)| *member != user);
        } else {
            self.members.push((user, self.log.len() as u64 + 1));
            self.append("ann", "", json!({"member": {"users": [user], "role": "member"}}), None);
        }
    }

    fn send(&mut self, index: usize) {
        let device = &self.devices[index];
        if device.online && device.unacked.is_none() && self.is_member(index) {
            self.ids += 1;
            self.submit(index, format!("m{}", self.ids), format!("text {}", self.ids));
        }
    }

    fn submit(&mut self, index: usize, id: String, text: String) {
        let user = self.devices[index].history.user.clone();
        let what = json!({"message": {"kind": "text", "text": text}});
        let sent = Step::Sent { conv: CONV.into(), id: id.clone(), what: what.clone() };
        self.devices[index].history.steps.push(sent);
        let known = self.log.iter().find(|event| event.sender == user && event.client_msg_id == id);
        let (seq, duplicate) = match known.map(|event| event.seq) {
            Some(seq) => (seq, true),
            None => (self.append(&user, &id, what, Some(index)), false),
        };
        if self.random.one_in(5) {
            self.devices[index].online = false;
            self.devices[index].unacked = Some((id, text));
            return;
        }
        let acked = Step::Acked { conv: CONV.into(), id, seq, duplicate };
        let device = &mut self.devices[index];
        device.history.steps.push(acked);
        if seq == device.cursor + 1 {
            device.cursor = seq;
            device.history.steps.push(Step::Applied { conv: CONV.into(), seq });
        }
    }

    fn finish(mut self) -> History {
        for index in 0..self.devices.len() {
            if !self.devices[index].online {
                self.connect(index);
            }
        }
        for index in 0..self.devices.len() {
            self.catch_up(index, false);
            self.devices[index].history.caught_up = true;
        }
        let view = |(user, joined): &(&str, u64)| LogView {
            user: (*user).into(),
            conv: CONV.into(),
            min_seq: *joined,
            head: self.log.len() as u64,
            events: self.log[usize::try_from(joined - 1).unwrap()..].to_vec(),
        };
        let logs = self.members.iter().map(view).collect();
        History { clients: self.devices.into_iter().map(|device| device.history).collect(), logs }
    }
}
