//! Queries for runners, their permits, and the worker starts of profiles.

use rusqlite::params;

use super::tx::Tx;
use crate::error::Result;
use crate::model::fair_share::FairShare;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::rows::{self, FAIR_SHARES, runner_columns};
use crate::store::{RunnerRead, RunnerRecord, RunnerWrite};

impl RunnerRead for Tx<'_> {
    fn runner(&self, batch: RowId) -> Result<Option<RunnerRecord>> {
        self.first(concat!("SELECT ", runner_columns!(), " FROM runner WHERE batch = ?1"), [batch], |row| {
            rows::runner(row)
        })
    }

    fn runners(&self) -> Result<Vec<RunnerRecord>> {
        self.all(concat!("SELECT ", runner_columns!(), " FROM runner ORDER BY batch"), [], |row| {
            rows::runner(row)
        })
    }

    fn fair_shares(&self) -> Result<Vec<(FairShare, Timestamp)>> {
        self.all(FAIR_SHARES, [], |row| rows::fair_share(row))
    }

    fn profile_pause_reason(&self, profile: &str) -> Result<Option<String>> {
        self.first("SELECT reason FROM paused_profile WHERE name = ?1", [profile], |row| row.get(0))
    }

    fn worker_starts_since(&self, profile: &str, since: Timestamp) -> Result<(u64, Option<Timestamp>)> {
        let found = self.first(
            "SELECT count(*), min(started_at) FROM worker_start WHERE profile = ?1 AND started_at > ?2 AND started_at <= ?3",
            params![profile, since.millis(), self.now.millis()],
            |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(Timestamp::from_millis))),
        )?;
        Ok(found.unwrap_or_default())
    }
}

impl RunnerWrite for Tx<'_> {
    fn set_worker_profile(&self, batch: RowId, profile: &str) -> Result<()> {
        self.execute("UPDATE batch SET worker_profile = ?2 WHERE task = ?1", params![batch, profile])?;
        Ok(())
    }

    fn replace_runner(&self, runner: &RunnerRecord) -> Result<()> {
        self.execute(
            "INSERT OR REPLACE INTO runner (batch, run_marker, profile, pid, host, started_at, heartbeat_at, wait_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                runner.batch,
                runner.run_marker,
                runner.profile,
                runner.pid,
                runner.host,
                runner.started_at.millis(),
                runner.heartbeat_at.millis(),
                runner.wait_reason
            ],
        )?;
        Ok(())
    }

    fn record_runner_heartbeat(&self, batch: RowId, note: Option<&str>) -> Result<()> {
        self.execute(
            "UPDATE runner SET heartbeat_at = ?2, wait_reason = ?3 WHERE batch = ?1",
            params![batch, self.now.millis(), note],
        )?;
        Ok(())
    }

    fn set_fair_share(&self, batch: RowId, held: u64, wants: bool) -> Result<()> {
        self.execute(
            "UPDATE runner SET permits_held = ?2, wants_permit = ?3, heartbeat_at = ?4 WHERE batch = ?1",
            params![batch, held, wants, self.now.millis()],
        )?;
        Ok(())
    }

    fn delete_runner(&self, batch: RowId, run_marker: &str) -> Result<()> {
        self.execute("DELETE FROM runner WHERE batch = ?1 AND run_marker = ?2", params![batch, run_marker])?;
        Ok(())
    }

    fn set_profile_pause(&self, profile: &str, reason: Option<&str>) -> Result<()> {
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

    fn record_worker_start(&self, profile: &str, before: Timestamp) -> Result<()> {
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
