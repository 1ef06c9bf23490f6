//! Runners, in SQL.

use rusqlite::{Row as SqlRow, params};

use super::tx::Tx;
use crate::error::Result;
use crate::model::share::FairShare;
use crate::model::task::Row;
use crate::model::timestamp::Timestamp;
use crate::store::{ReadRunners, Runner, WriteRunners};

fn runner(row: &SqlRow<'_>) -> rusqlite::Result<Runner> {
    Ok(Runner {
        batch: row.get(0)?,
        nonce: row.get(1)?,
        profile: row.get(2)?,
        pid: row.get(3)?,
        host: row.get(4)?,
        since: Timestamp::from_millis(row.get(5)?),
        seen: Timestamp::from_millis(row.get(6)?),
        note: row.get(7)?,
    })
}

impl ReadRunners for Tx<'_> {
    fn runner(&self, batch: Row) -> Result<Option<Runner>> {
        self.first(
            "SELECT batch, run_marker, profile, pid, host, started_at, heartbeat_at, wait_reason FROM runner WHERE batch = ?1",
            [batch],
            runner,
        )
    }

    fn runners(&self) -> Result<Vec<Runner>> {
        self.all(
            "SELECT batch, run_marker, profile, pid, host, started_at, heartbeat_at, wait_reason FROM runner ORDER BY batch",
            [],
            runner,
        )
    }

    fn stakes(&self) -> Result<Vec<(FairShare, Timestamp)>> {
        self.all(
            "SELECT r.batch, t.priority, r.permits_held, r.wants_permit, r.heartbeat_at FROM runner r JOIN task t ON t.row_id = r.batch",
            [],
            |row| {
                let stake = FairShare {
                    batch: row.get(0)?,
                    priority: row.get(1)?,
                    held: row.get(2)?,
                    wants: row.get(3)?,
                };
                Ok((stake, Timestamp::from_millis(row.get(4)?)))
            },
        )
    }

    fn profile_pause(&self, profile: &str) -> Result<Option<String>> {
        self.first("SELECT reason FROM paused_profile WHERE name = ?1", [profile], |row| row.get(0))
    }

    fn starts_since(&self, profile: &str, since: Timestamp) -> Result<(u64, Option<Timestamp>)> {
        let found = self.first(
            "SELECT count(*), min(started_at) FROM worker_start WHERE profile = ?1 AND started_at > ?2 AND started_at <= ?3",
            params![profile, since.millis(), self.now.millis()],
            |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis))),
        )?;
        Ok(found.unwrap_or_default())
    }
}

impl WriteRunners for Tx<'_> {
    fn set_worker(&self, batch: Row, profile: &str) -> Result<()> {
        self.execute("UPDATE batch SET worker_profile = ?2 WHERE task = ?1", params![batch, profile])?;
        Ok(())
    }

    fn insert_runner(&self, runner: &Runner) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at, wait_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                runner.batch,
                runner.nonce,
                runner.profile,
                runner.pid,
                runner.host,
                runner.since.millis(),
                runner.seen.millis(),
                runner.note
            ],
        )?;
        Ok(())
    }

    fn runner_lives(&self, batch: Row, note: Option<&str>) -> Result<()> {
        self.execute(
            "UPDATE runner SET heartbeat_at = ?2, wait_reason = ?3 WHERE batch = ?1",
            params![batch, self.now.millis(), note],
        )?;
        Ok(())
    }

    fn set_stake(&self, batch: Row, held: u64, wants: bool) -> Result<()> {
        self.execute(
            "UPDATE runner SET permits_held = ?2, wants_permit = ?3, heartbeat_at = ?4 WHERE batch = ?1",
            params![batch, held, wants, self.now.millis()],
        )?;
        Ok(())
    }

    fn remove_runner(&self, batch: Row, nonce: &str) -> Result<()> {
        self.execute("DELETE FROM runner WHERE batch = ?1 AND run_marker = ?2", params![batch, nonce])?;
        Ok(())
    }

    fn pause_profile(&self, profile: &str, reason: Option<&str>) -> Result<()> {
        match reason {
            Some(reason) => self.execute(
                "INSERT INTO paused_profile (name, reason) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET reason = excluded.reason",
                params![profile, reason],
            )?,
            None => self.execute("DELETE FROM paused_profile WHERE name = ?1", [profile])?,
        };
        Ok(())
    }

    fn record_start(&self, profile: &str, before: Timestamp) -> Result<()> {
        self.execute(
            "DELETE FROM worker_start WHERE profile = ?1 AND (started_at <= ?2 OR started_at > ?3)",
            params![profile, before.millis(), self.now.millis()],
        )?;
        self.execute(
            "INSERT INTO worker_start (profile, started_at) VALUES (?1, ?2)",
            params![profile, self.now.millis()],
        )?;
        Ok(())
    }
}
