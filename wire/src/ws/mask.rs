//! Masking and unmasking (RFC 6455 section 5.3), which are the same operation, in place.
//!
//! Written as whole 64-bit words over exact chunks, which the compiler turns into vector
//! instructions. The tail overlaps the last whole word, so that no byte loop is left from 4 bytes on.

use super::MaskKey;

/// Applies `key` to a payload whose first byte meets the first byte of the key.
#[inline]
pub(super) fn apply(payload: &mut [u8], key: MaskKey) {
    let Some(tail) = payload.last_chunk::<8>() else {
        return apply_short(payload, key);
    };
    let half = u64::from(u32::from_le_bytes(key));
    let word = half << 32 | half;
    // From the masked bytes, before the loop below has passed over part of them.
    let tail_word = word.rotate_right(phase_bits(payload.len()));
    let tail = (u64::from_le_bytes(*tail) ^ tail_word).to_le_bytes();
    for chunk in payload.as_chunks_mut::<8>().0 {
        *chunk = (u64::from_le_bytes(*chunk) ^ word).to_le_bytes();
    }
    if let Some(last) = payload.last_chunk_mut() {
        *last = tail;
    }
}

#[inline]
fn apply_short(payload: &mut [u8], key: MaskKey) {
    let Some(tail) = payload.last_chunk::<4>() else {
        payload.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        return;
    };
    let word = u32::from_le_bytes(key);
    let tail_word = word.rotate_right(phase_bits(payload.len()));
    let tail = (u32::from_le_bytes(*tail) ^ tail_word).to_le_bytes();
    if let Some(first) = payload.first_chunk_mut::<4>() {
        *first = (u32::from_le_bytes(*first) ^ word).to_le_bytes();
    }
    if let Some(last) = payload.last_chunk_mut() {
        *last = tail;
    }
}

/// The key for what follows `passed` bytes of a payload.
pub(super) fn advance(key: MaskKey, passed: usize) -> MaskKey {
    u32::from_le_bytes(key).rotate_right(phase_bits(passed)).to_le_bytes()
}

const fn phase_bits(bytes: usize) -> u32 {
    8 * (bytes % 4) as u32
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
