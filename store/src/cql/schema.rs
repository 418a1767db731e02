//! The tables as data: what a store should have, how it differs, and how it is brought up to date.
//!
//! Changes only add: a table or a column that is missing is created, nothing is ever dropped or
//! altered. So two versions of the routers work on one schema while one replaces the other, and a
//! change that was interrupted is made again. A column that is there with another type is for the
//! operator to decide on.
//!
//! Opening a store checks and changes nothing ([`check`]); [`apply`] is a command of its own.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write as _;

use scylla::client::session::Session;
use scylla::statement::unprepared::Statement;

use super::config::{Config, OpenError};
use super::session;
use crate::limits;

/// Version of [`TABLES`]: goes up with every change of them.
pub const VERSION: i64 = 1;

/// How many copies of everything the home data centre keeps, for a keyspace that [`apply`] is to
/// create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Home data centre.
    pub data_center: String,
    /// Replication factor: 3 to lose one node without notice, 1 on one node.
    pub copies: u32,
}

struct Table {
    name: &'static str,
    columns: &'static [Column],
    options: &'static str,
}

struct Column {
    name: &'static str,
    kind: Kind,
    cql: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Partition,
    Ascending,
    Descending,
    Regular,
}

impl Kind {
    /// As the columns of `system_schema.columns` say it: kind, order.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Partition => ("partition_key", "none"),
            Self::Ascending => ("clustering", "asc"),
            Self::Descending => ("clustering", "desc"),
            Self::Regular => ("regular", "none"),
        }
    }
}

const fn key(name: &'static str, cql: &'static str) -> Column {
    Column { name, kind: Kind::Partition, cql }
}

const fn ascending(name: &'static str, cql: &'static str) -> Column {
    Column { name, kind: Kind::Ascending, cql }
}

const fn descending(name: &'static str, cql: &'static str) -> Column {
    Column { name, kind: Kind::Descending, cql }
}

const fn cell(name: &'static str, cql: &'static str) -> Column {
    Column { name, kind: Kind::Regular, cql }
}

/// Ids are blobs, so that they are in the order of their bytes. Tables whose cells are written with
/// a seq for timestamp must never be deleted from with a moment for timestamp: that would hide what
/// is written later.
const TABLES: &[Table] = &[
    Table {
        name: "messages",
        columns: &[
            key("conv_id", "blob"),
            key("bucket", "int"),
            descending("seq", "bigint"),
            descending("epoch", "int"),
            cell("acked", "bigint"),
            cell("base", "bigint"),
            cell("n", "bigint"),
            cell("created_at_ms", "bigint"),
            cell("sender", "blob"),
            cell("client_msg_id", "blob"),
            cell("digest", "blob"),
            cell("kind", "smallint"),
            cell("flags", "bigint"),
            cell("ref_seq", "bigint"),
            cell("body", "blob"),
        ],
        options: "",
    },
    Table {
        name: "conv",
        columns: &[
            key("conv_id", "blob"),
            cell("direct", "boolean"),
            cell("name", "text"),
            cell("history_all", "boolean"),
            cell("applied_seq", "bigint"),
            cell("applied_n", "bigint"),
            cell("member_count", "bigint"),
            cell("head_bucket", "int"),
        ],
        options: "",
    },
    Table {
        name: "members",
        columns: &[
            key("conv_id", "blob"),
            ascending("user_id", "blob"),
            cell("name", "text"),
            cell("role", "smallint"),
            cell("joined_seq", "bigint"),
            cell("left_seq", "bigint"),
        ],
        options: "",
    },
    Table {
        name: "user_convs",
        columns: &[
            key("user_id", "blob"),
            ascending("conv_id", "blob"),
            cell("direct", "boolean"),
            cell("peer", "text"),
            cell("joined_seq", "bigint"),
            cell("left_seq", "bigint"),
            cell("joined_n", "bigint"),
            cell("big", "boolean"),
            cell("created", "boolean"),
            cell("head_seq", "bigint"),
            cell("head_n", "bigint"),
            cell("head_at_ms", "bigint"),
            cell("read_seq", "bigint"),
            cell("read_n", "bigint"),
            cell("delivered_seq", "bigint"),
        ],
        options: "",
    },
    Table {
        name: "routers",
        columns: &[
            key("id", "bigint"),
            cell("incarnation", "bigint"),
            cell("fenced", "bigint"),
            cell("fenced_by", "bigint"),
            cell("address", "text"),
            cell("renewal", "bigint"),
        ],
        options: "",
    },
    Table {
        name: "partitions",
        columns: &[
            key("slice", "int"),
            ascending("partition", "int"),
            cell("epoch", "int"),
            cell("router", "bigint"),
            cell("incarnation", "bigint"),
            cell("handed_over", "int"),
            cell("heir", "bigint"),
        ],
        options: "",
    },
    Table {
        name: "windows",
        columns: &[
            key("slice", "int"),
            ascending("partition", "int"),
            ascending("epoch", "int"),
            cell("open", "blob"),
        ],
        options: "",
    },
    // Rows go by their age and are never deleted. A day without any owner of a partition is what
    // their after-work may be late.
    Table {
        name: "dirty",
        columns: &[
            key("partition", "int"),
            key("epoch", "int"),
            key("time_window", "bigint"),
            ascending("conv_id", "blob"),
        ],
        options: "default_time_to_live = 86400 AND compaction = \
            {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'HOURS', \
            'compaction_window_size': '3'}",
    },
    Table {
        name: "meta",
        columns: &[key("name", "text"), cell("number", "bigint"), cell("bytes", "blob")],
        options: "",
    },
];

