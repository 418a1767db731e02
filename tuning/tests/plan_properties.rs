//! Whatever a host is like: more connections never ask for less, and no plan that is accepted takes
//! more than the memory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use proptest::prelude::*;
use support::{GIB, inputs};
use throng_tune::plan::budget::largest_that_fits;
use throng_tune::plan::{Budget, Inputs, Transport};
use throng_tune::profile::ask::Ask;
use throng_tune::profile::{Bound, Profile, Role};
use throng_tune::value::Word;

fn any_inputs() -> impl Strategy<Value = Inputs> {
    let transports =
        prop::sample::subsequence(vec![Transport::Ws, Transport::Wss, Transport::Quic], 1..=3);
    let sizes = (1..20_000_000_u64, 2..2048_u64, 1..256_u64, 1..1024_u64);
    (sizes, transports, any::<bool>(), 0..200_000_u64).prop_map(
        |((connections, gib, cores, shards), transports, conntrack, messages_per_s)| {
            let mut inputs = inputs(connections, gib * GIB, cores);
            (inputs.shards, inputs.transports, inputs.messages_per_s) =
                (shards, transports, messages_per_s);
            inputs.facts.conntrack = conntrack;
            inputs
        },
    )
}

/// A column that asks for a least value does not shrink as the connections grow, one that asks for
/// a most does not grow.
fn no_less(less: &Ask<'_>, more: &Ask<'_>) -> bool {
    let pairs = less.value.0.iter().zip(&more.value.0).zip(&less.key.columns);
    let mut columns = pairs.map(|((a, b), column)| match (a.order(b), column.bound) {
        (Some(order), Bound::AtLeast) => order.is_le(),
        (Some(order), Bound::AtMost) => order.is_ge(),
        (order, Bound::Equal) => order.is_some_and(std::cmp::Ordering::is_eq),
        (None, _) => false,
    });
    columns.all(|holds| holds)
}

/// tcp_mem gives way to the slab when memory is short: it alone may ask for less.
const GIVES_WAY: &str = "net.ipv4.tcp_mem";

proptest! {
    #[test]
    fn more_connections_never_ask_for_less(
        inputs in any_inputs(),
        role in prop::sample::select(&Role::ALL[..]),
    ) {
        let profile = Profile::of(role).unwrap();
        let Some(most) = largest_that_fits(&profile, &inputs).unwrap() else { return Ok(()) };
        let more = inputs.with_connections(inputs.connections.min(most));
        let less = more.with_connections(more.connections / 2);
        let (a, b) = (less.variables(&profile).unwrap(), more.variables(&profile).unwrap());
        let (a, b) = (profile.ask(&a).unwrap(), profile.ask(&b).unwrap());
        prop_assert_eq!(a.len(), b.len());
        for (less, more) in a.iter().zip(&b).filter(|(ask, _)| ask.key.name != GIVES_WAY) {
            prop_assert!(no_less(less, more), "{less:?} then {more:?}");
        }
        let total = |inputs| Budget::of(&profile, inputs).unwrap().total_bytes();
        prop_assert!(total(&less) <= total(&more));
    }

    /// setrlimit(2) refuses a limit above fs.nr_open.
    #[test]
    fn no_service_is_given_more_descriptors_than_a_process_may_have(inputs in any_inputs()) {
        let profile = Profile::of(Role::Edge).unwrap();
        prop_assume!(Budget::of(&profile, &inputs).unwrap().fits());
        let asks = profile.ask(&inputs.variables(&profile).unwrap()).unwrap();
        let ask = |name| asks.iter().find(|ask| ask.key.name == name).unwrap();
        let value = |name| ask(name).value.0[0].as_number();
        prop_assert!(value("nofile") <= value("fs.nr_open"));
    }

    #[test]
    fn the_largest_that_fits_fits_and_one_more_does_not(inputs in any_inputs()) {
        let profile = Profile::of(Role::Edge).unwrap();
        let Some(most) = largest_that_fits(&profile, &inputs).unwrap() else { return Ok(()) };
        let budget = |n| Budget::of(&profile, &inputs.with_connections(n)).unwrap();
        let fits = |connections| budget(connections).fits();
        prop_assert!(fits(most));
        prop_assert!(!fits(most + 1));
    }

    #[test]
    fn no_queued_data_of_an_accepted_plan_goes_beyond_the_memory(inputs in any_inputs()) {
        let profile = Profile::of(Role::Edge).unwrap();
        let budget = Budget::of(&profile, &inputs).unwrap();
        prop_assume!(budget.fits());
        prop_assert!(budget.total_bytes() <= inputs.memory_bytes());
        let asks = profile.ask(&inputs.variables(&profile).unwrap()).unwrap();
        let tcp_mem = asks.iter().find(|ask| ask.key.name == GIVES_WAY).unwrap();
        let pages: Vec<_> = tcp_mem.value.0.iter().filter_map(Word::as_number).collect();
        prop_assert!(pages.is_sorted());
        let part = |name| budget.parts.iter().find(|part| part.name == name).unwrap().bytes;
        let queued = pages[2] * inputs.facts.page_bytes;
        let all = queued + part("user") + part("slab") + part("headroom");
        // Each part is rounded up to a byte.
        prop_assert!(all <= inputs.memory_bytes() + 3);
    }
}
