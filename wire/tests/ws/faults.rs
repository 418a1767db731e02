//! Each way to break the protocol has its error, its close code, and ends the connection.

use crate::recorder::{KEY, Seen, decode, raw, server, server_bytewise};
use throng_wire::ws::{CloseCode, Opcode, ProtocolError, Role, encode};

/// The fault ends the stream, in one part or byte by byte, with another message behind it.
fn assert_fault(stream: &[u8], fault: ProtocolError) {
    let stream = [stream, &raw(0x81, b"behind"), &raw(0x88, b"")].concat();
    assert_eq!(server(&stream), [Seen::Fault(fault)], "{stream:02x?}");
    assert_eq!(server_bytewise(&stream), [Seen::Fault(fault)], "{stream:02x?}");
}

#[test]
fn reserved_bits() {
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [0x80, 0x81, 0x82, 0x88, 0x89, 0x8a] {
            assert_fault(&raw(opcode | bit, b"x"), ProtocolError::ReservedBit);
        }
    }
}

#[test]
fn every_unknown_opcode() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        assert_fault(&raw(0x80 | opcode, b"x"), ProtocolError::UnknownOpcode);
        assert_fault(&raw(opcode, b"x"), ProtocolError::UnknownOpcode);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [0x8, 0x9, 0xa] {
        assert_fault(&raw(opcode, b"x"), ProtocolError::FragmentedControl);
        let long = [&[0x80 | opcode, 0x80 | 126, 0, 126][..], &KEY, &[0; 126]].concat();
        assert_fault(&long, ProtocolError::ControlTooLong);
        let longer = [&[0x80 | opcode, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0][..], &KEY].concat();
        assert_fault(&longer, ProtocolError::ControlTooLong);
    }
    assert_eq!(server(&raw(0x89, &[1; 125])), [Seen::Ping(vec![1; 125])]);
    assert_eq!(server(&raw(0x8a, &[1; 125])), [Seen::Pong(vec![1; 125])]);
}

#[test]
fn lengths_are_minimal() {
    let with = |length: &[u8], payload| [&[0x82][..], length, &KEY, &vec![0; payload]].concat();
    assert_fault(&with(&[0xfe, 0, 125], 125), ProtocolError::LengthNotMinimal);
    assert_eq!(server(&with(&[0xfe, 0, 126], 126)).len(), 1);
    assert_fault(&with(&[0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], 0), ProtocolError::LengthNotMinimal);
    assert_eq!(server(&with(&[0xff, 0, 0, 0, 0, 0, 1, 0, 0], 65_536)).len(), 1);
    let top_bit = [0xff, 0x80, 0, 0, 0, 0, 1, 0, 0];
    assert_fault(&with(&top_bit, 0), ProtocolError::LengthNotMinimal);
    let below = [0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert_fault(&with(&below, 0), ProtocolError::MessageTooBig);
}

#[test]
fn clients_mask_and_servers_do_not() {
    assert_fault(&[0x81, 1, b'x'], ProtocolError::Unmasked);
    assert_fault(&[0x89, 0], ProtocolError::Unmasked);
    for opcode in [0x81, 0x82, 0x89] {
        let seen = decode(Role::Client, 100, [&raw(opcode, b"x")[..]]);
        assert_eq!(seen, [Seen::Fault(ProtocolError::Masked)]);
    }
}

#[test]
fn fragments_follow_each_other() {
    assert_fault(&raw(0x80, b"x"), ProtocolError::UnexpectedContinuation);
    assert_fault(&raw(0x00, b"x"), ProtocolError::UnexpectedContinuation);
    for second in [0x81, 0x82, 0x01, 0x02] {
        let stream = [raw(0x01, b"x"), raw(second, b"y")].concat();
        assert_fault(&stream, ProtocolError::ExpectedContinuation);
    }
    let done = [raw(0x01, b"x"), raw(0x80, b"y")].concat();
    assert_eq!(server(&done), [Seen::Text("xy".into())]);
    let again = [done, raw(0x80, b"z")].concat();
    let fault = Seen::Fault(ProtocolError::UnexpectedContinuation);
    assert_eq!(server(&again), [Seen::Text("xy".into()), fault]);
}

#[test]
fn nothing_is_decoded_after_a_close_frame() {
    let stream = [raw(0x88, &[0x03, 0xe8]), raw(0x81, b"late"), vec![0xff; 20]].concat();
    let close = [Seen::Close(Some(1000), String::new())];
    assert_eq!(server(&stream), close);
    assert_eq!(server_bytewise(&stream), close);
}

#[test]
fn faults_say_how_to_close() {
    let faults = [
        (ProtocolError::InvalidUtf8, 1007),
        (ProtocolError::MessageTooBig, 1009),
        (ProtocolError::Unmasked, 1002),
        (ProtocolError::CloseCodeNotAllowed, 1002),
    ];
    for (fault, code) in faults {
        assert_eq!(fault.close_code().get(), code);
        assert_eq!(fault.reason(), fault.to_string());
        let mut out = Vec::new();
        encode::close(&mut out, fault.close_code(), fault.reason(), None);
        let seen = decode(Role::Client, 100, [&out[..]]);
        assert_eq!(seen, [Seen::Close(Some(code), fault.reason().into())]);
    }
}

#[test]
fn control_payloads_are_cut_to_what_fits() {
    let mut out = Vec::new();
    encode::ping(&mut out, &[7; 126], Some(KEY));
    encode::frame(&mut out, Opcode::Pong, &[7; 125], Some(KEY));
    // 61 two-byte characters fit into the 123 bytes of a reason; the 62nd would be cut in two.
    encode::close(&mut out, CloseCode::NORMAL, &"é".repeat(62), Some(KEY));
    let close = Seen::Close(Some(1000), "é".repeat(61));
    assert_eq!(server(&out), [Seen::Ping(vec![7; 125]), Seen::Pong(vec![7; 125]), close]);
}