/// Columns of a keyspace: (table, column) → what it is.
type Found = HashMap<(String, String), String>;

/// How a store differs from what this version uses, and what to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differences {
    keyspace: String,
    lines: Vec<String>,
    by_hand: bool,
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = if self.by_hand {
            "This cannot be mended without knowing why; no data was touched"
        } else {
            "Run: throng-router schema --apply"
        };
        let (keyspace, lines) = (&self.keyspace, self.lines.join("; "));
        write!(f, "the schema of keyspace {keyspace} is not what is used here: {lines}. {advice}")
    }
}

/// What [`apply`] has to do, or cannot.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    statements: Vec<String>,
    lines: Vec<String>,
    refused: Vec<String>,
}

impl Table {
    fn create(&self, keyspace: &str) -> String {
        let mut text = format!("CREATE TABLE IF NOT EXISTS {keyspace}.{} (", self.name);
        for column in self.columns {
            // A String takes whatever is written to it.
            let _ = write!(text, "{} {}, ", column.name, column.cql);
        }
        let names = |wanted: &[Kind]| {
            let of_kind = self.columns.iter().filter(|column| wanted.contains(&column.kind));
            of_kind.map(|column| column.name).collect::<Vec<_>>()
        };
        let _ = write!(text, "PRIMARY KEY (({})", names(&[Kind::Partition]).join(", "));
        for name in names(&[Kind::Ascending, Kind::Descending]) {
            let _ = write!(text, ", {name}");
        }
        text += "))";
        let mut options: Vec<String> = Vec::new();
        let descending = names(&[Kind::Descending]);
        if !descending.is_empty() {
            let order = descending.iter().map(|name| format!("{name} DESC")).collect::<Vec<_>>();
            options.push(format!("CLUSTERING ORDER BY ({})", order.join(", ")));
        }
        if !self.options.is_empty() {
            options.push(self.options.into());
        }
        if !options.is_empty() {
            let _ = write!(text, " WITH {}", options.join(" AND "));
        }
        text
    }
}

impl Column {
    fn describe(&self) -> String {
        let (kind, order) = self.kind.words();
        describe(self.cql, kind, order)
    }
}

fn describe(cql: &str, kind: &str, order: &str) -> String {
    format!("{cql} {kind} {order}")
}

