//! One sender, one group: how fast a message reaches all members, for several sizes in turn.
//!
//! Each size is a run of [`Chat`](super::chat::Chat) of its own, on one shard, where the moment of
//! the last member is known exactly: as many users as the group has members, of whom the owner
//! alone speaks. Rates are limited by what a server allows one connection (50 operations a second
//! by default).

use super::chat::sizes::GroupSizes;
use super::chat::{Manners, Pairs};
use crate::generator::{Counter, Metric, Sample};

/// Sizes of groups when nothing else is said.
pub const SIZES: [u32; 4] = [2, 10, 100, 500];

/// What is told of each size.
const FIGURES: [&str; 4] =
    ["deliveries_per_second", "last_member_p50_us", "last_member_p99_us", "ack_p99_us"];

/// The people of a run with one group.
#[must_use]
pub fn manners(size: u32) -> Manners {
    Manners {
        users: size,
        devices: 1,
        direct: 0.0,
        pairs: Pairs::Fixed,
        sizes: GroupSizes::all(size),
        groups: 1,
        owners_speak: true,
    }
}

/// Names of the figures of a size.
#[must_use]
pub fn names(size: u32) -> Vec<String> {
    FIGURES.iter().map(|name| format!("{name}_{size}")).collect()
}

/// The figures of a size, from its run whose messages took `seconds`.
#[must_use]
pub fn figures(size: u32, total: &Sample, seconds: f64) -> Vec<(String, f64)> {
    let quantile = |metric, quantile| {
        total.times(metric).map_or(0.0, |times| times.value_at_quantile(quantile) as f64 / 1e3)
    };
    let values = [
        total.count(Counter::Delivered) as f64 / seconds,
        quantile(Metric::LastMember, 0.5),
        quantile(Metric::LastMember, 0.99),
        quantile(Metric::Ack, 0.99),
    ];
    names(size).into_iter().zip(values).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::generator::ShardInfo;
    use crate::workload::chat::cast::{Cast, Intent};

    #[test]
    fn the_owner_alone_speaks_to_a_group_of_all() {
        for size in SIZES {
            let info = ShardInfo { shard: 0, shards: 1, clients: size, seed: 1 };
            let cast = Cast::new(manners(size), 1, info);
            assert_eq!(cast.group(0).members().count() as u32, size);
            assert!(cast.is_within(cast.group(0)));
            let owner = cast.client(cast.group(0).owner);
            let expected = Intent::Group { sender: owner, group: 0 };
            assert!((0..100).all(|i| cast.message(i) == expected));
        }
    }

    #[test]
    fn figures_are_named_by_their_size() {
        let mut total = Sample::default();
        total.add(Counter::Delivered, 900);
        total.record(Metric::LastMember, Duration::from_millis(2));
        let figures = figures(10, &total, 3.0);
        assert_eq!(figures[0], ("deliveries_per_second_10".to_owned(), 300.0));
        assert!(
            figures[1].0 == "last_member_p50_us_10" && (1_999.0..2_002.0).contains(&figures[1].1)
        );
    }
}
