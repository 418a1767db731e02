//! The timer wheel does what a sorted list does, at its own precision.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use throng_ring::wheel::Wheel;

const TICK: Duration = Duration::from_millis(8);

#[derive(Clone, Debug)]
enum Act {
    Set(u32, u64),
    Cancel(u32),
    Advance(u64, usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    // Deadlines on every level of the wheel and beyond its span (2^24 ticks of 8 ms).
    let ahead =
        || prop_oneof![0..100u64, 0..5_000u64, 0..300_000u64, 0..30_000_000u64, 0..400_000_000u64];
    let act = prop_oneof![
        4 => (0..40u32, ahead()).prop_map(|(slot, ms)| Act::Set(slot, ms)),
        1 => (0..40u32).prop_map(Act::Cancel),
        3 => (ahead(), 0..50usize).prop_map(|(ms, max)| Act::Advance(ms, max)),
    ];
    prop::collection::vec(act, 1..200)
}

proptest! {
    #[test]
    fn it_agrees_with_a_naive_model(acts in acts()) {
        let start = Instant::now();
        let mut now = start;
        let mut wheel = Wheel::new(TICK, start);
        let mut model: HashMap<u32, Instant> = HashMap::new();
        for act in acts {
            match act {
                Act::Set(slot, ms) => {
                    wheel.set(slot, now + Duration::from_millis(ms));
                    model.insert(slot, now + Duration::from_millis(ms));
                }
                Act::Cancel(slot) => {
                    wheel.cancel(slot);
                    model.remove(&slot);
                }
                Act::Advance(ms, max) => {
                    now += Duration::from_millis(ms);
                    let mut fired = Vec::new();
                    let count = wheel.advance(now, max, |slot| fired.push(slot));
                    prop_assert_eq!(count, fired.len());
                    prop_assert!(count <= max);
                    for slot in &fired {
                        let deadline = model.remove(slot);
                        prop_assert!(deadline.is_some_and(|at| at <= now), "{slot} fired early");
                    }
                    if count < max {
                        let late = model.values().any(|at| *at + TICK <= now);
                        prop_assert!(!late, "a deadline was passed over");
                    }
                }
            }
            prop_assert_eq!(wheel.len(), model.len());
            prop_assert_eq!(wheel.is_empty(), model.is_empty());
            prop_assert!((0..40).all(|slot| wheel.is_set(slot) == model.contains_key(&slot)));
            let first = model.values().min();
            prop_assert_eq!(wheel.next_deadline().is_some(), first.is_some());
            if let (Some(next), Some(first)) = (wheel.next_deadline(), first) {
                prop_assert!(next < *first.max(&now) + TICK, "the wait would be too long");
            }
        }
    }
}

#[test]
fn waiting_from_deadline_to_deadline_reaches_every_timer_in_few_steps() {
    let start = Instant::now();
    let mut wheel = Wheel::new(TICK, start);
    let deadlines = [1, 8, 9, 512, 513, 40_000, 3_000_000, 500_000_000];
    for (slot, ms) in deadlines.into_iter().enumerate() {
        wheel.set(slot as u32, start + Duration::from_millis(ms));
    }
    let mut fired = Vec::new();
    let mut steps = 0;
    while let Some(next) = wheel.next_deadline() {
        wheel.advance(next, 100, |slot| fired.push(slot));
        steps += 1;
    }
    assert_eq!(fired.len(), deadlines.len());
    assert!(steps <= 4 * deadlines.len() + 8, "{steps} steps");
}

#[test]
fn a_deadline_fires_at_its_tick_and_not_just_before() {
    let start = Instant::now();
    let mut wheel = Wheel::new(TICK, start);
    wheel.set(3, start + TICK * 5);
    assert_eq!(wheel.expire(start + TICK * 5 - Duration::from_nanos(1)), None);
    assert_eq!(wheel.expire(start + TICK * 5), Some(3));
    assert_eq!(wheel.expire(start + TICK * 5), None);
}

#[test]
fn a_slot_may_be_set_again_while_expiring() {
    let start = Instant::now();
    let mut wheel = Wheel::new(TICK, start);
    wheel.set(1, start + TICK);
    let mut now = start;
    for _ in 0..1000 {
        now += TICK;
        assert_eq!(wheel.expire(now), Some(1));
        wheel.set(1, now + TICK);
    }
}

#[test]
fn ticks_beyond_32_bits_go_on_working() {
    let start = Instant::now();
    let mut wheel = Wheel::new(Duration::from_millis(1), start);
    let mut now = start;
    for _ in 0..60 {
        now += Duration::from_millis(1 << 27);
        wheel.set(7, now + Duration::from_millis(3));
        assert_eq!(wheel.expire(now), None);
        assert!(wheel.next_deadline().is_some_and(|next| next > now));
        assert_eq!(wheel.expire(now + Duration::from_millis(3)), Some(7));
    }
}
