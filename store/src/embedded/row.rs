//! Value of a log row. The first byte is the version of the encoding; seqs and ordinals are kept
//! as differences from the row's seq, which the key has: 52 to 60 bytes beside the body.

use bytes::Bytes;

use super::codec::{Malformed, Reader, put_near, put_uint};
use crate::{Epoch, Row, Seq, UserId};

const VERSION: u8 = 1;

/// Appends the value of a row.
pub(super) fn encode(row: &Row, out: &mut Vec<u8>) {
    out.push(VERSION);
    put_near(out, row.acked, row.seq);
    put_near(out, row.base, row.seq);
    put_near(out, row.n, row.seq);
    put_uint(out, row.created_at_ms);
    out.extend_from_slice(&row.sender.0);
    out.extend_from_slice(&row.client_msg_id);
    out.extend_from_slice(&row.digest);
    out.push(row.kind);
    put_uint(out, u64::from(row.flags));
    put_uint(out, row.ref_seq);
    out.extend_from_slice(&row.body);
}

/// Reads the value of the row (seq, epoch).
pub(super) fn decode(seq: Seq, epoch: Epoch, value: &[u8]) -> Result<Row, Malformed> {
    let mut reader = Reader::new(value, "log row");
    if reader.byte()? != VERSION {
        return Err(Malformed("version of a log row"));
    }
    Ok(Row {
        seq,
        epoch,
        acked: reader.near(seq)?,
        base: reader.near(seq)?,
        n: reader.near(seq)?,
        created_at_ms: reader.uint()?,
        sender: UserId(reader.array()?),
        client_msg_id: reader.array()?,
        digest: reader.array()?,
        kind: reader.byte()?,
        flags: reader.uint32()?,
        ref_seq: reader.uint()?,
        body: Bytes::copy_from_slice(reader.remainder()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn any_row()(
            numbers: [u64; 7],
            epoch: u32,
            flags: u32,
            ids: ([u8; 16], [u8; 16], [u8; 8]),
            kind: u8,
            body: Vec<u8>,
        ) -> Row {
            let [seq, acked, base, n, created_at_ms, ref_seq, _] = numbers;
            Row {
                seq, epoch, acked, base, n, created_at_ms, ref_seq, flags, kind,
                sender: UserId(ids.0),
                client_msg_id: ids.1,
                digest: ids.2,
                body: body.into(),
            }
        }
    }

    proptest! {
        #[test]
        fn rows_come_back(row in any_row()) {
            let mut value = Vec::new();
            encode(&row, &mut value);
            prop_assert_eq!(decode(row.seq, row.epoch, &value), Ok(row));
        }

        #[test]
        fn garbage_is_an_error_or_a_row(seq: u64, epoch: u32, value: Vec<u8>) {
            let _ = decode(seq, epoch, &value);
        }

        #[test]
        fn a_row_that_is_cut_in_its_fields_is_refused(row in any_row(), cut in 0..50_usize) {
            let mut value = Vec::new();
            encode(&row, &mut value);
            prop_assert!(decode(row.seq, row.epoch, &value[..cut]).is_err());
        }
    }
}
