//! Whatever a router sends as answers, in whatever chunks, a client gets a frame that can be read,
//! or the router is told that it is at fault; and both encodings of an answer say the same.
//!
//! Input: a stream of link frames. A grant of credit among them is applied, too.

#![no_main]

use libfuzzer_sys::fuzz_target;
use throng_wire::limits::ANSWERS_BYTES_MAX;
use throng_wire::link::{Answers, CreditSpender, FrameReader, ToEdge, Whole};
use throng_wire::{Json as _, Protobuf as _, transcode, v1};

/// An id that every answer must come back with.
const ID: Option<u64> = Some(7);

fn told_to_clients(whole: &Whole<'_>) {
    let (mut json, mut protobuf) = (Vec::new(), Vec::new());
    if transcode::answer_json(ID, &whole.body, &mut json).is_err() {
        assert!(json.is_empty(), "a frame that cannot be read leaves nothing behind");
        return;
    }
    transcode::answer_protobuf(ID, &whole.body, &mut protobuf);
    let from_protobuf = v1::ServerFrame::decode(&protobuf).expect("what JSON could be made of");
    let from_json = v1::ServerFrame::from_json(&json).expect("our own JSON");
    assert_eq!(from_json.id, ID);
    // A router gives bodies without an id; in Protobuf the last id counts, which would be its own.
    let body_has_id = v1::ServerFrame::decode(&whole.body).is_ok_and(|body| body.id.is_some());
    if !body_has_id {
        assert_eq!(from_protobuf, from_json);
    }
}

fuzz_target!(|stream: &[u8]| {
    let (mut reader, mut answers) = (FrameReader::new(), Answers::new());
    let mut spender: Option<CreditSpender> = None;
    let mut rest = stream;
    while let Ok(Some(frame)) = reader.next(&mut rest) {
        match ToEdge::decode(frame) {
            Ok(ToEdge::Answer(chunk)) => match answers.push(chunk) {
                Ok(Some(whole)) => told_to_clients(&whole),
                Ok(None) => {}
                Err(_) => return,
            },
            Ok(ToEdge::Welcome(welcome)) => spender = Some(CreditSpender::new(&welcome)),
            Ok(ToEdge::Credit(credit)) => {
                if let Some(spender) = &mut spender {
                    let _ = spender.grant(&credit); // a grant that went back ends the link
                    let _ = spender.spend(1);
                }
            }
            Ok(_) => {}
            Err(_) => return,
        }
        assert!(answers.bytes() <= ANSWERS_BYTES_MAX);
    }
});
