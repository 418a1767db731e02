//! Property: large answers never hold up small frames, nor small frames large answers for ever.

use throng_wire::limits::{ANSWER_BYTES_MAX, CHUNK_BYTES, LINK_FRAME_BYTES_MAX, OUTBOX_BYTES_MAX};
use throng_wire::link::{Answer, Answers, Beacon, FrameReader, Hint, Outbox, OutboxFull, ToEdge};

/// What one `fill` puts on the wire, one letter and number each: hint, beacon, answer (chunk).
fn filled(outbox: &mut Outbox, budget: usize) -> Vec<(char, u64)> {
    let mut bytes = Vec::new();
    outbox.fill(budget, &mut bytes);
    let (mut reader, mut input, mut found) = (FrameReader::new(), &bytes[..], Vec::new());
    while let Some(frame) = reader.next(&mut input).unwrap() {
        found.push(match ToEdge::decode(frame).unwrap() {
            ToEdge::Answer(answer) => ('a', answer.request),
            ToEdge::Hint(hint) => ('h', hint.number),
            ToEdge::Beacon(beacon) => ('b', beacon.number),
            other => panic!("nobody queued {other:?}"),
        });
    }
    found
}

fn hint(number: u64, bytes: usize) -> ToEdge<'static> {
    ToEdge::Hint(Hint { number, frame: vec![0; bytes].into(), ..Hint::default() })
}

#[test]
fn small_frames_overtake_large_answers_and_keep_their_order() {
    let mut outbox = Outbox::new();
    outbox.push_answer(1, vec![0; 2 * CHUNK_BYTES + 1], false).unwrap();
    outbox.push(&hint(1, 10)).unwrap();
    outbox.push_answer(2, vec![0; CHUNK_BYTES], false).unwrap();
    outbox.push(&ToEdge::Beacon(Beacon { number: 1 })).unwrap();
    let order = filled(&mut outbox, 1 << 20);
    assert_eq!(order, [('h', 1), ('a', 2), ('b', 1), ('a', 1), ('a', 1), ('a', 1)]);
    assert!(outbox.is_empty());
}

#[test]
fn large_answers_take_turns() {
    let mut outbox = Outbox::new();
    outbox.push_answer(1, vec![0; 3 * CHUNK_BYTES], false).unwrap();
    outbox.push_answer(2, vec![0; 2 * CHUNK_BYTES], false).unwrap();
    let order = filled(&mut outbox, 1 << 20);
    assert_eq!(order, [('a', 1), ('a', 2), ('a', 1), ('a', 2), ('a', 1)]);
}

#[test]
fn a_small_frame_waits_for_no_more_than_what_was_filled_before_it() {
    let mut outbox = Outbox::new();
    outbox.push_answer(1, vec![0; 4 * CHUNK_BYTES], false).unwrap();
    assert_eq!(filled(&mut outbox, 1), [('a', 1)]);
    outbox.push(&hint(1, 10)).unwrap();
    assert_eq!(filled(&mut outbox, 1), [('h', 1), ('a', 1)]);
}

#[test]
fn a_large_answer_advances_under_any_load_of_small_frames() {
    let mut outbox = Outbox::new();
    outbox.push_answer(9, vec![0; 2 * CHUNK_BYTES], false).unwrap();
    for number in 1..=20 {
        outbox.push(&hint(number, 1000)).unwrap();
    }
    assert_eq!(filled(&mut outbox, 2100), [('h', 1), ('h', 2), ('a', 9)]);
    assert_eq!(filled(&mut outbox, 2100), [('h', 3), ('h', 4), ('a', 9)]);
    assert_eq!(filled(&mut outbox, 2100), [('h', 5), ('h', 6)]);
}

#[test]
fn the_budget_is_exceeded_by_two_frames_at_most() {
    let mut outbox = Outbox::new();
    for number in 1..=4 {
        outbox.push(&hint(number, 50_000)).unwrap();
        outbox.push_answer(number, vec![0; 3 * CHUNK_BYTES], false).unwrap();
    }
    while !outbox.is_empty() {
        let mut bytes = Vec::new();
        outbox.fill(1000, &mut bytes);
        assert!(bytes.len() <= 1000 + 2 * LINK_FRAME_BYTES_MAX);
    }
}

#[test]
fn the_other_end_gets_every_answer_whole() {
    let body: Vec<u8> = (0..ANSWER_BYTES_MAX).map(|index| (index % 251) as u8).collect();
    let mut outbox = Outbox::new();
    outbox.push_answer(1, body.clone(), false).unwrap();
    outbox.push_answer(2, body[..CHUNK_BYTES + 1].to_vec(), true).unwrap();
    outbox.push_answer(3, Vec::new(), false).unwrap();
    let mut bytes = Vec::new();
    while !outbox.is_empty() {
        outbox.fill(1, &mut bytes);
    }
    let (mut reader, mut answers, mut input) = (FrameReader::new(), Answers::new(), &bytes[..]);
    let mut found = Vec::new();
    while let Some(frame) = reader.next(&mut input).unwrap() {
        let ToEdge::Answer(chunk) = ToEdge::decode(frame).unwrap() else { panic!("not an answer") };
        let whole = answers.push(chunk).unwrap();
        found.extend(whole.map(|whole| (whole.request, whole.body.into_owned(), whole.failed)));
    }
    let expected =
        [(3, vec![], false), (2, body[..CHUNK_BYTES + 1].to_vec(), true), (1, body, false)];
    assert_eq!(found, expected);
}

#[test]
fn the_last_byte_of_room_is_given_and_no_more() {
    let mut outbox = Outbox::new();
    while outbox.bytes() + ANSWER_BYTES_MAX <= OUTBOX_BYTES_MAX - 1000 {
        outbox.push_answer(1, vec![0; ANSWER_BYTES_MAX], false).unwrap();
    }
    // The rest in answers of whole chunks, then one frame that fits exactly.
    while outbox.bytes() + CHUNK_BYTES < OUTBOX_BYTES_MAX - 1000 {
        outbox.push_answer(1, vec![0; CHUNK_BYTES + 1], false).unwrap();
    }
    let room = OUTBOX_BYTES_MAX - outbox.bytes();
    let overhead = hint(1, room).frame_len() - room;
    assert_eq!(outbox.push(&hint(1, room - overhead + 1)), Err(OutboxFull::Bytes));
    assert_eq!(outbox.push(&hint(1, room - overhead)), Ok(()));
    assert_eq!(outbox.bytes(), OUTBOX_BYTES_MAX);
    assert_eq!(outbox.push(&ToEdge::Beacon(Beacon { number: 1 })), Err(OutboxFull::Bytes));
    let mut bytes = Vec::new();
    outbox.fill(1, &mut bytes);
    assert_eq!(outbox.push(&ToEdge::Beacon(Beacon { number: 1 })), Ok(()));
}

#[test]
fn the_largest_answer_is_queued_and_one_byte_more_is_not() {
    let mut outbox = Outbox::new();
    assert_eq!(outbox.push_answer(1, vec![0; ANSWER_BYTES_MAX], false), Ok(()));
    let more = vec![0; ANSWER_BYTES_MAX + 1];
    assert_eq!(outbox.push_answer(2, more, false), Err(OutboxFull::Message));
    let frame =
        ToEdge::Answer(Answer { body: vec![0; LINK_FRAME_BYTES_MAX].into(), ..Answer::default() });
    assert_eq!(outbox.push(&frame), Err(OutboxFull::Message));
    assert_eq!(outbox.bytes(), ANSWER_BYTES_MAX);
}
