//! Rows for tests.

use throng_store::{Row, Seq, UserId};
use throng_wire::v1;

use super::event;

/// A message row of one owner that committed everything before it.
pub(crate) fn row_of(seq: Seq) -> Row {
    let message = v1::Message {
        kind: "text".into(),
        content: Some(v1::Content::Text("hi".into())),
        reply_to: 0,
    };
    let mut client_msg_id = [0; 16];
    client_msg_id[8..].copy_from_slice(&seq.to_be_bytes());
    Row {
        seq,
        epoch: 1,
        acked: seq.saturating_sub(1),
        base: 1,
        n: seq.saturating_sub(1),
        created_at_ms: 1_000_000 + seq,
        sender: UserId([1; 16]),
        client_msg_id,
        digest: [0; 8],
        kind: 7,
        flags: 0,
        ref_seq: 0,
        body: event::body("alice", "phone", &client_msg_id, v1::What::Message(message)),
    }
}
