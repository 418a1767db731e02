//! Property: what is not Protobuf of the schema is refused, with where and why; limits hold.

use throng_wire::protobuf::{Protobuf, Reader};
use throng_wire::{DecodeFault, limits, link, v1};

fn fault(bytes: &[u8]) -> DecodeFault {
    v1::ClientFrame::decode(bytes).unwrap_err().fault()
}

#[test]
fn malformed_fields() {
    assert_eq!(fault(b"\x08"), DecodeFault::Truncated);
    assert_eq!(fault(b"\x22\x05ab"), DecodeFault::Truncated);
    assert_eq!(fault(b"\xf1\x07\x01\x02"), DecodeFault::Truncated);
    assert_eq!(fault(b"\xf2\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), DecodeFault::Truncated);
    assert_eq!(fault(b"\x00\x01"), DecodeFault::BadTag);
    assert_eq!(fault(b"\x0e\x01"), DecodeFault::BadTag);
    assert_eq!(fault(b"\xfb\x07"), DecodeFault::Group);
    assert_eq!(fault(b"\xfc\x07"), DecodeFault::Group);
    assert_eq!(fault(b"\x0a\x01a"), DecodeFault::WrongWireType);
}

#[test]
fn a_varint_of_64_bits_passes_and_one_of_65_does_not() {
    let longest = v1::ClientFrame::decode(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    assert_eq!(longest.unwrap().id, Some(u64::MAX));
    assert_eq!(fault(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), DecodeFault::BadVarint);
    assert_eq!(fault(b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), DecodeFault::BadVarint);
}

#[test]
fn the_highest_field_number_passes_and_the_next_does_not() {
    let highest = b"\xf8\xff\xff\xff\x0f\x01";
    assert_eq!(v1::ClientFrame::decode(highest), Ok(v1::ClientFrame::default()));
    assert_eq!(fault(b"\x80\x80\x80\x80\x10\x01"), DecodeFault::BadTag);
}

#[test]
fn the_error_names_the_field() {
    let bad_text = b"\x1a\x03\x2a\x01\xff"; // send { text: a byte that is not UTF-8 }
    let error = v1::ClientFrame::decode(bad_text).unwrap_err();
    assert_eq!(error.to_string(), "send.text: not UTF-8");
    let bad_conv = b"\x3a\x05\x0a\x03\x0a\x01\xff"; // sync { convs: [{ conv }] }
    let error = v1::ClientFrame::decode(bad_conv).unwrap_err();
    assert_eq!(error.to_string(), "sync.convs.conv: not UTF-8");
}

fn add_members(count: usize) -> Vec<u8> {
    let members = vec!["m".into(); count];
    let change = v1::ChangeMembers { members, ..Default::default() };
    v1::ClientFrame { id: None, op: Some(v1::Op::AddMembers(change)) }.encode_to_vec()
}

#[test]
fn the_last_element_within_the_limit_passes_and_one_more_does_not() {
    let most = add_members(limits::CLIENT_ELEMENTS_MAX);
    assert!(v1::ClientFrame::decode(&most).is_ok());
    let more = add_members(limits::CLIENT_ELEMENTS_MAX + 1);
    let error = v1::ClientFrame::decode(&more).unwrap_err();
    assert_eq!(error.to_string(), "add_members.members: too many elements");
}

#[test]
fn elements_are_counted_over_all_depths_and_packed_numbers_one_by_one() {
    let page = |events: usize| v1::Page {
        events: vec![v1::Event::default(); events],
        ..Default::default()
    };
    let sync = v1::SyncPage { convs: vec![page(2), page(1)] }.encode_to_vec();
    let read = |elements_max| v1::SyncPage::default().merge(&mut Reader::new(&sync, elements_max));
    assert!(read(5).is_ok());
    assert_eq!(read(4).unwrap_err().fault(), DecodeFault::TooManyElements);

    let hint = link::Hint { slots: vec![7; 3], ..Default::default() }.encode_to_vec();
    let read = |elements_max| link::Hint::default().merge(&mut Reader::new(&hint, elements_max));
    assert!(read(3).is_ok());
    assert_eq!(read(2).unwrap_err().fault(), DecodeFault::TooManyElements);
}
