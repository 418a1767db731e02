//! The conversations in memory: within a budget, the ones used lately.
//!
//! Two generations. What is used is in the young one; when that has filled half of the budget, it
//! becomes the old one, and what was not used since the last change is let go, unless something is
//! under way in it.

use std::collections::HashMap;

use throng_store::ConvId;

use super::conversation::Conversation;

/// Conversations by id.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    young: HashMap<ConvId, (Box<Conversation>, usize)>,
    young_bytes: usize,
    old: HashMap<ConvId, (Box<Conversation>, usize)>,
    old_bytes: usize,
    /// Memory of what could not be let go at the last change of generations.
    kept_bytes: usize,
}

impl Cache {
    /// Takes a conversation out, to be worked with and put back.
    pub(crate) fn take(&mut self, conv: ConvId) -> Option<Box<Conversation>> {
        if let Some((conversation, bytes)) = self.young.remove(&conv) {
            self.young_bytes -= bytes;
            return Some(conversation);
        }
        let (conversation, bytes) = self.old.remove(&conv)?;
        self.old_bytes -= bytes;
        Some(conversation)
    }

    /// Looks at it where it is: that is no use of it.
    pub(crate) fn get(&self, conv: ConvId) -> Option<&Conversation> {
        let (conversation, _) = self.young.get(&conv).or_else(|| self.old.get(&conv))?;
        Some(conversation)
    }

    /// Puts it back, as one that is in use.
    pub(crate) fn put(&mut self, conv: ConvId, conversation: Box<Conversation>, bytes_max: usize) {
        let bytes = conversation.bytes();
        self.young_bytes += bytes;
        self.young.insert(conv, (conversation, bytes));
        // Where more is in use than the budget has, a change comes only when that has doubled.
        if self.young_bytes > (bytes_max / 2).max(2 * self.kept_bytes) {
            self.age();
        }
    }

    fn age(&mut self) {
        let unused = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        self.old_bytes = std::mem::take(&mut self.young_bytes);
        for (conv, (conversation, bytes)) in unused {
            if !conversation.is_idle() {
                self.young_bytes += bytes;
                self.young.insert(conv, (conversation, bytes));
            }
        }
        self.kept_bytes = self.young_bytes;
    }

    /// Ids of all conversations that `picks` picks.
    pub(crate) fn ids(&self, picks: impl Fn(ConvId) -> bool) -> Vec<ConvId> {
        self.young.keys().chain(self.old.keys()).copied().filter(|conv| picks(*conv)).collect()
    }

    /// Conversations in memory.
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Memory they use, about, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }
}
