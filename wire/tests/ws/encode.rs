//! Every way to encode a frame gives the same bytes, with the shortest length that holds it.

use throng_wire::ws::{Opcode, encode};

const KEY: [u8; 4] = [9, 8, 7, 6];

/// Payload lengths around each form of the length, and the bytes of header they take unmasked.
const LENGTHS: [(usize, usize); 7] =
    [(0, 2), (1, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (100_000, 10)];

#[test]
fn header_and_payload_are_the_frame() {
    for (length, header_bytes) in LENGTHS {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        for mask in [None, Some(KEY)] {
            let mut out = b"before".to_vec();
            encode::frame(&mut out, Opcode::Binary, &payload, mask);
            let header = encode::header(Opcode::Binary, length, mask);
            let mask_bytes = mask.map_or(0, |key| key.len());
            assert_eq!(header.as_bytes().len(), header_bytes + mask_bytes);
            assert!(out.starts_with(&[b"before", header.as_bytes()].concat()));
            assert_eq!(out.len(), 6 + header_bytes + mask_bytes + length);
        }
        let mut out = Vec::new();
        encode::frame(&mut out, Opcode::Binary, &payload, None);
        assert_eq!(out[header_bytes..], payload);
    }
}

#[test]
fn a_payload_written_in_place_is_the_same_frame() {
    for (length, _) in LENGTHS {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let (mut expected, mut out) = (b"before".to_vec(), b"before".to_vec());
        encode::frame(&mut expected, Opcode::Text, &payload, None);
        encode::frame_with(&mut out, Opcode::Text, |out| {
            payload.chunks(1000).for_each(|part| out.extend_from_slice(part));
        });
        assert!(out == expected, "length {length}");
    }
}
