//! What anybody was told, each thing compared with all that was told before.

use std::collections::{BTreeMap, BTreeSet};

use throng_store::{ConvId, Row, Seq};
use throng_wire::id;

/// Everything that was told.
#[derive(Default)]
pub(crate) struct History {
    /// Which event is at a seq, by the id its client gave it.
    events: BTreeMap<(ConvId, Seq), String>,
    seqs: BTreeMap<(ConvId, String), Seq>,
    acknowledged: BTreeSet<(ConvId, Seq)>,
    /// Events that were delivered.
    delivered: BTreeSet<(ConvId, Seq)>,
}

impl History {
    /// Somebody was shown an event. I1, I3, I4: it is the one that others were, for ever.
    pub(crate) fn shown(&mut self, conv: ConvId, seq: Seq, event: &str) {
        let before = self.events.entry((conv, seq)).or_insert_with(|| event.to_owned());
        assert_eq!(before, event, "another event at seq {seq}");
        let before = *self.seqs.entry((conv, event.to_owned())).or_insert(seq);
        assert_eq!(before, seq, "the event {event} is at two seqs");
    }

    pub(crate) fn acknowledge(&mut self, conv: ConvId, seq: Seq, event: &str) {
        self.shown(conv, seq, event);
        self.acknowledged.insert((conv, seq));
    }

    pub(crate) fn deliver(&mut self, conv: ConvId, seq: Seq, event: &str) {
        self.shown(conv, seq, event);
        self.delivered.insert((conv, seq));
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// The highest seq that anybody was told of.
    pub(crate) fn head(&self, conv: ConvId) -> Seq {
        let seqs = self.events.range((conv, 0)..=(conv, Seq::MAX));
        seqs.last().map_or(0, |((_, seq), _)| *seq)
    }

    /// I1, I2: what the store has is what was told, without a gap.
    pub(crate) fn is_in(&mut self, conv: ConvId, log: &[Row]) {
        for (row, seq) in log.iter().zip(1..) {
            assert_eq!(row.seq, seq, "a log with a hole");
        }
        let head = self.head(conv);
        assert!(log.len() as Seq >= head, "the log ends before {head}");
        for row in &log[..usize::try_from(head).unwrap()] {
            self.shown(conv, row.seq, &event_of(&row.client_msg_id));
        }
    }

    /// The head was delivered: whoever did not hear of an event before it sees the hole.
    pub(crate) fn is_delivered(&self, conv: ConvId) {
        let head = self.head(conv);
        assert!(head == 0 || self.delivered.contains(&(conv, head)), "{head} was never delivered");
    }
}

/// An event by its client's id; the creation of a direct conversation has none.
pub(crate) fn event_of(client_msg_id: &id::Id) -> String {
    if *client_msg_id == [0; 16] { String::new() } else { id::text(client_msg_id) }
}
