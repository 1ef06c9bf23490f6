//! The schema of the store, and its creation.

use std::sync::Arc;

use super::address::Address;
use super::connection::{Connection, Network};
use super::failure::Failure;
use super::statement::Statement;
use crate::error::{Code, Error, Result};
use crate::store::rows::StoredRow as _;

/// The migrations in order. Each but the first ends by setting the number in `schema_version`.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/postgres/V1__schema.sql"),
    include_str!("../../../migrations/postgres/V2__vacuum_settings.sql"),
    include_str!("../../../migrations/postgres/V3__leases_by_host.sql"),
];

/// The newest schema that this program knows.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The SQL that creates the store, in one transaction.
pub fn schema_sql() -> String {
    format!("BEGIN;\n\n{}\nCOMMIT;\n", MIGRATIONS.join("\n"))
}

/// The oldest PostgreSQL that has what the statements use.
const OLDEST_SERVER: i64 = 140_000;

/// The lock of processes that create or migrate the store.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('tasktally schema.' || current_schema(), 0))";
/// The version of the store's schema: NULL without a store.
const FIND_STORE: &str = "SELECT to_regclass('schema_version') IS NOT NULL, to_regclass('task') IS NOT NULL, \
     current_setting('server_version_num')::bigint, current_schema()";

/// Creates the store if the database has none, and migrates an older one.
///
/// # Errors
/// `store_newer`, `read_only` if the role may not create tables, or the reason why the database cannot be used.
pub(super) fn prepare(network: &Arc<Network>, address: &Address) -> Result<()> {
    let connection = network.connect_patiently(address).map_err(Failure::into_error)?;
    if find_version(&connection, address)? == Some(SCHEMA_VERSION) {
        return Ok(());
    }
    migrate(&connection, address).map_err(|error| match error.code {
        Code::ReadOnly => Error::new(
            Code::ReadOnly,
            format!(
                "{address}: the store's tables cannot be created: {error}. `tasktally db schema` prints the SQL that an administrator runs, and the rights that this role needs"
            ),
        ),
        _ => error,
    })
}

/// The version of the store's schema, if the database has a store.
pub(super) fn find_version(connection: &Connection, address: &Address) -> Result<Option<i64>> {
    let found = one_row(connection, FIND_STORE)?;
    let (has_version, has_task): (bool, bool) = (found.get(0)?, found.get(1)?);
    let server: i64 = found.get(2)?;
    if server < OLDEST_SERVER {
        return Err(Error::new(
            Code::Internal,
            format!("{address}: PostgreSQL {} is too old: Tasktally needs 14 or newer", server / 10_000),
        ));
    }
    if found.get::<Option<String>>(3)?.is_none() {
        return Err(Error::invalid(format!(
            "{address}: the search_path names no schema that exists; create one, or name another with options=-csearch_path%3DNAME in the address"
        )));
    }
    match (has_version, has_task) {
        (true, _) => {
            let version = one_row(connection, "SELECT version FROM schema_version")?.get(0)?;
            if version > SCHEMA_VERSION { Err(refuse_other_schema(Some(version))) } else { Ok(Some(version)) }
        }
        (false, true) => Err(Error::invalid(format!(
            "{address}: the database has a table 'task' of another program; name an empty database"
        ))),
        (false, false) => Ok(None),
    }
}

fn one_row(connection: &Connection, sql: &'static str) -> Result<super::statement::Row> {
    let mut results = connection.exchange(vec![Statement::plain(sql)]).map_err(Failure::into_error)?;
    let row = results.pop().and_then(|mut rows| rows.pop());
    row.ok_or_else(|| Error::new(Code::Internal, "the database answered without a row"))
}

/// Runs the migrations that the store lacks, in one transaction. Another process waits, and then finds them done.
fn migrate(connection: &Connection, address: &Address) -> Result<()> {
    let begin = vec![Statement::plain("BEGIN"), Statement::plain(LOCK)];
    connection.exchange(begin).map_err(Failure::into_error)?;
    let version = find_version(connection, address)?.unwrap_or(0);
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > version {
            connection.execute_script(migration).map_err(Failure::into_error)?;
        }
    }
    connection.exchange(vec![Statement::plain("COMMIT")]).map_err(Failure::into_error)?;
    Ok(())
}

/// The refusal of a store whose schema is not the one of this program.
pub(super) fn refuse_other_schema(version: Option<i64>) -> Error {
    match version {
        Some(version) if version > SCHEMA_VERSION => Error::new(
            Code::StoreNewer,
            format!(
                "the store in the database has schema {version}, and this tasktally knows up to {SCHEMA_VERSION}; nothing was done. Update tasktally and restart it"
            ),
        ),
        _ => Error::new(
            Code::Internal,
            "the database no longer has this store; another program changed its tables. Restart tasktally to create them, or restore a backup",
        ),
    }
}
