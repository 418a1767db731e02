//! Property: chunked answers come together again, in bounded memory.

use std::borrow::Cow;

use throng_wire::limits::{ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX};
use throng_wire::link::{Answer, AnswerError, Answers};

fn chunk(request: u64, body: &[u8], last: bool) -> Answer<'_> {
    Answer { request, body: body.into(), last, failed: false }
}

#[test]
fn an_answer_in_one_piece_is_borrowed() {
    let mut answers = Answers::new();
    let whole = answers.push(chunk(1, b"body", true)).unwrap().expect("a whole answer");
    assert!(matches!(whole.body, Cow::Borrowed(b"body")));
    assert_eq!(answers.bytes(), 0);
}

#[test]
fn interleaved_chunks_come_together() {
    let mut answers = Answers::new();
    assert_eq!(answers.push(chunk(1, b"a", false)), Ok(None));
    assert_eq!(answers.push(chunk(2, b"x", false)), Ok(None));
    assert_eq!(answers.push(chunk(1, b"b", false)), Ok(None));
    assert_eq!(answers.bytes(), 3);
    let failed = Answer { failed: true, ..chunk(2, b"y", true) };
    let second = answers.push(failed).unwrap().expect("a whole answer");
    assert_eq!((second.request, &*second.body, second.failed), (2, &b"xy"[..], true));
    let first = answers.push(chunk(1, b"", true)).unwrap().expect("a whole answer");
    assert_eq!((first.request, &*first.body, first.failed), (1, &b"ab"[..], false));
    assert_eq!(answers.bytes(), 0);
}

#[test]
fn a_forgotten_answer_holds_nothing() {
    let mut answers = Answers::new();
    answers.push(chunk(1, b"abc", false)).unwrap();
    assert_eq!(answers.forget(1), b"abc");
    assert_eq!(answers.bytes(), 0);
    assert_eq!(answers.forget(1), b"");
}

#[test]
fn the_largest_answer_passes_and_one_byte_more_does_not() {
    let body = vec![0; ANSWER_BYTES_MAX];
    let mut answers = Answers::new();
    assert!(answers.push(chunk(1, &body, true)).unwrap().is_some());
    assert_eq!(answers.push(chunk(1, &body, false)), Ok(None));
    assert_eq!(answers.push(chunk(1, b"x", true)), Err(AnswerError::TooLarge));
}

#[test]
fn unfinished_answers_fill_their_limit_and_not_one_byte_more() {
    let body = vec![0; ANSWER_BYTES_MAX];
    let mut answers = Answers::new();
    let most = (ANSWERS_BYTES_MAX / ANSWER_BYTES_MAX) as u64;
    for request in 0..most {
        assert_eq!(answers.push(chunk(request, &body, false)), Ok(None));
    }
    assert_eq!(answers.bytes(), ANSWERS_BYTES_MAX);
    assert_eq!(answers.push(chunk(most, b"x", false)), Err(AnswerError::TooMany));
    answers.forget(0);
    assert_eq!(answers.push(chunk(most, b"x", false)), Ok(None));
}

#[test]
fn empty_chunks_that_end_nothing_leave_no_trace() {
    let mut answers = Answers::new();
    for request in 0..1000 {
        assert_eq!(answers.push(chunk(request, b"", false)), Ok(None));
    }
    let whole = answers.push(chunk(5, b"body", true)).unwrap().expect("a whole answer");
    assert!(matches!(whole.body, Cow::Borrowed(b"body")));
}
