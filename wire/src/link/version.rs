//! Which version two ends speak.

/// Oldest version of the link that this build speaks.
pub const VERSION_MIN: u32 = 1;

/// Newest version of the link that this build speaks.
pub const VERSION_MAX: u32 = 1;

const _: () = assert!(VERSION_MIN >= 1 && VERSION_MIN <= VERSION_MAX);
// Version N works with N - 1, so that edges and routers can be updated one after the other.
const _: () = assert!(VERSION_MIN == 1 || VERSION_MIN < VERSION_MAX);

/// The highest version that both ends speak, given what the peer's `hello` says.
#[must_use]
pub fn negotiate(peer_min: u32, peer_max: u32) -> Option<u32> {
    highest_common((VERSION_MIN, VERSION_MAX), (peer_min, peer_max))
}

fn highest_common(ours: (u32, u32), theirs: (u32, u32)) -> Option<u32> {
    let version = ours.1.min(theirs.1);
    (version >= ours.0 && version >= theirs.0 && version >= 1).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_common_version_is_chosen() {
        assert_eq!(highest_common((1, 1), (1, 1)), Some(1));
        assert_eq!(highest_common((1, 2), (2, 3)), Some(2));
        assert_eq!(highest_common((2, 3), (1, 2)), Some(2));
        assert_eq!(highest_common((1, 3), (1, 9)), Some(3));
    }

    #[test]
    fn ranges_that_do_not_meet_have_none() {
        assert_eq!(highest_common((2, 3), (1, 1)), None);
        assert_eq!(highest_common((1, 1), (2, 3)), None);
    }

    #[test]
    fn a_hello_that_left_its_versions_out_has_none() {
        assert_eq!(negotiate(0, 0), None);
    }
}
