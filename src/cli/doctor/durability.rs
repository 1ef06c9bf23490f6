//! Whether the database keeps what it has acknowledged, after a crash and after a failover.

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::error::Result;
use crate::model::text::{agreeing, counted};
use crate::store::postgres::Durability;

/// Whether acknowledged writes survive a crash of the server.
pub(super) fn check_durability(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database() else { return Ok(Vec::new()) };
    let warnings = rate_settings(&facts.durability).into_iter().map(|(message, statement)| {
        let reload = if statement.starts_with("ALTER SYSTEM") { "; SELECT pg_reload_conf()" } else { "" };
        // `ALTER SYSTEM` is refused beside another statement of the same string.
        let commands: Vec<String> =
            format!("{statement}{reload}").split("; ").map(|sql| context.psql(sql)).collect();
        Finding::warning(message).with_fix(commands.join(" && "))
    });
    Ok(or_ok(
        warnings.collect(),
        "fsync, full_page_writes and synchronous_commit are on: acknowledged writes are on disk",
    ))
}

/// What each setting endangers, and the statement that changes it.
fn rate_settings(settings: &Durability) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if !settings.fsync {
        found.push((
            "fsync is off: acknowledged writes can be lost, and the database can be damaged, when the server's machine crashes"
                .to_owned(),
            "ALTER SYSTEM SET fsync = on",
        ));
    }
    if !settings.full_page_writes {
        found.push((
            "full_page_writes is off: acknowledged writes can be lost, and pages can be damaged, when the server's machine crashes while it writes them"
                .to_owned(),
            "ALTER SYSTEM SET full_page_writes = on",
        ));
    }
    if settings.synchronous_commit == "off" {
        found.push((
            "synchronous_commit is off: the last acknowledged writes can be lost when the server crashes"
                .to_owned(),
            "ALTER ROLE CURRENT_USER SET synchronous_commit = on",
        ));
    }
    found
}

/// Whether acknowledged writes survive a failover.
pub(super) fn check_standbys(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(facts) = context.database() else { return Ok(Vec::new()) };
    Ok(vec![rate_standbys(context, &facts.durability)])
}

fn rate_standbys(context: &DoctorContext, settings: &Durability) -> Finding {
    let Durability { standbys, synchronous_standby_names: names, synchronous_commit, .. } = settings;
    if *standbys == 0 && names.is_empty() {
        return Finding::ok("none is connected");
    }
    let connected =
        format!("{} {} connected", counted(*standbys, "standby"), agreeing(*standbys, "is", "are"));
    if names.is_empty() {
        let message = format!(
            "{connected}, and synchronous_standby_names is empty: acknowledged writes can be lost in a failover. A synchronous standby prevents it; writes then wait for it"
        );
        let shown = "SELECT application_name, client_addr, state, sync_state FROM pg_stat_replication";
        return Finding::warning(message).with_fix(context.psql(shown));
    }
    let waits = !matches!(synchronous_commit.as_str(), "off" | "local");
    if *standbys == 0 && waits {
        let message = format!(
            "synchronous_standby_names is {names}, and no standby is connected: every write waits until one is. Start the standby, or empty the setting; acknowledged writes can then be lost in a failover"
        );
        return Finding::problem(message).with_fix(context.psql("SELECT * FROM pg_stat_replication"));
    }
    if !waits {
        let message = format!(
            "{connected}, and synchronous_commit is {synchronous_commit}: a write does not wait for a standby, so acknowledged writes can be lost in a failover"
        );
        let fix = context.psql("ALTER ROLE CURRENT_USER SET synchronous_commit = on");
        return Finding::warning(message).with_fix(fix);
    }
    Finding::ok(format!("{connected}; a write waits for synchronous_standby_names = {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_that_loses_writes_is_named() {
        fn check(fsync: bool, full_page_writes: bool, commit: &str, expected: &[&str]) {
            let settings = Durability {
                fsync,
                full_page_writes,
                synchronous_commit: commit.to_owned(),
                synchronous_standby_names: String::new(),
                standbys: 0,
            };
            let found = rate_settings(&settings);
            let named: Vec<&str> =
                found.iter().filter_map(|(message, _)| message.split(' ').next()).collect();
            assert_eq!(named, expected);
        }
        check(true, true, "on", &[]);
        check(true, true, "local", &[]);
        check(false, true, "on", &["fsync"]);
        check(false, false, "off", &["fsync", "full_page_writes", "synchronous_commit"]);
    }
}
