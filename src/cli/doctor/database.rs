//! The database: whether it can be reached, its schema, the role's rights, its connections, its size and its contents.

use std::time::Duration;

use indicatif::HumanBytes;

use super::context::{DoctorContext, StoreState};
use super::finding::{Finding, or_ok};
use crate::error::{Code, Error, Result};
use crate::model::text::{agreeing, counted};
use crate::store::chains::verify_chains;

/// From this round trip on, a write takes noticeably long: it waits for several.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(20);
/// With fewer dead rows than this, a table is not worth a warning.
const MANY_DEAD_ROWS: u64 = 100_000;
/// A process of this program has up to this many connections.
const CONNECTIONS_OF_A_PROCESS: u64 = 3;

/// Whether the database can be reached and written to, and how fast it answers.
pub(super) fn check_server(context: &DoctorContext) -> Result<Vec<Finding>> {
    let path = context.path.display();
    let facts = match &context.state {
        StoreState::Database(database) => &database.facts,
        StoreState::Refused(error) => {
            return Ok(vec![Finding::problem(error.to_string()).with_fix(fix_for(context, error))]);
        }
        _ => return Ok(Vec::new()),
    };
    let version = &facts.server_version;
    if facts.is_standby {
        let message = format!(
            "{path}: PostgreSQL {version} is a standby, which accepts no writes. Name the primary server, or all servers with target_session_attrs=read-write"
        );
        return Ok(vec![Finding::problem(message).with_fix(context.psql("SELECT pg_is_in_recovery()"))]);
    }
    let millis = facts.round_trip.as_secs_f64() * 1000.0;
    let message = format!("{path}: PostgreSQL {version}, which answers within {millis:.1} ms");
    Ok(vec![if facts.round_trip < SLOW_ROUND_TRIP {
        Finding::ok(message)
    } else {
        Finding::warning(format!("{message}. A write waits for several answers, so it takes long: use the store from machines near the database"))
            .with_fix(context.psql("SELECT 1"))
    }])
}

/// The command to use after the database could not be used.
fn fix_for(context: &DoctorContext, error: &Error) -> String {
    match error.code {
        Code::StoreNewer => "git pull && cargo install --path .".to_owned(),
        _ => context.psql("SELECT version()"),
    }
}

/// Whether the database has a store, and of which schema.
pub(super) fn check_schema(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database() else { return Ok(Vec::new()) };
    let newest = facts.newest_schema;
    Ok(vec![match facts.schema {
        None => Finding::problem(
            "the database has no store: create-task, create-batch, run and serve create it, or an administrator runs what tasktally db schema prints",
        )
        .with_fix(context.command("serve < /dev/null")),
        Some(schema) if schema < newest => Finding::warning(format!(
            "{schema}; this version migrates the store to {newest} when it next opens it. Its contents were not checked"
        ))
        .with_fix(context.command("list-tasks")),
        Some(schema) => Finding::ok(format!("{schema}, the newest")),
    }])
}

/// Whether the role may read and write all tables.
pub(super) fn check_rights(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database().filter(|facts| facts.schema.is_some()) else {
        return Ok(Vec::new());
    };
    let lacking = facts.tables_without_rights.join(", ");
    let problem = (!lacking.is_empty()).then(|| {
        Finding::problem(format!(
            "the role may not read and write these tables: {lacking}. An administrator runs the GRANT statements that this command prints"
        ))
        .with_fix(context.command("db schema"))
    });
    Ok(or_ok(problem.into_iter().collect(), "the role may read and write all tables"))
}

/// Whether the server accepts more connections.
pub(super) fn check_connections(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database() else { return Ok(Vec::new()) };
    let (used, most) = (facts.connections, facts.max_connections);
    let message = format!("{used} of {most} are in use, by all clients of the server");
    Ok(vec![if most.saturating_sub(used) >= most / 10 + CONNECTIONS_OF_A_PROCESS {
        Finding::ok(message)
    } else {
        Finding::warning(format!(
            "{message}: more processes may be refused. Raise max_connections, or end clients that this command shows"
        ))
        .with_fix(context.psql(
            "SELECT application_name, usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        ))
    }])
}

/// The size of the database, and whether its largest table is vacuumed.
pub(super) fn check_size(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database() else { return Ok(Vec::new()) };
    let size = format!("the database has {}", HumanBytes(facts.bytes));
    let Some(table) = &facts.largest_table else { return Ok(vec![Finding::ok(size)]) };
    let vacuumed =
        table.vacuumed_at.map_or_else(|| "never vacuumed".into(), |at| format!("last vacuumed {at}"));
    let message = format!(
        "{size}; the largest table is {} ({}, {}, {}, {vacuumed})",
        table.name,
        HumanBytes(table.bytes),
        counted(table.live_rows, "row"),
        counted(table.dead_rows, "dead row")
    );
    Ok(vec![if table.dead_rows > MANY_DEAD_ROWS && table.dead_rows > table.live_rows {
        Finding::warning(format!(
            "{message}. Autovacuum does not keep up: look for old transactions and for autovacuum = off"
        ))
        .with_fix(context.psql(&format!("VACUUM (ANALYZE) \"{}\"", table.name)))
    } else {
        Finding::ok(message)
    }])
}

/// With `--full`: whether receipts, contents and counts are as they were written.
pub(super) fn check_integrity(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(session) = context.session() else { return Ok(Vec::new()) };
    if !context.full {
        return Ok(vec![Finding::ok(
            "not checked; --full compares counts and receipts with what was written",
        )]);
    }
    let walked = session.read(|tx| verify_chains(tx, Vec::new()))?;
    let changed = walked.problem.map(|bad| Finding::problem(bad).with_fix(context.command("verify")));
    let ok = format!(
        "the counts are right; {} of {} {} unchanged",
        counted(walked.receipts, "receipt"),
        counted(walked.tasks, "task"),
        agreeing(walked.receipts, "is", "are")
    );
    Ok(or_ok(changed.into_iter().collect(), ok))
}
