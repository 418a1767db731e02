//! Which partition an id belongs to.
//!
//! Ids are UUIDs whose time and version bits are not spread evenly, so they are hashed: the first
//! 14 bits of the 64-bit product-and-fold of both halves (the finalizer of SplitMix64). Part of the
//! data: changing it moves every conversation and every user.

use throng_store::PartitionId;

/// Partitions.
pub const PARTITIONS: u16 = 1 << PARTITION_BITS;

const PARTITION_BITS: u32 = 14;

/// The partition of a conversation or a user.
#[must_use]
pub fn partition_of(id: &[u8; 16]) -> PartitionId {
    let whole = u128::from_be_bytes(*id);
    let (high, low) = ((whole >> 64) as u64, whole as u64);
    let hash = mix(mix(high).wrapping_add(low));
    (hash >> (64 - PARTITION_BITS)) as PartitionId
}

/// Finalizer of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators").
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_where_they_are() {
        // Written down once: a build that computes another value would not find its data.
        assert_eq!([0, 1, 0xff].map(|byte| partition_of(&[byte; 16])), [0, 21, 10_085]);
    }

    #[test]
    fn ids_of_one_millisecond_spread_over_all_partitions() {
        let mut id = [0x01; 16];
        let mut hit = vec![0_u32; usize::from(PARTITIONS)];
        for count in 0..u32::from(PARTITIONS) * 16 {
            id[12..].copy_from_slice(&count.to_be_bytes());
            hit[usize::from(partition_of(&id))] += 1;
        }
        assert!(hit.iter().all(|&count| count > 0 && count < 48));
    }
}
