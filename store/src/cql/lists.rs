//! Reads of projections: a conversation, its members, the conversations of a user.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::client::Client;
use super::projections::read_role;
use super::values::{bytes, or_zero, small, unsigned};
use crate::{ConvId, ConvRow, MemberRow, StoreError, UserConvRow, UserId, Watermarks, limits};

type FoundConv =
    (Option<bool>, Option<String>, Option<bool>, Option<i64>, Option<i64>, Option<i64>);

type FoundMember = (Vec<u8>, String, i16, i64, i64);

type FoundUserConv = (
    Vec<u8>,
    Option<bool>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<bool>,
    Option<bool>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

fn page(limit: usize) -> i32 {
    limit.min(limits::PAGE_ROWS_MAX) as i32
}

pub(super) async fn conv(client: &Client, conv: ConvId) -> Result<Option<ConvRow>, StoreError> {
    let found = client.read_one::<FoundConv>(&client.statements.conv, (&conv.0[..],)).await?;
    // A row with nothing but the newest bucket is there before the conversation is.
    let Some((direct, name, history_all, Some(applied_seq), n, members)) = found else {
        return Ok(None);
    };
    Ok(Some(ConvRow {
        conv,
        direct: direct.unwrap_or_default(),
        name: name.unwrap_or_default(),
        history_all: history_all.unwrap_or_default(),
        applied_seq: unsigned(applied_seq)?,
        applied_n: or_zero(n)?,
        member_count: small(members.unwrap_or(0))?,
    }))
}

fn read_member(found: FoundMember) -> Result<MemberRow, StoreError> {
    let (user, name, role, joined_seq, left_seq) = found;
    Ok(MemberRow {
        user: UserId(bytes(&user)?),
        name,
        role: read_role(role)?,
        joined_seq: unsigned(joined_seq)?,
        left_seq: unsigned(left_seq)?,
    })
}

pub(super) async fn members(
    client: &Client,
    conv: ConvId,
    after: Option<UserId>,
    limit: usize,
) -> Result<Vec<MemberRow>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    // No id is as short as nothing: all are behind it.
    let after = after.as_ref().map_or(&[][..], |user| &user.0[..]);
    let values = (&conv.0[..], after, page(limit));
    let found = client.read::<FoundMember>(&client.statements.members, values).await?;
    found.into_iter().map(read_member).collect()
}

pub(super) async fn member(
    client: &Client,
    conv: ConvId,
    user: UserId,
) -> Result<Option<MemberRow>, StoreError> {
    let values = (&conv.0[..], &user.0[..]);
    let found = client.read_one::<FoundMember>(&client.statements.member, values).await?;
    found.map(read_member).transpose()
}

/// A row, if the user was ever a member: marks and touches may be there first.
fn read_user_conv(found: FoundUserConv) -> Result<Option<UserConvRow>, StoreError> {
    let (conv, direct, peer, joined_seq, left_seq, joined_n, big, created, ..) = found;
    let (.., head_seq, head_n, head_at_ms, read_seq, read_n, delivered_seq) = found;
    let Some(joined_seq) = joined_seq else { return Ok(None) };
    Ok(Some(UserConvRow {
        conv: ConvId(bytes(&conv)?),
        direct: direct.unwrap_or_default(),
        peer: peer.unwrap_or_default(),
        joined_seq: unsigned(joined_seq)?,
        left_seq: or_zero(left_seq)?,
        head_seq: or_zero(head_seq)?,
        head_n: or_zero(head_n)?,
        head_at_ms: or_zero(head_at_ms)?,
        read_seq: or_zero(read_seq)?,
        read_n: or_zero(read_n)?.max(or_zero(joined_n)?),
        delivered_seq: or_zero(delivered_seq)?,
        big: big.unwrap_or_default(),
        created: created.unwrap_or_default(),
    }))
}

/// In several queries if rows in the table are no rows of the list.
pub(super) async fn user_convs(
    client: &Client,
    user: UserId,
    after: Option<ConvId>,
    limit: usize,
) -> Result<Vec<UserConvRow>, StoreError> {
    let limit = limit.min(limits::PAGE_ROWS_MAX);
    let mut rows = Vec::new();
    let mut last = after.map_or_else(Vec::new, |conv| conv.0.to_vec());
    while rows.len() < limit {
        let ask = limit - rows.len();
        let values = (&user.0[..], &last, ask as i32);
        let found = client.read::<FoundUserConv>(&client.statements.user_convs, values).await?;
        let short = found.len() < ask;
        if let Some((conv, ..)) = found.last() {
            last.clone_from(conv);
        }
        for found in found {
            rows.extend(read_user_conv(found)?);
        }
        if short {
            break;
        }
    }
    Ok(rows)
}

pub(super) async fn user_conv(
    client: &Client,
    user: UserId,
    conv: ConvId,
) -> Result<Option<UserConvRow>, StoreError> {
    Ok(cells(client, user, conv).await?.map(read_user_conv).transpose()?.flatten())
}

async fn cells(
    client: &Client,
    user: UserId,
    conv: ConvId,
) -> Result<Option<FoundUserConv>, StoreError> {
    let values = (&user.0[..], &conv.0[..]);
    client.read_one::<FoundUserConv>(&client.statements.user_conv, values).await
}

pub(super) async fn watermarks(
    client: &Client,
    conv: ConvId,
    users: Vec<UserId>,
) -> Result<Vec<Watermarks>, StoreError> {
    let of_user = |user| async move {
        let Some((.., read_seq, _, delivered_seq)) = cells(client, user, conv).await? else {
            return Ok(Watermarks::default());
        };
        let (delivered_seq, read_seq) = (or_zero(delivered_seq)?, or_zero(read_seq)?);
        Ok(Watermarks { delivered_seq, read_seq })
    };
    let reads = users.into_iter().map(of_user);
    stream::iter(reads).buffered(limits::CALL_REQUESTS).try_collect().await
}
