//! `tasktally db`: what an administrator of a PostgreSQL database needs.

use std::io::Write;

use clap::{ArgMatches, Command};
use serde_json::json;

use crate::error::Result;
use crate::store::postgres::{SCHEMA_VERSION, schema_sql};
use crate::terminal::print_line;

/// The arguments of the command: its subcommand `schema`.
pub(super) fn arguments(command: Command) -> Command {
    command.disable_help_subcommand(true).subcommand_required(true).subcommand(
        Command::new("schema").about("Print the SQL that creates the tables, and the rights that a role needs").long_about(
            "Print the SQL that creates the tables, and the rights that a role needs.\n\n\
             Tasktally creates its tables itself if its role may. Otherwise an administrator runs this SQL in an \
             empty schema of the database: tasktally db schema | psql DATABASE. The GRANT statements at the end are comments; \
             put the role's name into them.",
        ),
    )
}

/// Prints the SQL.
pub(super) fn run(_: &ArgMatches, json: bool, out: &mut impl Write) -> Result<u8> {
    let sql = format!("{}\n{}", schema_sql(), grants());
    let text = if json {
        json!({ "success": true, "message": format!("The tables of schema {SCHEMA_VERSION}"), "sql": sql })
            .to_string()
    } else {
        sql.trim_end().to_owned()
    };
    print_line(out, &text)?;
    Ok(0)
}

/// The rights of a role that may not create tables, as comments.
fn grants() -> &'static str {
    "\
-- The rights of a role that may not create tables. Replace public by the schema and tasktally_app by the role. Receipts are
-- never changed or deleted, so the role needs no right to do so.
--
-- GRANT USAGE ON SCHEMA public TO tasktally_app;
-- GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tasktally_app;
-- REVOKE UPDATE, DELETE ON receipt FROM tasktally_app;
"
}