fn plan(keyspace: &str, found: &Found) -> Plan {
    let mut plan = Plan::default();
    for table in TABLES {
        let name = table.name;
        if !found.keys().any(|(of, _)| of == name) {
            plan.statements.push(table.create(keyspace));
            plan.lines.push(format!("there is no table {name}"));
            continue;
        }
        for column in table.columns {
            let found = found.get(&(name.to_owned(), column.name.to_owned()));
            let wanted = column.describe();
            match found {
                Some(found) if *found == wanted => {}
                Some(found) => plan.refused.push(format!(
                    "column {name}.{} is {found} and should be {wanted}",
                    column.name
                )),
                None if column.kind == Kind::Regular => {
                    let (column, cql) = (column.name, column.cql);
                    plan.statements
                        .push(format!("ALTER TABLE {keyspace}.{name} ADD {column} {cql}"));
                    plan.lines.push(format!("table {name} has no column {column}"));
                }
                None => plan.refused.push(format!("table {name} has no key {}", column.name)),
            }
        }
    }
    plan
}

async fn columns(session: &Session, keyspace: &str) -> Result<Found, OpenError> {
    let text = "SELECT table_name, column_name, type, kind, clustering_order \
        FROM system_schema.columns WHERE keyspace_name = ?";
    let result = session.query_unpaged(text, (keyspace,)).await.map_err(session::refused)?;
    let rows = result.into_rows_result().map_err(session::refused)?;
    let rows = rows.rows::<(String, String, String, String, String)>().map_err(session::refused)?;
    let mut found = Found::new();
    for row in rows {
        let (table, column, cql, kind, order) = row.map_err(session::refused)?;
        found.insert((table, column), describe(&cql, &kind, &order.to_ascii_lowercase()));
    }
    Ok(found)
}

async fn keyspace_exists(session: &Session, keyspace: &str) -> Result<bool, OpenError> {
    let text = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let result = session.query_unpaged(text, (keyspace,)).await.map_err(session::refused)?;
    Ok(result.into_rows_result().map_err(session::refused)?.rows_num() > 0)
}

/// Compares the store with what this version uses. Gives the identity of the log.
pub(super) async fn check(session: &Session, keyspace: &str) -> Result<[u8; 16], OpenError> {
    let differ = |lines: Vec<String>, by_hand| {
        OpenError::Schema(Differences { keyspace: keyspace.to_owned(), lines, by_hand })
    };
    if !keyspace_exists(session, keyspace).await? {
        return Err(differ(vec!["there is no such keyspace".into()], false));
    }
    let plan = plan(keyspace, &columns(session, keyspace).await?);
    if !plan.refused.is_empty() {
        return Err(differ(plan.refused, true));
    }
    if !plan.lines.is_empty() {
        return Err(differ(plan.lines, false));
    }
    let unfinished = || differ(vec!["the last change of it was not finished".into()], false);
    if meta::<i64>(session, keyspace, "number", "schema").await?.is_none_or(|it| it < VERSION) {
        return Err(unfinished());
    }
    let log_id = meta::<Vec<u8>>(session, keyspace, "bytes", "log_id").await?;
    log_id.and_then(|id| id.try_into().ok()).ok_or_else(unfinished)
}

async fn meta<T>(
    session: &Session,
    keyspace: &str,
    column: &str,
    name: &str,
) -> Result<Option<T>, OpenError>
where
    T: for<'a> scylla::deserialize::value::DeserializeValue<'a, 'a>,
{
    let text = format!("SELECT {column} FROM {keyspace}.meta WHERE name = ?");
    let result = session.query_unpaged(text, (name,)).await.map_err(session::refused)?;
    let rows = result.into_rows_result().map_err(session::refused)?;
    let row = rows.maybe_first_row::<(Option<T>,)>().map_err(session::refused)?;
    Ok(row.and_then(|(value,)| value))
}

