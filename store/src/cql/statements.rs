//! Every statement on the data path, prepared once. All bind their whole partition key, so that
//! they go to a replica at once.

use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::config::OpenError;
use super::session::{Profiles, refused};

/// Columns of a row of the log, in the order in which `rows` binds and reads them.
const ROW: &str = "seq, epoch, acked, base, n, created_at_ms, sender, client_msg_id, digest, kind, \
    flags, ref_seq, body";

const USER_CONV: &str = "conv_id, direct, peer, joined_seq, left_seq, joined_n, big, created, \
    head_seq, head_n, head_at_ms, read_seq, read_n, delivered_seq";

pub(super) struct Statements {
    pub(super) put_row: PreparedStatement,
    pub(super) rows_down: PreparedStatement,
    pub(super) rows_up: PreparedStatement,
    pub(super) put_head_bucket: PreparedStatement,
    pub(super) head_bucket: PreparedStatement,
    pub(super) put_conv: PreparedStatement,
    pub(super) conv: PreparedStatement,
    pub(super) put_member: PreparedStatement,
    pub(super) members: PreparedStatement,
    pub(super) member: PreparedStatement,
    pub(super) put_listed: PreparedStatement,
    pub(super) put_joined_n: PreparedStatement,
    pub(super) put_created: PreparedStatement,
    pub(super) put_touch: PreparedStatement,
    pub(super) put_delivered: PreparedStatement,
    pub(super) put_read: PreparedStatement,
    pub(super) user_convs: PreparedStatement,
    pub(super) user_conv: PreparedStatement,
    pub(super) put_dirty: PreparedStatement,
    pub(super) dirty: PreparedStatement,
    pub(super) put_windows: PreparedStatement,
    pub(super) drop_windows: PreparedStatement,
    pub(super) windows: PreparedStatement,
    pub(super) windows_of_slice: PreparedStatement,
    pub(super) put_moment: PreparedStatement,
    pub(super) moment: PreparedStatement,
    pub(super) fence: PreparedStatement,
    pub(super) routers: PreparedStatement,
    pub(super) router: PreparedStatement,
    pub(super) register: PreparedStatement,
    pub(super) fence_off: PreparedStatement,
    pub(super) renew: PreparedStatement,
    pub(super) slice: PreparedStatement,
    pub(super) slice_settled: PreparedStatement,
    pub(super) take: PreparedStatement,
    pub(super) hand_over: PreparedStatement,
}

struct Preparer<'a> {
    session: &'a Session,
    keyspace: &'a str,
}

impl Preparer<'_> {
    /// A statement that may be repeated.
    async fn prepare(
        &self,
        profile: &ExecutionProfileHandle,
        text: &str,
    ) -> Result<PreparedStatement, OpenError> {
        let text = text.replace("KS.", &format!("{}.", self.keyspace));
        let mut statement = self.session.prepare(text).await.map_err(refused)?;
        statement.set_execution_profile_handle(Some(profile.clone()));
        statement.set_is_idempotent(true);
        statement.set_use_cached_result_metadata(true);
        Ok(statement)
    }

    /// A conditional write: what its answer looks like differs from engine to engine, and the
    /// second of two may be refused because of the first.
    async fn conditional(
        &self,
        profile: &ExecutionProfileHandle,
        text: &str,
    ) -> Result<PreparedStatement, OpenError> {
        let mut statement = self.prepare(profile, text).await?;
        statement.set_is_idempotent(false);
        statement.set_use_cached_result_metadata(false);
        Ok(statement)
    }

    /// A read that settles every conditional write that was begun before it.
    async fn settled(
        &self,
        profile: &ExecutionProfileHandle,
        text: &str,
    ) -> Result<PreparedStatement, OpenError> {
        let mut statement = self.prepare(profile, text).await?;
        statement.set_consistency(Consistency::LocalSerial);
        Ok(statement)
    }
}

