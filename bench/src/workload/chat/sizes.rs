//! How large the groups of a run are: `2:50%,10:30%,100:20%`.

use std::fmt;
use std::str::FromStr;

use throng_wire::limits::MEMBERS_PER_REQUEST_MAX;

/// Sizes of groups, members with their owner, and the shares of the groups that have them.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSizes(Vec<(u32, f64)>);

/// Mostly small ones, as people have them.
impl Default for GroupSizes {
    fn default() -> Self {
        Self(vec![(2, 0.5), (10, 0.3), (100, 0.2)])
    }
}

/// Why a text is no distribution.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizesError {
    /// Not of the form.
    #[error("{0:?} is no size of groups with its share: write 2:50%,10:30%,100:20%")]
    Form(String),
    /// A size that no group can have.
    #[error("groups have 2 to {MEMBERS_PER_REQUEST_MAX} members, not {0}")]
    Size(u32),
    /// The shares are not a whole.
    #[error("the shares of the groups must add up to 100 %, not {0}")]
    Sum(String),
}

impl GroupSizes {
    /// All groups of one size.
    #[must_use]
    pub fn all(size: u32) -> Self {
        Self(vec![(size, 1.0)])
    }

    /// The size of the group at this fraction (0 to 1) of all groups.
    #[must_use]
    pub fn at(&self, fraction: f64) -> u32 {
        let mut sum = 0.0;
        let reached = self.0.iter().find(|(_, share)| {
            sum += share;
            fraction < sum
        });
        reached.or(self.0.last()).map_or(2, |(size, _)| *size)
    }

    /// The largest of them.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.0.iter().map(|(size, _)| *size).max().unwrap_or(2)
    }
}

impl FromStr for GroupSizes {
    type Err = SizesError;

    fn from_str(text: &str) -> Result<Self, SizesError> {
        let sizes: Vec<_> = text.split(',').map(parse_class).collect::<Result<_, _>>()?;
        let sum: f64 = sizes.iter().map(|(_, share)| share).sum();
        if (sum - 1.0).abs() > 1e-6 {
            return Err(SizesError::Sum(format!("{} %", sum * 100.0)));
        }
        Ok(Self(sizes))
    }
}

fn parse_class(text: &str) -> Result<(u32, f64), SizesError> {
    let wrong = || SizesError::Form(text.to_owned());
    let (size, share) = text.trim().split_once(':').unwrap_or((text.trim(), "100%"));
    let size: u32 = size.parse().map_err(|_| wrong())?;
    let percent: f64 = share.strip_suffix('%').ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
    if !(2..=MEMBERS_PER_REQUEST_MAX as u32).contains(&size) {
        return Err(SizesError::Size(size));
    }
    if !(0.0..=100.0).contains(&percent) {
        return Err(wrong());
    }
    Ok((size, percent / 100.0))
}

impl fmt::Display for GroupSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (size, share)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            write!(f, "{comma}{size}:{}%", share * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_taken_by_their_shares() {
        let sizes: GroupSizes = "2:50%,10:30%,100:20%".parse().unwrap();
        let at = |fraction| sizes.at(fraction);
        assert_eq!(
            [at(0.0), at(0.49), at(0.51), at(0.79), at(0.81), at(1.0)],
            [2, 2, 10, 10, 100, 100]
        );
        assert_eq!(sizes.to_string(), "2:50%,10:30%,100:20%");
        assert_eq!(sizes, GroupSizes::default());
        assert_eq!((sizes.max(), "7".parse()), (100, Ok(GroupSizes::all(7))));
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        assert_eq!("1:100%".parse::<GroupSizes>(), Err(SizesError::Size(1)));
        assert!("2:100%,500:0%".parse::<GroupSizes>().is_ok());
        assert_eq!("501:100%".parse::<GroupSizes>(), Err(SizesError::Size(501)));
        assert!(matches!("2:50%".parse::<GroupSizes>(), Err(SizesError::Sum(_))));
        for text in ["", "2:0.5", "x:100%", "2:-1%,3:101%"] {
            assert!(matches!(text.parse::<GroupSizes>(), Err(SizesError::Form(_))), "{text}");
        }
    }
}