/// Brings a store's schema up to date, and gives the statements that this took: none if there was
/// nothing to do. May be repeated, also after it was interrupted. Not by two at the same time: the
/// engines do not agree well on tables that two create at once.
///
/// A keyspace that is missing is created with `replication`; one that is there is left as it is.
///
/// # Errors
/// [`OpenError::Schema`] if something is there with another type: nothing was changed then.
pub async fn apply(config: &Config, replication: &Replication) -> Result<Vec<String>, OpenError> {
    let session = session::connect(config).await?;
    let keyspace = config.keyspace.as_str();
    let mut done = Vec::new();
    if !keyspace_exists(&session, keyspace).await? {
        let data_center = replication.data_center.replace('\'', "''");
        let copies = replication.copies;
        let text = format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{data_center}': {copies}}}"
        );
        change(&session, text, &mut done).await?;
    }
    let plan = plan(keyspace, &columns(&session, keyspace).await?);
    if !plan.refused.is_empty() {
        let (keyspace, lines) = (keyspace.to_owned(), plan.refused);
        return Err(OpenError::Schema(Differences { keyspace, lines, by_hand: true }));
    }
    for text in plan.statements {
        change(&session, text, &mut done).await?;
    }
    let log_id = session::random_id().map_err(session::refused)?;
    let text = format!("INSERT INTO {keyspace}.meta (name, bytes) VALUES (?, ?) IF NOT EXISTS");
    let values = ("log_id", &log_id[..]);
    session.query_unpaged(text, values).await.map_err(session::refused)?;
    // The last step: whoever finds it finds all the others. An older version never lowers it.
    let text =
        format!("UPDATE {keyspace}.meta USING TIMESTAMP {VERSION} SET number = ? WHERE name = ?");
    session.query_unpaged(text, (VERSION, "schema")).await.map_err(session::refused)?;
    Ok(done)
}

async fn change(session: &Session, text: String, done: &mut Vec<String>) -> Result<(), OpenError> {
    let mut statement = Statement::new(text.as_str());
    statement.set_request_timeout(Some(limits::SCHEMA_TIMEOUT));
    session.query_unpaged(statement, &[]).await.map_err(session::refused)?;
    session.await_schema_agreement().await.map_err(session::refused)?;
    done.push(text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Found {
        let columns = |table: &'static Table| {
            let entry = |column: &Column| {
                ((table.name.to_owned(), column.name.to_owned()), column.describe())
            };
            table.columns.iter().map(entry).collect::<Vec<_>>()
        };
        TABLES.iter().flat_map(columns).collect()
    }

    #[test]
    fn a_complete_schema_needs_nothing_also_with_what_a_later_version_adds() {
        let mut found = all();
        assert_eq!(plan("k", &found), Plan::default());
        found.insert(("conv".into(), "later".into()), "text regular none".into());
        assert_eq!(plan("k", &found), Plan::default());
    }

    #[test]
    fn a_missing_column_is_added_and_a_missing_table_created() {
        let mut found = all();
        found.remove(&("conv".into(), "head_bucket".into()));
        found.retain(|(table, _), _| table != "dirty");
        let plan = plan("k", &found);
        assert_eq!(plan.statements[0], "ALTER TABLE k.conv ADD head_bucket int");
        let create = "CREATE TABLE IF NOT EXISTS k.dirty (partition int, epoch int, time_window \
            bigint, conv_id blob, PRIMARY KEY ((partition, epoch, time_window), conv_id)) WITH ";
        assert!(plan.statements[1].starts_with(create), "{}", plan.statements[1]);
        assert_eq!(plan.lines, ["table conv has no column head_bucket", "there is no table dirty"]);
    }

    #[test]
    fn a_column_of_another_type_is_refused_and_so_is_a_missing_key() {
        let mut found = all();
        found.insert(("messages".into(), "seq".into()), "int clustering desc".into());
        found.remove(&("members".into(), "user_id".into()));
        let plan = plan("k", &found);
        assert!(plan.statements.is_empty());
        let wanted = "column messages.seq is int clustering desc and should be bigint clustering \
            desc";
        assert_eq!(plan.refused, [wanted, "table members has no key user_id"]);
    }
}