impl Statements {
    #[rustfmt::skip] // one statement, one paragraph
    pub(super) async fn prepare(
        session: &Session,
        keyspace: &str,
        profiles: &Profiles,
    ) -> Result<Self, OpenError> {
        let it = Preparer { session, keyspace };
        let Profiles { append, history, background, takeover } = profiles;
        Ok(Self {
            put_row: it.prepare(append, &format!(
                "INSERT INTO KS.messages (conv_id, bucket, {ROW}) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")).await?,
            rows_down: it.prepare(history, &format!(
                "SELECT {ROW} FROM KS.messages WHERE conv_id = ? AND bucket = ? \
                 AND (seq, epoch) < (?, ?) LIMIT ?")).await?,
            rows_up: it.prepare(history, &format!(
                "SELECT {ROW} FROM KS.messages WHERE conv_id = ? AND bucket = ? \
                 AND (seq, epoch) > (?, ?) ORDER BY seq ASC, epoch ASC LIMIT ?")).await?,
            put_head_bucket: it.prepare(append,
                "UPDATE KS.conv USING TIMESTAMP ? SET head_bucket = ? WHERE conv_id = ?").await?,
            head_bucket: it.prepare(history,
                "SELECT head_bucket FROM KS.conv WHERE conv_id = ?").await?,
            put_conv: it.prepare(background,
                "UPDATE KS.conv USING TIMESTAMP ? SET direct = ?, name = ?, history_all = ?, \
                 applied_seq = ?, applied_n = ?, member_count = ? WHERE conv_id = ?").await?,
            conv: it.prepare(history,
                "SELECT direct, name, history_all, applied_seq, applied_n, member_count \
                 FROM KS.conv WHERE conv_id = ?").await?,
            put_member: it.prepare(background,
                "UPDATE KS.members USING TIMESTAMP ? SET name = ?, role = ?, joined_seq = ?, \
                 left_seq = ? WHERE conv_id = ? AND user_id = ?").await?,
            members: it.prepare(history,
                "SELECT user_id, name, role, joined_seq, left_seq FROM KS.members \
                 WHERE conv_id = ? AND user_id > ? LIMIT ?").await?,
            member: it.prepare(history,
                "SELECT user_id, name, role, joined_seq, left_seq FROM KS.members \
                 WHERE conv_id = ? AND user_id = ?").await?,
            put_listed: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET direct = ?, peer = ?, \
                 joined_seq = ?, left_seq = ?, big = ? WHERE user_id = ? AND conv_id = ?").await?,
            put_joined_n: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET joined_n = ? \
                 WHERE user_id = ? AND conv_id = ?").await?,
            put_created: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET created = true \
                 WHERE user_id = ? AND conv_id = ?").await?,
            put_touch: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET head_seq = ?, head_n = ?, \
                 head_at_ms = ? WHERE user_id = ? AND conv_id = ?").await?,
            put_delivered: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET delivered_seq = ? \
                 WHERE user_id = ? AND conv_id = ?").await?,
            put_read: it.prepare(background,
                "UPDATE KS.user_convs USING TIMESTAMP ? SET read_seq = ?, read_n = ? \
                 WHERE user_id = ? AND conv_id = ?").await?,
            user_convs: it.prepare(history, &format!(
                "SELECT {USER_CONV} FROM KS.user_convs WHERE user_id = ? AND conv_id > ? \
                 LIMIT ?")).await?,
            user_conv: it.prepare(history, &format!(
                "SELECT {USER_CONV} FROM KS.user_convs WHERE user_id = ? AND conv_id = ?")).await?,
            put_dirty: it.prepare(append,
                "INSERT INTO KS.dirty (partition, epoch, time_window, conv_id) \
                 VALUES (?, ?, ?, ?)").await?,
            dirty: it.prepare(takeover,
                "SELECT conv_id FROM KS.dirty WHERE partition = ? AND epoch = ? \
                 AND time_window = ? AND conv_id > ? LIMIT ?").await?,
            put_windows: it.prepare(append,
                "UPDATE KS.windows USING TIMESTAMP ? SET open = ? \
                 WHERE slice = ? AND partition = ? AND epoch = ?").await?,
            drop_windows: it.prepare(background,
                "DELETE FROM KS.windows USING TIMESTAMP ? \
                 WHERE slice = ? AND partition = ? AND epoch = ?").await?,
            windows: it.prepare(takeover,
                "SELECT partition, epoch, open FROM KS.windows \
                 WHERE slice = ? AND partition = ?").await?,
            windows_of_slice: it.prepare(takeover,
                "SELECT partition, epoch, open FROM KS.windows WHERE slice = ?").await?,
            put_moment: it.prepare(background,
                "UPDATE KS.meta USING TIMESTAMP ? SET number = ? WHERE name = 'moment'").await?,
            moment: it.prepare(takeover,
                "SELECT number FROM KS.meta WHERE name = 'moment'").await?,
            fence: it.prepare(append,
                "SELECT incarnation, fenced FROM KS.routers WHERE id = ?").await?,
            routers: it.prepare(takeover, &format!("{ROUTERS} LIMIT ?")).await?,
            router: it.settled(takeover, &format!("{ROUTERS} WHERE id = ?")).await?,
            register: it.conditional(takeover,
                "UPDATE KS.routers SET incarnation = ?, address = ? WHERE id = ? \
                 IF incarnation = ?").await?,
            fence_off: it.conditional(takeover,
                "UPDATE KS.routers SET fenced = ?, fenced_by = ? WHERE id = ? \
                 IF incarnation = ?").await?,
            renew: it.prepare(append,
                "UPDATE KS.routers USING TIMESTAMP ? SET renewal = ? WHERE id = ?").await?,
            slice: it.prepare(takeover, SLICE).await?,
            slice_settled: it.settled(takeover, SLICE).await?,
            take: it.conditional(takeover,
                "UPDATE KS.partitions SET epoch = ?, router = ?, incarnation = ? \
                 WHERE slice = ? AND partition = ? IF epoch = ?").await?,
            hand_over: it.conditional(takeover,
                "UPDATE KS.partitions SET handed_over = ?, heir = ? \
                 WHERE slice = ? AND partition = ? \
                 IF epoch = ? AND router = ? AND incarnation = ?").await?,
        })
    }
}

const ROUTERS: &str = "SELECT id, incarnation, fenced, fenced_by, address, renewal FROM KS.routers";

const SLICE: &str = "SELECT partition, epoch, router, incarnation, handed_over, heir \
    FROM KS.partitions WHERE slice = ?";
