//! Inspection of a database and its server. It creates and changes nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::address::Address;
use super::connection::{Connection, Network};
use super::failure::Failure;
use super::schema::{SCHEMA_VERSION, find_version};
use super::statement::{Row, Statement};
use super::value::values;
use crate::error::{Code, Error, Result};
use crate::model::timestamp::Timestamp;
use crate::store::rows::StoredRow as _;
use crate::store::tables::TABLES;

/// Tables that are not exported, and that every write or every runner uses.
const OWN_TABLES: [&str; 4] = ["attempt_host", "counter", "lease", "runner"];
/// How often the round trip is measured.
const PINGS: usize = 5;

const SERVER: &str = "
    SELECT current_setting('server_version'), pg_is_in_recovery(), current_setting('fsync') = 'on',
           current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'),
           current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication),
           (SELECT sum(numbackends)::bigint FROM pg_stat_database),
           current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,
           pg_database_size(current_database())";

const LARGEST_TABLE: &str = "
    SELECT relname::text, pg_total_relation_size(relid), n_live_tup, n_dead_tup,
           floor(extract(epoch FROM greatest(last_vacuum, last_autovacuum)) * 1000)::bigint
      FROM pg_stat_user_tables WHERE schemaname = current_schema()
     ORDER BY pg_total_relation_size(relid) DESC, relname LIMIT 1";

/// A receipt is never changed or deleted, so the role needs no right to do so.
const WITHOUT_RIGHTS: &str = "
    SELECT relname::text FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname = ANY ($1)
       AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
                AND (relname = 'receipt' OR has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')))
     ORDER BY relname";

/// Properties of a database and its server.
#[derive(Debug, Clone)]
pub struct DatabaseFacts {
    /// The version of the server.
    pub server_version: String,
    /// The shortest time between a query and its answer.
    pub round_trip: Duration,
    /// Whether the server only repeats the writes of another one.
    pub is_standby: bool,
    /// The schema of the store; none without a store.
    pub schema: Option<i64>,
    /// The newest schema that this program knows.
    pub newest_schema: i64,
    /// The store's tables for which the role lacks a right.
    pub tables_without_rights: Vec<String>,
    /// How many connections all clients of the server have.
    pub connections: u64,
    /// How many the server accepts from clients that are no superusers.
    pub max_connections: u64,
    /// What decides which writes survive a crash.
    pub durability: Durability,
    /// The size of the database in bytes, with everything else that it holds.
    pub bytes: u64,
    /// The store's largest table.
    pub largest_table: Option<TableFacts>,
}

/// The settings that decide which acknowledged writes survive a crash or a failover.
#[derive(Debug, Clone)]
pub struct Durability {
    /// The setting `fsync`.
    pub fsync: bool,
    /// The setting `full_page_writes`.
    pub full_page_writes: bool,
    /// The setting `synchronous_commit` of this connection.
    pub synchronous_commit: String,
    /// The setting `synchronous_standby_names`.
    pub synchronous_standby_names: String,
    /// How many standbys are connected.
    pub standbys: u64,
}

/// Properties of a table, as PostgreSQL's statistics have them.
#[derive(Debug, Clone)]
pub struct TableFacts {
    /// The name.
    pub name: String,
    /// The size in bytes, with indexes.
    pub bytes: u64,
    /// About how many rows it has.
    pub live_rows: u64,
    /// About how many versions of rows are no longer visible and still take space.
    pub dead_rows: u64,
    /// When it was last vacuumed.
    pub vacuumed_at: Option<Timestamp>,
}

/// Reads the properties of a database.
///
/// # Errors
/// If it cannot be reached, has tables of another program, or has a store of a newer version.
pub fn inspect(address: &Address) -> Result<DatabaseFacts> {
    let network = Arc::new(Network::start()?);
    let connection = network.connect(address).map_err(Failure::into_error)?;
    let schema = find_version(&connection, address)?;
    let tables: Vec<String> =
        TABLES.iter().map(|table| table.name).chain(OWN_TABLES).map(str::to_owned).collect();
    let results = connection.exchange(vec![
        Statement::plain(SERVER),
        Statement::with(WITHOUT_RIGHTS, values![tables]),
        Statement::plain(LARGEST_TABLE),
    ]);
    let mut results = results.map_err(Failure::into_error)?.into_iter();
    let mut next = || results.next().unwrap_or_default();
    let (server, without_rights, largest) = (next(), next(), next());
    let server = server.first();
    let server = server.ok_or_else(|| Error::new(Code::Internal, "the database answered without a row"))?;
    Ok(DatabaseFacts {
        server_version: server.get(0)?,
        round_trip: measure_round_trip(&connection)?,
        is_standby: server.get(1)?,
        schema,
        newest_schema: SCHEMA_VERSION,
        tables_without_rights: without_rights.iter().map(|row| row.get(0)).collect::<Result<_>>()?,
        connections: server.get(7)?,
        max_connections: server.get(8)?,
        durability: Durability {
            fsync: server.get(2)?,
            full_page_writes: server.get(3)?,
            synchronous_commit: server.get(4)?,
            synchronous_standby_names: server.get(5)?,
            standbys: server.get(6)?,
        },
        bytes: server.get(9)?,
        largest_table: largest.first().filter(|_| schema.is_some()).map(table_facts).transpose()?,
    })
}

fn table_facts(row: &Row) -> Result<TableFacts> {
    Ok(TableFacts {
        name: row.get(0)?,
        bytes: row.get(1)?,
        live_rows: row.get(2)?,
        dead_rows: row.get(3)?,
        vacuumed_at: row.number(4)?.map(Timestamp::from_millis),
    })
}

fn measure_round_trip(connection: &Connection) -> Result<Duration> {
    let mut shortest = Duration::MAX;
    for _ in 0..PINGS {
        let started = Instant::now();
        connection.exchange(vec![Statement::plain("SELECT 1")]).map_err(Failure::into_error)?;
        shortest = shortest.min(started.elapsed());
    }
    Ok(shortest)
}
