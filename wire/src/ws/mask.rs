//! Masking and unmasking (RFC 6455 section 5.3), which are the same operation, in place.
//!
//! Written as whole 64-bit words over exact chunks, which the compiler turns into vector
//! instructions; an overlapping last word instead of the tail of bytes was measured: no faster.

use super::MaskKey;

/// Applies `key` to a payload whose first byte meets the first byte of the key.
#[inline]
pub(super) fn apply(payload: &mut [u8], key: MaskKey) {
    let half = u64::from(u32::from_le_bytes(key));
    let word = half << 32 | half;
    let (chunks, tail) = payload.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_le_bytes(*chunk) ^ word).to_le_bytes();
    }
    tail.iter_mut().zip(word.to_le_bytes()).for_each(|(byte, key)| *byte ^= key);
}

/// The key for what follows `passed` bytes of a payload.
pub(super) fn advance(key: MaskKey, passed: usize) -> MaskKey {
    let phase_bits = 8 * (passed % 4) as u32;
    u32::from_le_bytes(key).rotate_right(phase_bits).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_agrees_with_the_definition() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..200_usize {
            let masked: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let expected: Vec<u8> =
                masked.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut payload = masked;
            apply(&mut payload, key);
            assert_eq!(payload, expected, "length {length}");
        }
    }

    #[test]
    fn a_payload_unmasks_in_two_parts_as_in_one() {
        let key = [1, 2, 3, 4];
        for cut in 0..=40 {
            let mut parts: Vec<u8> = (0..40).collect();
            let mut whole = parts.clone();
            apply(&mut whole, key);
            let (first, second) = parts.split_at_mut(cut);
            apply(first, key);
            apply(second, advance(key, cut));
            assert_eq!(parts, whole, "cut at {cut}");
        }
    }
}
