//! What the sums of a run say about the server.
//!
//! Shards judge what they see; only all of them together know how many deliveries were owed: each
//! acknowledged message to every device of every member but the one that sent it. What is owed
//! beyond what came is lost, whichever conversation it was in.

use std::sync::{Arc, Mutex, PoisonError};

use crate::generator::{Cause, Counter, Sample};

/// Findings that are kept; the first ones say most.
const FINDINGS_MAX: usize = 20;

/// What the shards of this process found, in words: the same shared by all of them.
#[derive(Clone, Debug, Default)]
pub struct Findings(Arc<Mutex<Vec<String>>>);

impl Findings {
    /// Keeps a finding, unless there are many.
    pub fn note(&self, finding: String) {
        let mut findings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() < FINDINGS_MAX {
            findings.push(finding);
        }
    }

    /// All that were kept.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts as lost what is owed and was not seen to be missing, and says why the run fails: nothing
/// if the server made no fault. Each reason begins with `server:`.
pub fn judge(total: &mut Sample) -> Vec<String> {
    let count = |counter| total.count(counter);
    let owed = count(Counter::DeliveriesExpected).saturating_sub(count(Counter::Delivered));
    let unseen = owed.saturating_sub(count(Counter::Lost));
    total.add(Counter::Lost, unseen);
    let count = |counter| total.count(counter);
    let unanswered = count(Counter::Intended).saturating_sub(count(Counter::Acked));
    let wrong = total.failures().filter(|(cause, ..)| *cause == Cause::WrongAnswer);
    let wrong: u64 = wrong.map(|(.., count)| count).sum();
    let faults = [
        (count(Counter::Lost), "acknowledged messages did not reach a recipient"),
        (count(Counter::Doubled), "messages came twice as new"),
        (count(Counter::Reordered), "messages were out of order"),
        (wrong, "answers or contents were wrong"),
        (unanswered, "messages were not acknowledged in time"),
    ];
    let found = faults.into_iter().filter(|(count, _)| *count > 0);
    found.map(|(count, what)| format!("server: {count} {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(counts: &[(Counter, u64)]) -> Sample {
        let mut sample = Sample::default();
        counts.iter().for_each(|(counter, count)| sample.add(*counter, *count));
        sample
    }

    const CLEAN: [(Counter, u64); 4] = [
        (Counter::Intended, 10),
        (Counter::Acked, 10),
        (Counter::DeliveriesExpected, 30),
        (Counter::Delivered, 30),
    ];

    #[test]
    fn a_run_whose_sums_agree_has_no_fault() {
        assert_eq!(judge(&mut sample(&CLEAN)), [""; 0]);
    }

    #[test]
    fn what_is_owed_and_did_not_come_is_lost_and_not_counted_twice() {
        let mut one = sample(&CLEAN);
        one.add(Counter::DeliveriesExpected, 3);
        one.add(Counter::Lost, 1);
        let said = judge(&mut one);
        assert_eq!(one.count(Counter::Lost), 3);
        assert_eq!(said, ["server: 3 acknowledged messages did not reach a recipient"]);
    }

    #[test]
    fn every_kind_of_fault_fails_a_run() {
        for counter in [Counter::Lost, Counter::Doubled, Counter::Reordered, Counter::Intended] {
            let mut one = sample(&CLEAN);
            one.add(counter, 1);
            let said = judge(&mut one);
            assert!(said.len() == 1 && said[0].starts_with("server: 1 "), "{counter:?}: {said:?}");
        }
        let mut one = sample(&CLEAN);
        one.fail(Cause::WrongAnswer, 0);
        assert_eq!(judge(&mut one), ["server: 1 answers or contents were wrong"]);
    }

    #[test]
    fn findings_are_shared_and_bounded() {
        let findings = Findings::default();
        let other = findings.clone();
        (0..FINDINGS_MAX + 5).for_each(|number| other.note(number.to_string()));
        assert_eq!((findings.all().len(), findings.all()[0].as_str()), (FINDINGS_MAX, "0"));
    }
}
