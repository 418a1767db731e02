//! Projections as writes whose timestamps are seqs.
//!
//! The engine keeps, of two writes to one cell, the one with the higher timestamp, and of two with
//! the same the larger value. With the seq that a write was caused by for timestamp, the outcome is
//! the same whatever the order and however often each comes, and nothing is read before it is
//! written. What only grows has itself for timestamp. The wall clock has no part in it.

use futures_util::{StreamExt, TryStreamExt, stream};

use super::client::Client;
use super::values::signed;
use crate::{ConvId, ConvRow, MemberRow, Projection, Role, StoreError, UserId, limits};

/// Applies projections, several at a time. Of those after one that fails, some may be written. The
/// rows of conversations are last: whoever reads one takes it that the rest is there.
pub(super) async fn project(
    client: &Client,
    projections: Vec<Projection>,
) -> Result<(), StoreError> {
    let is_conv = |projection: &Projection| matches!(projection, Projection::Conv(_));
    let (convs, others): (Vec<_>, Vec<_>) = projections.into_iter().partition(is_conv);
    for projections in [others, convs] {
        let writes = projections.into_iter().map(|projection| apply(client, projection));
        stream::iter(writes).buffer_unordered(limits::CALL_REQUESTS).try_collect::<()>().await?;
    }
    Ok(())
}

async fn apply(client: &Client, projection: Projection) -> Result<(), StoreError> {
    match projection {
        Projection::Conv(row) => put_conv(client, row).await,
        Projection::Member { conv, row, at } => put_member(client, conv, row, signed(at)).await,
        listed @ Projection::Listed { .. } => put_listed(client, listed).await,
        touch @ Projection::Touch { .. } => put_touch(client, touch).await,
        mark @ Projection::Mark { .. } => put_mark(client, mark).await,
    }
}

async fn put_conv(client: &Client, row: ConvRow) -> Result<(), StoreError> {
    let at = signed(row.applied_seq);
    let (n, members) = (signed(row.applied_n), i64::from(row.member_count));
    let (direct, history_all) = (row.direct, row.history_all);
    let values = (at, direct, &row.name, history_all, at, n, members, &row.conv.0[..]);
    client.write(&client.statements.put_conv, values).await
}

async fn put_member(
    client: &Client,
    conv: ConvId,
    row: MemberRow,
    at: i64,
) -> Result<(), StoreError> {
    let (joined, left) = (signed(row.joined_seq), signed(row.left_seq));
    let values = (at, &row.name, role(row.role), joined, left, &conv.0[..], &row.user.0[..]);
    client.write(&client.statements.put_member, values).await
}

/// As it is written down; the order is that of the roles.
fn role(role: Role) -> i16 {
    match role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    }
}

pub(super) fn read_role(number: i16) -> Result<Role, StoreError> {
    match number {
        0 => Ok(Role::Member),
        1 => Ok(Role::Admin),
        2 => Ok(Role::Owner),
        other => Err(StoreError::Corrupt(format!("role {other}"))),
    }
}

async fn put_listed(client: &Client, listed: Projection) -> Result<(), StoreError> {
    let Projection::Listed { user, conv, direct, peer, joined_seq, left_seq, big, at, .. } =
        &listed
    else {
        return Ok(());
    };
    let Projection::Listed { joined_n, created, .. } = listed else { return Ok(()) };
    let statements = &client.statements;
    let (user, conv) = (&user.0[..], &conv.0[..]);
    if joined_n > 0 {
        let joined_n = signed(joined_n);
        client.write(&statements.put_joined_n, (joined_n, joined_n, user, conv)).await?;
    }
    if created {
        client.write(&statements.put_created, (signed(*at), user, conv)).await?;
    }
    // Last: with it the conversation is in the list.
    let (joined, left) = (signed(*joined_seq), signed(*left_seq));
    let values = (signed(*at), *direct, peer, joined, left, *big, user, conv);
    client.write(&statements.put_listed, values).await
}

async fn put_touch(client: &Client, touch: Projection) -> Result<(), StoreError> {
    let Projection::Touch { users, conv, head_seq, head_n, head_at_ms } = touch else {
        return Ok(());
    };
    let (seq, n, at) = (signed(head_seq), signed(head_n), signed(head_at_ms));
    let put = |user: UserId| async move {
        let values = (seq, seq, n, at, &user.0[..], &conv.0[..]);
        client.write(&client.statements.put_touch, values).await
    };
    let writes = users.iter().map(|user| put(*user)).collect::<Vec<_>>();
    stream::iter(writes).buffer_unordered(limits::CALL_REQUESTS).try_collect().await
}

async fn put_mark(client: &Client, mark: Projection) -> Result<(), StoreError> {
    let Projection::Mark { user, conv, delivered_seq, read_seq, read_n } = mark else {
        return Ok(());
    };
    let (user, conv) = (&user.0[..], &conv.0[..]);
    if delivered_seq > 0 {
        let seq = signed(delivered_seq);
        client.write(&client.statements.put_delivered, (seq, seq, user, conv)).await?;
    }
    if read_seq > 0 {
        let (seq, n) = (signed(read_seq), signed(read_n));
        client.write(&client.statements.put_read, (seq, seq, n, user, conv)).await?;
    }
    Ok(())
}
