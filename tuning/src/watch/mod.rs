//! The counters that tell that a limit is near, and what to do then.
//!
//! What is counted is data (profiles/counters.toml). A [`Sample`] reads everything once;
//! [`Watch::news`] compares two. What a host does not have is no news.

mod counters;
mod metrics;

use std::collections::BTreeMap;

use crate::host::Host;

pub use counters::{Count, Level, Watch};
pub use metrics::fetch;

/// Everything that was read at one time, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Numbers that only grow.
    pub counts: BTreeMap<String, u64>,
    /// What is used, and how much there is at most.
    pub levels: BTreeMap<String, (u64, u64)>,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Of what.
    pub name: String,
    /// How much.
    pub amount: String,
    /// What that means.
    pub means: String,
    /// What to do.
    pub action: String,
}

impl Watch {
    /// Reads everything; `metrics`: the gateway's, as it wrote them.
    #[must_use]
    pub fn sample(&self, host: &Host, metrics: &str) -> Sample {
        let counts = self
            .counts
            .iter()
            .filter_map(|count| Some((count.name.clone(), count.value(host, metrics)?)));
        let levels = self.levels.iter().filter_map(|level| {
            Some((level.name.clone(), (level.used.value(host)?, level.most.value(host)?)))
        });
        Sample { counts: counts.collect(), levels: levels.collect() }
    }

    /// What grew between two samples, and what is near its most in the later one.
    #[must_use]
    pub fn news(&self, before: &Sample, after: &Sample) -> Vec<News> {
        let grown = self.counts.iter().filter_map(|count| {
            let (old, new) = (before.counts.get(&count.name)?, after.counts.get(&count.name)?);
            // A gateway that was started anew counts from 0.
            let growth = new.checked_sub(*old).unwrap_or(*new);
            (growth > 0).then(|| count.news(format!("+{growth} to {new}")))
        });
        grown.chain(self.near(after)).collect()
    }

    /// What has been counted since the start of the host, and what is near its most.
    #[must_use]
    pub fn so_far(&self, sample: &Sample) -> Vec<News> {
        let counted = self.counts.iter().filter_map(|count| {
            let total = sample.counts.get(&count.name).filter(|total| **total > 0)?;
            Some(count.news(format!("{total} so far")))
        });
        counted.chain(self.near(sample)).collect()
    }

    fn near<'a>(&'a self, sample: &'a Sample) -> impl Iterator<Item = News> + 'a {
        self.levels.iter().filter_map(|level| {
            let (used, most) = sample.levels.get(&level.name)?;
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let is_near = *used as f64 >= self.told_share * *most as f64;
            is_near.then(|| level.news(format!("{used} of {most}")))
        })
    }
}
