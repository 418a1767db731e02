//! Numbers and ids as CQL has them: signed integers and blobs.

use crate::{Epoch, Seq, StoreError, limits};

/// A number as a bigint. What is larger is no seq, no ordinal and no moment, only a bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A bigint that was written as a number.
pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is below zero")))
}

/// A bigint that may be missing, which means zero.
pub(super) fn or_zero(number: Option<i64>) -> Result<u64, StoreError> {
    number.map_or(Ok(0), unsigned)
}

/// An epoch as an int. [`crate::Store::take`] gives none that does not fit.
pub(super) fn signed_epoch(epoch: Epoch) -> i32 {
    i32::try_from(epoch).unwrap_or(i32::MAX)
}

pub(super) fn epoch(number: i32) -> Result<Epoch, StoreError> {
    let below = || StoreError::Corrupt(format!("epoch {number} is below zero"));
    Epoch::try_from(number).map_err(|_| below())
}

/// Where a row of the log is.
pub(super) fn bucket(seq: Seq) -> i32 {
    i32::try_from(seq >> limits::BUCKET_BITS).unwrap_or(i32::MAX)
}

/// An id or a digest.
pub(super) fn bytes<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    let other = || StoreError::Corrupt(format!("{} bytes instead of {N}", bytes.len()));
    bytes.try_into().map_err(|_| other())
}

/// A small number, such as a kind or an incarnation.
pub(super) fn small<T: TryFrom<i64>>(number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} is too large")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_with_its_last_seq() {
        assert_eq!([1, 8_191, 8_192, 16_383, 16_384].map(bucket), [0, 0, 1, 1, 2]);
        assert_eq!(bucket(u64::MAX), i32::MAX);
    }

    #[test]
    fn numbers_that_do_not_fit_are_bounds_when_bound_and_damage_when_read() {
        assert_eq!([0, 1, u64::MAX].map(signed), [0, 1, i64::MAX]);
        assert!(unsigned(-1).is_err() && unsigned(0).is_ok());
        assert!(small::<u8>(256).is_err() && small::<u8>(255).is_ok());
        assert!(bytes::<2>(&[1]).is_err() && bytes::<2>(&[1, 2]).is_ok());
    }
}
